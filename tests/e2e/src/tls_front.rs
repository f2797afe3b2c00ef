//! A TLS front before the emulated Webex, with its own name and injected faults of certificate or
//! name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::egress::Resolve;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::tls::Authority;

/// The front's name; only the test's own resolver knows it.
pub const NAME: &str = "webex.test";

/// A fault of the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// No fault.
    None,
    /// The front's certificate is signed by an authority that is not trusted.
    UnknownAuthority,
    /// The front's certificate is for another name.
    OtherName,
    /// The front's certificate has expired.
    Expired,
    /// The front does not speak TLS.
    NoTls,
    /// The front's name does not resolve.
    NoAddress,
    /// The front's name resolves to a private address.
    PrivateAddress,
}

/// A TLS front that runs until the test ends.
pub struct TlsFront {
    address: SocketAddr,
    authority: Authority,
    fault: Arc<watch::Sender<TlsFault>>,
}

impl TlsFront {
    /// Starts a front before `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let trusted = Authority::new("trusted");
        let unknown = Authority::new("unknown");
        let acceptors = Acceptors {
            valid: trusted.acceptor(NAME, 2999),
            unknown: unknown.acceptor(NAME, 2999),
            other_name: trusted.acceptor("other.test", 2999),
            expired: trusted.acceptor(NAME, 2020),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let fault = Arc::new(watch::Sender::new(TlsFault::None));
        let current = Arc::clone(&fault);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptors.acceptor_for(*current.borrow());
                tokio::spawn(forward(client, target, acceptor));
            }
        });
        Self {
            address,
            authority: trusted,
            fault,
        }
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the file with its authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.authority.file()
    }

    /// Returns the resolver that knows its name.
    pub fn resolver(&self) -> Arc<dyn Resolve> {
        Arc::new(FrontResolver(Arc::clone(&self.fault)))
    }

    /// Sets the fault from now on.
    pub fn set(&self, fault: TlsFault) {
        self.fault.send_replace(fault);
    }
}

async fn forward(client: TcpStream, target: SocketAddr, acceptor: Option<TlsAcceptor>) {
    // The client reports a broken connection.
    let Some(acceptor) = acceptor else {
        let _ = send_plaintext(client).await;
        return;
    };
    let Ok(mut client) = acceptor.accept(client).await else {
        return;
    };
    if let Ok(mut server) = TcpStream::connect(target).await {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

/// Sends plain text instead of TLS. It waits for the client's hello, so that the client reads the
/// text before the end of the connection.
async fn send_plaintext(mut client: TcpStream) -> std::io::Result<()> {
    let mut hello = [0; 4096];
    let _ = client.read(&mut hello).await?;
    client
        .write_all(b"220 this is not what you look for\r\n")
        .await?;
    client.shutdown().await?;
    while client.read(&mut hello).await? > 0 {}
    Ok(())
}

struct Acceptors {
    valid: TlsAcceptor,
    unknown: TlsAcceptor,
    other_name: TlsAcceptor,
    expired: TlsAcceptor,
}

impl Acceptors {
    fn acceptor_for(&self, fault: TlsFault) -> Option<TlsAcceptor> {
        let acceptor = match fault {
            TlsFault::None | TlsFault::NoAddress | TlsFault::PrivateAddress => &self.valid,
            TlsFault::UnknownAuthority => &self.unknown,
            TlsFault::OtherName => &self.other_name,
            TlsFault::Expired => &self.expired,
            TlsFault::NoTls => return None,
        };
        Some(acceptor.clone())
    }
}

struct FrontResolver(Arc<watch::Sender<TlsFault>>);

#[async_trait]
impl Resolve for FrontResolver {
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        let unknown = || std::io::Error::other("no such name");
        match *self.0.borrow() {
            _ if name != NAME => Err(unknown()),
            TlsFault::NoAddress => Err(unknown()),
            TlsFault::PrivateAddress => Ok(vec![IpAddr::from([10, 1, 2, 3])]),
            _ => Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]),
        }
    }
}
