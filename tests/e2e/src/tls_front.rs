//! A TLS front before the emulated Webex, with its own name and injected faults of certificate or
//! name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use relation_host::egress::Resolve;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// The front's name; only the test's own resolver knows it.
pub const NAME: &str = "webex.test";

/// A fault of the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// No fault.
    None,
    /// Its certificate is signed by an authority that is not trusted.
    UnknownAuthority,
    /// Its certificate is for another name.
    OtherName,
    /// Its certificate has expired.
    Expired,
    /// It does not speak TLS.
    NoTls,
    /// Its name does not resolve.
    NoAddress,
    /// Its name resolves to a private address.
    PrivateAddress,
}

/// A TLS front that runs until the test ends.
pub struct TlsFront {
    address: SocketAddr,
    authority: PathBuf,
    fault: Arc<watch::Sender<TlsFault>>,
}

impl TlsFront {
    /// Starts a front before `target` and writes its authority's certificate into `directory`.
    pub async fn start(target: SocketAddr, directory: &Path) -> Self {
        let trusted = Authority::new("trusted");
        let unknown = Authority::new("unknown");
        let authority = directory.join("authority.pem");
        std::fs::write(&authority, &trusted.pem).expect("the directory can be written");
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
            authority,
            fault,
        }
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the file with its authority's certificate.
    pub fn authority(&self) -> &Path {
        &self.authority
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

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Accepts TLS as `name`, with a certificate that is valid until the end of `year`.
    fn acceptor(&self, name: &str, year: i32) -> TlsAcceptor {
        let params = CertificateParams::new(vec![name.to_owned()]);
        let mut params = params.expect("a name that a certificate can have");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer);
        let certificate = certificate.expect("a certificate").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a certificate and its key");
        TlsAcceptor::from(Arc::new(config))
    }
}
