//! A tap on the connections of workers: it counts messages, and holds all traffic of a worker at one of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The server of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    Temporal,
    Webex,
}

/// A message at which a worker is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    pub worker: usize,
    pub link: Link,
    pub is_response: bool,
}

/// The message at which its worker is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The number of the message, of those of all workers. The first one is 1.
    Number(usize),
    /// The next request to this server.
    Request(Link),
    /// The next response of this server.
    Response(Link),
}

/// Counts the messages of all workers.
#[derive(Clone)]
pub struct Tap(Arc<Inner>);

struct Inner {
    /// The point, with the rest of its number; `None`: nobody is to be held.
    point: Mutex<Option<Point>>,
    held: watch::Sender<Option<Message>>,
}

impl Tap {
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            point: Mutex::new(None),
            held: watch::Sender::new(None),
        }))
    }

    /// Holds the worker of a message from now on, before that message is passed on.
    pub fn hold_at(&self, point: Point) {
        *self.lock() = Some(point);
    }

    /// Waits until a worker is held.
    pub async fn held(&self) -> Message {
        let mut held = self.0.held.subscribe();
        let found = held.wait_for(Option::is_some).await.unwrap();
        found.unwrap()
    }

    /// Lets all messages pass.
    pub fn release(&self) {
        *self.lock() = None;
        self.0.held.send_replace(None);
    }

    /// Listens for connections of a worker to a server. Returns the address for the worker.
    pub async fn listen(&self, worker: usize, link: Link, server: String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tap = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (tap, server) = (tap.clone(), server.clone());
                tokio::spawn(async move {
                    // Without the server, the client's connection is closed.
                    if let Ok(server) = TcpStream::connect(server).await {
                        tap.pass(worker, link, client, server).await;
                    }
                });
            }
        });
        address
    }

    fn lock(&self) -> MutexGuard<'_, Option<Point>> {
        self.0.point.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes all bytes of a connection on, until one side closes it.
    async fn pass(&self, worker: usize, link: Link, mut client: TcpStream, mut server: TcpStream) {
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let message = |is_response| Message {
            worker,
            link,
            is_response,
        };
        tokio::select! {
            () = self.copy(client_read, server_write, message(false)) => {}
            () = self.copy(server_read, client_write, message(true)) => {}
        }
    }

    async fn copy(
        &self,
        mut from: impl tokio::io::AsyncRead + Unpin,
        mut to: impl tokio::io::AsyncWrite + Unpin,
        message: Message,
    ) {
        let mut frames = Frames::new(message.is_response);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Ok(read @ 1..) = from.read(&mut buffer).await else {
                return;
            };
            let bytes = &buffer[..read];
            let messages = match message.link {
                Link::Temporal => frames.count_data(bytes),
                Link::Webex => 1,
            };
            self.count(messages, message).await;
            if to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    /// Counts messages, and waits if the worker is held.
    async fn count(&self, messages: usize, message: Message) {
        if messages > 0 {
            let mut point = self.lock();
            let is_reached = match point.as_mut() {
                Some(Point::Number(rest)) => {
                    *rest = rest.saturating_sub(messages);
                    *rest == 0
                }
                Some(Point::Request(link)) => *link == message.link && !message.is_response,
                Some(Point::Response(link)) => *link == message.link && message.is_response,
                None => false,
            };
            if is_reached {
                *point = None;
                self.0.held.send_replace(Some(message));
            }
        }
        let mut held = self.0.held.subscribe();
        let passes = |held: &Option<Message>| held.is_none_or(|held| held.worker != message.worker);
        let _ = held.wait_for(passes).await;
    }
}

/// Finds the frames of a direction of an HTTP/2 connection.
struct Frames {
    /// The bytes that are no frame header: of the preface, or of the payload.
    skip: usize,
    header: Vec<u8>,
}

impl Frames {
    fn new(is_response: bool) -> Self {
        Self {
            // A client begins with a preface.
            skip: if is_response { 0 } else { 24 },
            header: Vec::new(),
        }
    }

    /// Returns the number of frames with data that begin in these bytes. A call of gRPC has one each way.
    fn count_data(&mut self, mut bytes: &[u8]) -> usize {
        let mut found = 0;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(9 - self.header.len());
            self.header.extend(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let [a, b, c, kind, ..] = self.header[..]
                && self.header.len() == 9
            {
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                if kind == 0 && self.skip > 0 {
                    found += 1;
                }
                self.header.clear();
            }
        }
        found
    }
}
