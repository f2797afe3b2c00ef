//! A TLS front before the emulated Webex, with a name of its own; a test spoils its certificate or
//! its name.

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

/// The front's name; no resolver but the test's own knows it.
pub const NAME: &str = "webex.test";

/// What is wrong with the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Fair,
    /// Its certificate is signed by an authority that nobody trusts.
    UnknownAuthority,
    /// Its certificate is for another name.
    OtherName,
    /// Its certificate has expired.
    Expired,
    /// It does not speak TLS.
    NoTls,
    /// Its name is not known.
    NoAddress,
    /// Its name leads into a private network.
    PrivateAddress,
}

/// A TLS front that runs until the test ends.
pub struct Front {
    address: SocketAddr,
    authority: PathBuf,
    weather: Arc<watch::Sender<Weather>>,
}

impl Front {
    /// Starts a front before `target`; its authority's certificate goes into `directory`.
    pub async fn start(target: SocketAddr, directory: &Path) -> Self {
        let trusted = Authority::new("trusted");
        let unknown = Authority::new("unknown");
        let authority = directory.join("authority.pem");
        std::fs::write(&authority, &trusted.pem).expect("the directory can be written");
        let acceptors = Acceptors {
            fair: trusted.acceptor(NAME, 2999),
            unknown: unknown.acceptor(NAME, 2999),
            other_name: trusted.acceptor("other.test", 2999),
            expired: trusted.acceptor(NAME, 2020),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let weather = Arc::new(watch::Sender::new(Weather::Fair));
        let current = Arc::clone(&weather);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptors.in_weather(*current.borrow());
                tokio::spawn(carry(client, target, acceptor));
            }
        });
        Self {
            address,
            authority,
            weather,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with its authority's certificate.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// The resolver that knows its name.
    pub fn resolver(&self) -> Arc<dyn Resolve> {
        Arc::new(Names(Arc::clone(&self.weather)))
    }

    /// Spoils it, or makes it fair again.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn carry(client: TcpStream, target: SocketAddr, acceptor: Option<TlsAcceptor>) {
    // A connection that breaks is the client's to complain about.
    let Some(acceptor) = acceptor else {
        let _ = greet(client).await;
        return;
    };
    let Ok(mut client) = acceptor.accept(client).await else {
        return;
    };
    if let Ok(mut server) = TcpStream::connect(target).await {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

/// What speaks first and is no TLS. It waits for the client's hello, so that the client gets to
/// read it before the end of the connection.
async fn greet(mut client: TcpStream) -> std::io::Result<()> {
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
    fair: TlsAcceptor,
    unknown: TlsAcceptor,
    other_name: TlsAcceptor,
    expired: TlsAcceptor,
}

impl Acceptors {
    fn in_weather(&self, weather: Weather) -> Option<TlsAcceptor> {
        let acceptor = match weather {
            Weather::Fair | Weather::NoAddress | Weather::PrivateAddress => &self.fair,
            Weather::UnknownAuthority => &self.unknown,
            Weather::OtherName => &self.other_name,
            Weather::Expired => &self.expired,
            Weather::NoTls => return None,
        };
        Some(acceptor.clone())
    }
}

struct Names(Arc<watch::Sender<Weather>>);

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        let unknown = || std::io::Error::other("no such name");
        match *self.0.borrow() {
            _ if name != NAME => Err(unknown()),
            Weather::NoAddress => Err(unknown()),
            Weather::PrivateAddress => Ok(vec![IpAddr::from([10, 1, 2, 3])]),
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
