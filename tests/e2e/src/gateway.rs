//! A forward proxy with a password that a test makes misbehave; it carries everything to one target.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// Who may use it, and the password: with characters that a proxy string has to encode.
pub const USER: &str = "relation";
/// As a person knows it.
pub const PASSWORD: &str = "canary:p@ss/word";
/// As a proxy string spells it.
pub const PASSWORD_ENCODED: &str = "canary%3Ap%40ss%2Fword";

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Proper,
    /// Nobody listens at its address.
    Unreachable,
    /// It hangs up without a word.
    HangsUp,
    /// Its password is another one by now.
    OtherPassword,
    /// It allows nobody to go where they want: 403.
    Forbids,
    /// It cannot reach the target: 502.
    BadGateway,
    /// It dies when it has passed on so many bytes of the answer.
    DiesAfter(u64),
}

/// A forward proxy that runs until the test ends.
pub struct Gateway {
    address: SocketAddr,
    manner: watch::Sender<Manner>,
}

impl Gateway {
    /// Starts a proxy that carries everything to `target`, whatever it is asked for.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let manner = watch::Sender::new(Manner::Proper);
        tokio::spawn(run(listener, target, manner.subscribe()));
        Self { address, manner }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The proxy string of somebody who may use it.
    pub fn url(&self) -> String {
        format!("http://{USER}:{PASSWORD_ENCODED}@{}/", self.address)
    }

    /// Behaves like this from now on; connections that it carries are cut.
    pub async fn set(&self, manner: Manner) {
        self.manner.send_replace(manner);
        while TcpStream::connect(self.address).await.is_ok() == (manner == Manner::Unreachable) {
            tokio::task::yield_now().await;
        }
    }
}

async fn run(listener: TcpListener, target: SocketAddr, mut manner: watch::Receiver<Manner>) {
    let address = listener.local_addr().expect("it listens");
    let expected = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let expected: Arc<str> = format!("Basic {expected}").into();
    let mut listener = Some(listener);
    loop {
        let current = *manner.borrow_and_update();
        if current == Manner::Unreachable {
            drop(listener.take());
            // Keeps the port without listening at it.
            let socket = bound(address);
            if manner.changed().await.is_err() {
                return;
            }
            listener = Some(socket.listen(64).expect("the port is still ours"));
            continue;
        }
        let Some(open) = &listener else { return };
        tokio::select! {
            accepted = open.accept() => {
                let Ok((client, _)) = accepted else { return };
                let (mut changes, expected) = (manner.clone(), Arc::clone(&expected));
                tokio::spawn(async move {
                    tokio::select! {
                        // What breaks is the client's to complain about.
                        _ = serve(client, target, current, &expected) => {}
                        _ = changes.changed() => {}
                    }
                });
            }
            changed = manner.changed() => if changed.is_err() { return },
        }
    }
}

fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket's option");
    socket.bind(address).expect("the port is still ours");
    socket
}

async fn serve(
    mut client: TcpStream,
    target: SocketAddr,
    manner: Manner,
    expected: &str,
) -> io::Result<()> {
    let mut asked = Vec::new();
    let end = loop {
        if let Some(end) = asked.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut asked).await? == 0 {
            return Ok(());
        }
    };
    // Not before it was asked: the client might or might not notice before it asks.
    if manner == Manner::HangsUp {
        return Ok(());
    }
    let head = String::from_utf8_lossy(&asked[..end]).into_owned();
    let allowed = head.lines().any(|line| {
        line.split_once(": ").is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("proxy-authorization") && value == expected
        })
    });
    let refusal = match manner {
        Manner::OtherPassword => Some("407 Proxy Authentication Required"),
        _ if !allowed => Some("407 Proxy Authentication Required"),
        Manner::Forbids => Some("403 Forbidden"),
        Manner::BadGateway => Some("502 Bad Gateway"),
        _ => None,
    };
    if let Some(status) = refusal {
        let challenge = "proxy-authenticate: Basic realm=\"test\"\r\n";
        let challenge = challenge.repeat(usize::from(status.starts_with("407")));
        let answer = format!(
            "HTTP/1.1 {status}\r\n{challenge}content-length: 0\r\nconnection: close\r\n\r\n"
        );
        return client.write_all(answer.as_bytes()).await;
    }
    let mut server = TcpStream::connect(target).await?;
    if head.starts_with("CONNECT ") {
        let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
        client.write_all(established).await?;
        server.write_all(&asked[end..]).await?;
    } else {
        server.write_all(&asked).await?;
    }
    if let Manner::DiesAfter(bytes) = manner {
        let (mut from_server, mut to_server) = server.split();
        let (mut from_client, mut to_client) = client.split();
        let mut answer = (&mut from_server).take(bytes);
        tokio::select! {
            passed = copy(&mut answer, &mut to_client) => passed?,
            asked = copy(&mut from_client, &mut to_server) => asked?,
        };
        return Ok(());
    }
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
