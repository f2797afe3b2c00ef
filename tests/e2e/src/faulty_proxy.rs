//! A forward proxy with a password and injected faults; it connects everything to one target.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// The user name. The password contains characters that a proxy string has to encode.
pub const USER: &str = "relation";
/// The password in plain text.
pub const PASSWORD: &str = "canary:p@ss/word";
/// The password as encoded in a proxy string.
pub const PASSWORD_ENCODED: &str = "canary%3Ap%40ss%2Fword";

/// A fault of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// No fault.
    None,
    /// The proxy does not listen at its address.
    Unreachable,
    /// The proxy closes the connection without a response.
    Disconnects,
    /// The proxy's password has changed.
    OtherPassword,
    /// The proxy forbids every target: 403.
    Forbids,
    /// The proxy cannot reach the target: 502.
    BadGateway,
    /// The proxy closes the connection after this many bytes of the response.
    EndsAfter(u64),
}

/// A forward proxy that runs until dropped.
pub struct FaultyProxy {
    address: SocketAddr,
    fault: watch::Sender<ProxyFault>,
    forwarded: Arc<AtomicUsize>,
}

impl FaultyProxy {
    /// Starts a proxy that connects every request to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        Self::start_for(target, &format!("{USER}:{PASSWORD}")).await
    }

    /// Starts a proxy for this account, as `user:password`.
    pub async fn start_for(target: SocketAddr, account: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let fault = watch::Sender::new(ProxyFault::None);
        let forwarded = Arc::<AtomicUsize>::default();
        let forwarding = Forwarding {
            target,
            expected: format!("Basic {}", STANDARD.encode(account)),
            forwarded: Arc::clone(&forwarded),
        };
        tokio::spawn(run(listener, Arc::new(forwarding), fault.subscribe()));
        Self {
            address,
            fault,
            forwarded,
        }
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many connections it has forwarded.
    pub fn forwarded(&self) -> usize {
        self.forwarded.load(Ordering::Relaxed)
    }

    /// Returns the proxy string with the right password.
    pub fn url(&self) -> String {
        format!("http://{USER}:{PASSWORD_ENCODED}@{}/", self.address)
    }

    /// Sets the fault from now on and cuts existing connections.
    pub async fn set(&self, fault: ProxyFault) {
        self.fault.send_replace(fault);
        while TcpStream::connect(self.address).await.is_ok() == (fault == ProxyFault::Unreachable) {
            tokio::task::yield_now().await;
        }
    }
}

/// The target, the required `Proxy-Authorization`, and the number of forwarded connections.
struct Forwarding {
    target: SocketAddr,
    expected: String,
    forwarded: Arc<AtomicUsize>,
}

async fn run(
    listener: TcpListener,
    forwarding: Arc<Forwarding>,
    mut fault: watch::Receiver<ProxyFault>,
) {
    let address = listener.local_addr().expect("it listens");
    let mut listener = Some(listener);
    loop {
        let current = *fault.borrow_and_update();
        if current == ProxyFault::Unreachable {
            drop(listener.take());
            // Keep the port without listening at it.
            let socket = reserve_port(address);
            if fault.changed().await.is_err() {
                return;
            }
            listener = Some(socket.listen(64).expect("the port is still ours"));
            continue;
        }
        let Some(open) = &listener else { return };
        tokio::select! {
            accepted = open.accept() => {
                let Ok((client, _)) = accepted else { return };
                let (mut changes, forwarding) = (fault.clone(), Arc::clone(&forwarding));
                tokio::spawn(async move {
                    tokio::select! {
                        // The client reports a broken connection.
                        _ = serve(client, current, &forwarding) => {}
                        _ = changes.changed() => {}
                    }
                });
            }
            changed = fault.changed() => if changed.is_err() { return },
        }
    }
}

fn reserve_port(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket's option");
    socket.bind(address).expect("the port is still ours");
    socket
}

async fn serve(
    mut client: TcpStream,
    fault: ProxyFault,
    forwarding: &Forwarding,
) -> io::Result<()> {
    let mut received = Vec::new();
    let end = loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    };
    // Not before a request: the client might or might not notice it before it sends one.
    if fault == ProxyFault::Disconnects {
        return Ok(());
    }
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let allowed = head.lines().any(|line| {
        line.split_once(": ").is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("proxy-authorization") && value == forwarding.expected
        })
    });
    let refusal = match fault {
        ProxyFault::OtherPassword => Some("407 Proxy Authentication Required"),
        _ if !allowed => Some("407 Proxy Authentication Required"),
        ProxyFault::Forbids => Some("403 Forbidden"),
        ProxyFault::BadGateway => Some("502 Bad Gateway"),
        _ => None,
    };
    if let Some(status) = refusal {
        let challenge = "proxy-authenticate: Basic realm=\"test\"\r\n";
        let challenge = challenge.repeat(usize::from(status.starts_with("407")));
        let response = format!(
            "HTTP/1.1 {status}\r\n{challenge}content-length: 0\r\nconnection: close\r\n\r\n"
        );
        return client.write_all(response.as_bytes()).await;
    }
    forwarding.forwarded.fetch_add(1, Ordering::Relaxed);
    let mut server = TcpStream::connect(forwarding.target).await?;
    if head.starts_with("CONNECT ") {
        let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
        client.write_all(established).await?;
        server.write_all(&received[end..]).await?;
    } else {
        server.write_all(&received).await?;
    }
    if let ProxyFault::EndsAfter(bytes) = fault {
        let (mut from_server, mut to_server) = server.split();
        let (mut from_client, mut to_client) = client.split();
        let mut response = (&mut from_server).take(bytes);
        tokio::select! {
            passed = copy(&mut response, &mut to_client) => passed?,
            received = copy(&mut from_client, &mut to_server) => received?,
        };
        return Ok(());
    }
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
