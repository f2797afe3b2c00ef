//! TLS to targets and proxies: the trusted authorities, and explanations of rejected certificates.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, PeerIncompatible, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use url::Host;

use super::error::{EgressError, Peer};
use super::origin::Origin;
use super::stream::Stream;
use relation_types::text::{self, TextError};

/// The setting with a file of extra certificate authorities.
const CA_FILE: &str = "egress.extra-ca";

/// TLS 1.2 and 1.3 with the system's certificate authorities and optional extra ones.
///
/// The system's authorities are read once, for the first `https` connection: a host that only uses
/// `http` needs none.
pub(super) struct Tls {
    extra: Vec<CertificateDer<'static>>,
    system: fn() -> rustls_native_certs::CertificateResult,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(extra: Vec<CertificateDer<'static>>) -> Self {
        Self::with_system(extra, rustls_native_certs::load_native_certs)
    }

    pub(super) fn with_system(
        extra: Vec<CertificateDer<'static>>,
        system: fn() -> rustls_native_certs::CertificateResult,
    ) -> Self {
        Self {
            extra,
            system,
            config: OnceCell::new(),
        }
    }

    /// Performs a handshake in which the peer proves to be `origin`'s host.
    pub(super) async fn handshake(
        &self,
        stream: Stream,
        origin: &Origin,
        peer: &(dyn Fn(Origin) -> Peer + Sync),
    ) -> Result<Stream, EgressError> {
        let failed = |reason, certificate| EgressError::Tls {
            peer: peer(origin.clone()),
            reason,
            certificate,
        };
        let config = self.config().await;
        let config = config.map_err(|reason| failed(reason, false))?;
        let name = server_name(origin).ok_or_else(|| {
            let reason = "its host name is not one that a certificate can be issued for";
            failed(reason.to_owned(), true)
        })?;
        let connected = TlsConnector::from(config).connect(name, stream).await;
        let stream =
            connected.map_err(|error| failed(explain(&error), is_about_certificate(&error)))?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let made = self.config.get_or_try_init(|| async {
            let (extra, system) = (self.extra.clone(), self.system);
            // Reads some hundred files on some systems.
            tokio::task::spawn_blocking(move || build(extra, system))
                .await
                .map_err(|error| {
                    format!("the certificate authorities could not be read: {error}")
                })?
        });
        made.await.map(Arc::clone)
    }
}

fn build(
    extra: Vec<CertificateDer<'static>>,
    system: fn() -> rustls_native_certs::CertificateResult,
) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let found = system();
    // A system's bundle often contains a few malformed or outdated certificates; the others are
    // still used.
    roots.add_parsable_certificates(found.certs);
    for certificate in extra {
        let added = roots.add(certificate);
        added.map_err(|error| format!("a certificate in `{CA_FILE}` is not valid: {error}"))?;
    }
    if roots.is_empty() {
        let details: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let details = if details.is_empty() {
            String::new()
        } else {
            format!(" ({})", details.join("; "))
        };
        return Err(format!(
            "this host has no certificate authorities to trust{details}; install the system's \
             (package ca-certificates) or name a file of them in `{CA_FILE}`"
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Early data can be replayed, and with it a refresh token.
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

fn server_name(origin: &Origin) -> Option<ServerName<'static>> {
    match origin.host() {
        Host::Domain(name) => ServerName::try_from(name.clone()).ok(),
        Host::Ipv4(address) => Some(ServerName::IpAddress((*address).into())),
        Host::Ipv6(address) => Some(ServerName::IpAddress((*address).into())),
    }
}

/// Reads the certificates of a PEM file and checks each.
pub(super) fn read_ca_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    // Binary certificates (DER) are not PEM and get their own error below.
    let text = match text::decode(&bytes) {
        Ok(text) => text.as_bytes(),
        Err(found @ (TextError::Utf16 | TextError::Utf32)) => return Err(format!("it {found}")),
        // Comments between certificates may have any encoding.
        Err(TextError::SingleByte { .. } | TextError::Binary) => bytes.as_slice(),
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| match error {
            // The error's own text is a list of bytes.
            pem::Error::MissingSectionEnd { .. } => "it ends within a certificate".to_owned(),
            other => format!("it is not valid PEM: {other}"),
        })?;
    if certificates.is_empty() {
        return Err("it holds no PEM certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|error| {
            format!("its certificate number {} is not valid: {error}", index + 1)
        })?;
    }
    Ok(certificates)
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn is_about_certificate(error: &io::Error) -> bool {
    matches!(
        rustls_error(error),
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}

fn explain(error: &io::Error) -> String {
    match rustls_error(error) {
        Some(rustls::Error::InvalidCertificate(problem)) => match problem {
            // A bad signature: an authority of the same name as a trusted one, but not the same.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "its certificate is signed by an authority that this host does not trust; if it should, \
                 add the authority's certificate to `{CA_FILE}`"
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired; check this host's clock, or have it renewed"
                    .to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet; check this host's clock".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name".to_owned()
            }
            other => format!("its certificate is refused: {other}"),
        },
        Some(
            rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13)
            | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
        ) => "it speaks no version of TLS from 1.2 on".to_owned(),
        Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS on this port".to_owned(),
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}
