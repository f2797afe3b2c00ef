//! TLS to a mail server: the trusted authorities, and explanations of refused certificates.

use std::io;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, PeerIncompatible, RootCertStore,
};
use url::Host;

/// Builds the configuration from the system's authorities and extra ones. It reads the system's files.
pub(super) fn build(extra: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // A system's bundle often contains a few malformed or outdated certificates; the others are still used.
    roots.add_parsable_certificates(found.certs);
    roots.add_parsable_certificates(extra.iter().cloned());
    if roots.is_empty() {
        return Err(
            "this host has no certificate authorities to trust; install the system's (package ca-certificates) or \
             name some in `extra-ca`"
                .to_owned(),
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Returns the name that the server's certificate must have.
pub(super) fn server_name(host: &Host<String>) -> Option<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).ok(),
        Host::Ipv4(address) => Some(ServerName::IpAddress((*address).into())),
        Host::Ipv6(address) => Some(ServerName::IpAddress((*address).into())),
    }
}

/// Explains a failed handshake.
pub(super) fn explain(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(problem)) => explain_certificate(problem),
        Some(
            rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13)
            | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
        ) => "it speaks no version of TLS from 1.2 on".to_owned(),
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS at this point; port 465 usually needs implicit TLS, ports 587 and 25 STARTTLS".to_owned()
        }
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

fn explain_certificate(problem: &CertificateError) -> String {
    let reason = match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is signed by an authority that this host does not trust; if it should, add the authority's certificate \
             to `extra-ca`"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired; check this host's clock, or have it renewed"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; check this host's clock"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name"
        }
        other => return format!("its certificate is refused: {other}"),
    };
    format!("its certificate {reason}")
}
