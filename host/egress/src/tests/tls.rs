//! Tests of TLS: accepted certificates, and the errors for rejected certificates.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::harness::{OK, ScriptedResolver, Server, ServerConnection, call, get, policy};
use crate::connect::Connector;
use crate::tls::Tls;
use crate::{Client, ClientOptions, EgressError, Resolve, SystemResolver};

/// The number of the next authority. Each has a distinct name, as real authorities have.
static NUMBER: AtomicUsize = AtomicUsize::new(1);

/// A certificate authority for tests.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Returns an acceptor for `name` with a certificate valid until the end of `year`.
    pub(super) fn acceptor(&self, name: &str, year: i32) -> TlsAcceptor {
        self.acceptor_with(name, 2000, year, rustls::DEFAULT_VERSIONS)
    }

    /// Works like [`Authority::acceptor`], with a certificate valid from the year `first` to `last`, and
    /// with these TLS versions only.
    pub(super) fn acceptor_with(
        &self,
        name: &str,
        first: i32,
        last: i32,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(first, 1, 1);
        params.not_after = date_time_ymd(last, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Returns a client that trusts only this authority.
    pub(super) fn client(
        &self,
        allow: &[&str],
        proxies: &[&str],
        resolver: impl Resolve,
    ) -> Client {
        let connector = Connector {
            policy: policy(allow, proxies),
            resolver: Arc::new(resolver),
            tls: Tls::with_system(vec![self.certificate.clone()], no_system_certificates),
        };
        Client::from_connector(connector, ClientOptions::default())
    }
}

fn no_system_certificates() -> rustls_native_certs::CertificateResult {
    rustls_native_certs::CertificateResult::default()
}

/// Returns a client that trusts no server's authority.
pub(super) fn untrusting_client(allow: &[&str], proxies: &[&str]) -> Client {
    Authority::new().client(allow, proxies, SystemResolver)
}

/// Performs the TLS handshake; `None` if the client aborts it.
pub(super) async fn accept_tls(
    mut connection: ServerConnection,
    acceptor: TlsAcceptor,
) -> Option<ServerConnection> {
    let stream = acceptor.accept(connection.stream).await.ok()?;
    connection.stream = Box::new(stream);
    Some(connection)
}

pub(super) async fn https_server(acceptor: TlsAcceptor) -> Server {
    Server::start(move |connection| {
        let acceptor = acceptor.clone();
        async move {
            if let Some(connection) = accept_tls(connection, acceptor).await {
                connection.always(OK).await;
            }
        }
    })
    .await
}

/// Calls `https://api.example` twice at a server whose certificate is for `name`, valid until `year`.
/// Returns the number of connections. `trusted`: whether the client trusts the server's authority.
async fn call_twice(name: &str, year: i32, trusted: bool) -> Result<usize, EgressError> {
    let authority = Authority::new();
    let server = https_server(authority.acceptor(name, year)).await;
    let port = server.address.port();
    let url = format!("https://api.example:{port}");
    let literal = format!("https://127.0.0.1:{port}");
    let resolver = ScriptedResolver::default().with("api.example", &[&["127.0.0.1"]]);
    let trusted_authority = if trusted { authority } else { Authority::new() };
    let client = trusted_authority.client(&[&url, &literal], &[], resolver);
    call(&client, get(&url)).await?;
    call(&client, get(&url)).await?;
    Ok(server.connections())
}

/// Returns the reason for a TLS error, which must say that the request was not sent.
fn reason(error: EgressError) -> String {
    assert!(!error.may_have_been_sent());
    match error {
        EgressError::Tls { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn valid_certificate_is_accepted_and_connection_kept() {
    assert_eq!(call_twice("api.example", 2999, true).await, Ok(1));
}

#[tokio::test]
async fn unknown_authority_is_refused() {
    assert_eq!(
        reason(call_twice("api.example", 2999, false).await.unwrap_err()),
        "its certificate is signed by an authority that this host does not trust; if it should, add the \
         authority's certificate to `egress.extra-ca`"
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let reason = reason(call_twice("other.example", 2999, true).await.unwrap_err());
    assert_eq!(reason, "its certificate is for another name");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let reason = reason(call_twice("api.example", 2020, true).await.unwrap_err());
    assert_eq!(
        reason,
        "its certificate has expired; check this host's clock, or have it renewed"
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_refused() {
    let authority = Authority::new();
    let acceptor = authority.acceptor_with("127.0.0.1", 2998, 2999, rustls::DEFAULT_VERSIONS);
    let server = https_server(acceptor).await;
    let url = format!("https://{}", server.address);
    let client = authority.client(&[&url], &[], SystemResolver);
    assert_eq!(
        reason(call(&client, get(&url)).await.unwrap_err()),
        "its certificate is not valid yet; check this host's clock"
    );
}

#[tokio::test]
async fn certificate_for_an_address_is_accepted() {
    let authority = Authority::new();
    let server = https_server(authority.acceptor("127.0.0.1", 2999)).await;
    let url = format!("https://{}", server.address);
    let client = authority.client(&[&url], &[], SystemResolver);
    call(&client, get(&url)).await.unwrap();
}

#[tokio::test]
async fn server_without_tls_is_named() {
    let server = Server::responding("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let plain = Server::start(|mut connection| async move {
        connection.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        connection.silent().await;
    })
    .await;
    drop(server);
    let url = format!("https://{}", plain.address);
    let client = untrusting_client(&[&url], &[]);
    let reason = reason(call(&client, get(&url)).await.unwrap_err());
    assert_eq!(reason, "it does not speak TLS on this port");
}

#[tokio::test]
async fn missing_authorities_matter_only_for_https() {
    let server = Server::responding(OK).await;
    let secure = format!("https://{}", server.address);
    let connector = Connector {
        policy: policy(&[&server.url(), &secure], &[]),
        resolver: Arc::new(SystemResolver),
        tls: Tls::with_system(Vec::new(), no_system_certificates),
    };
    let client = Client::from_connector(connector, ClientOptions::default());
    call(&client, get(server.url())).await.unwrap();
    let reason = reason(call(&client, get(&secure)).await.unwrap_err());
    assert_eq!(
        reason,
        "this host has no certificate authorities to trust; install the system's (package \
         ca-certificates) or name a file of them in `egress.extra-ca`"
    );
}

#[tokio::test]
async fn a_file_of_authorities_is_trusted() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let marked = format!("\u{feff}{}", authority.pem.replace('\n', "\r\n"));
    std::fs::write(&file, marked).unwrap();
    let server = https_server(authority.acceptor("127.0.0.1", 2999)).await;
    let url = format!("https://{}", server.address);
    let options = ClientOptions {
        extra_ca_file: Some(file),
        ..ClientOptions::default()
    };
    let client = Client::new(policy(&[&url], &[]), options).unwrap();
    call(&client, get(&url)).await.unwrap();
}

#[test]
fn unusable_ca_file_fails_client_creation() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let start = |path: &Path| {
        let options = ClientOptions {
            extra_ca_file: Some(path.to_owned()),
            ..ClientOptions::default()
        };
        let error = Client::new(policy(&[], &[]), options).unwrap_err();
        let head = format!("cannot use `{}` as `egress.extra-ca`: ", path.display());
        let text = error.to_string();
        text.strip_prefix(&head).unwrap_or(&text).to_owned()
    };
    assert_eq!(start(&file), "No such file or directory (os error 2)");
    assert_eq!(start(folder.path()), "Is a directory (os error 21)");
    let good = Authority::new().pem;
    let none = "it holds no PEM certificate (-----BEGIN CERTIFICATE-----)";
    let key = KeyPair::generate().unwrap().serialize_pem();
    let wrapped =
        |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    for (content, words) in [
        (String::new(), none),
        ("not a certificate".to_owned(), none),
        (key, none),
        (
            wrapped("n%t base64"),
            "it is not valid PEM: base64 decode error: InvalidCharacter(37)",
        ),
        (
            good.replace("-----END CERTIFICATE-----", ""),
            "it ends within a certificate",
        ),
        (
            wrapped("bm8gY2VydGlmaWNhdGU="),
            "its certificate number 1 is not valid: invalid peer certificate: BadEncoding",
        ),
        (
            format!("{good}{}", wrapped("bm8gY2VydGlmaWNhdGU=")),
            "its certificate number 2 is not valid: invalid peer certificate: BadEncoding",
        ),
    ] {
        std::fs::write(&file, &content).unwrap();
        assert_eq!(start(&file), words, "{content}");
    }
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&file, utf16).unwrap();
    assert_eq!(start(&file), "it is UTF-16; save it as UTF-8");
}
