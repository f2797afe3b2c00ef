//! The HTTP server: its listener, TLS, time limits, and a stop that lets requests end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use relation_app::config::TlsFiles;
use relation_app::{AppError, ErrorKind};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

/// How long a client may take to send the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may take until its response begins. A call of a workflow has a shorter limit of its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// How long requests may take to end after a stop was requested.
const GRACE: Duration = Duration::from_secs(15);

/// A server that listens, but does not accept connections yet.
pub struct Server {
    listener: TcpListener,
    tls: Option<RustlsConfig>,
}

impl Server {
    /// Listens on an address, with TLS if files are given.
    ///
    /// # Errors
    /// The address cannot be listened on, or a file of the certificate cannot be used.
    pub fn bind(address: SocketAddr, tls: Option<&TlsFiles>) -> Result<Self, AppError> {
        let tls = tls.map(load_tls).transpose()?;
        let listener = TcpListener::bind(address).map_err(|error| bind_error(address, &error))?;
        Ok(Self { listener, tls })
    }

    /// Returns the address that the server listens on.
    ///
    /// # Errors
    /// The operating system does not report the address.
    pub fn address(&self) -> Result<SocketAddr, AppError> {
        let address = self.listener.local_addr();
        address.map_err(|error| AppError::new(ErrorKind::Failed, error.to_string()))
    }

    /// Serves until a stop is requested. Requests that run then have some seconds to end.
    ///
    /// # Errors
    /// The server cannot accept connections any more.
    pub async fn run(self, router: Router, shutdown: CancellationToken) -> Result<(), AppError> {
        let service = router
            .layer(TimeoutLayer::with_status_code(
                StatusCode::GATEWAY_TIMEOUT,
                REQUEST_TIMEOUT,
            ))
            .layer(CatchPanicLayer::new())
            .into_make_service_with_connect_info::<SocketAddr>();
        let handle = Handle::new();
        let stopping = handle.clone();
        tokio::spawn(async move {
            shutdown.cancelled().await;
            stopping.graceful_shutdown(Some(GRACE));
        });
        let served = match self.tls {
            Some(tls) => {
                let server = axum_server::from_tcp_rustls(self.listener, tls);
                let mut server = server.map_err(serve_error)?.handle(handle);
                server
                    .http_builder()
                    .http1()
                    .header_read_timeout(HEADER_TIMEOUT);
                server.serve(service).await
            }
            None => {
                let server = axum_server::from_tcp(self.listener);
                let mut server = server.map_err(serve_error)?.handle(handle);
                server
                    .http_builder()
                    .http1()
                    .header_read_timeout(HEADER_TIMEOUT);
                server.serve(service).await
            }
        };
        served.map_err(serve_error)
    }
}

fn serve_error(error: io::Error) -> AppError {
    AppError::new(ErrorKind::Failed, format!("cannot serve requests: {error}"))
}

fn bind_error(address: SocketAddr, error: &io::Error) -> AppError {
    let message = format!("cannot listen on {address}: {error}");
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there, perhaps a `relation-host serve` or a waiting `relation-host connect`: end it, \
             or set another address with --listen or web.listen"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 belong to the system: set another address with --listen or web.listen"
        }
        _ => "set an address of this machine with --listen or web.listen",
    };
    AppError::new(ErrorKind::Problem, message).hint(hint)
}

fn load_tls(files: &TlsFiles) -> Result<RustlsConfig, AppError> {
    let unusable = |file: &std::path::Path, error: String| {
        let message = format!("cannot use {} for TLS: {error}", file.display());
        let hint = "web.tls-certificate and web.tls-key name PEM files: the chain of certificates, and its private key";
        AppError::new(ErrorKind::Problem, message).hint(hint)
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&files.certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable(
            &files.certificate,
            "it has no certificate".to_owned(),
        ));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unusable(&files.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&files.certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&files.key, error.to_string()))?;
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_address_and_missing_files_have_hints() {
        let first = Server::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
        let second = Server::bind(first.address().unwrap(), None);
        let error = second.err().unwrap();
        assert!(error.message.contains("cannot listen"), "{error:?}");
        assert!(error.hint.unwrap().contains("web.listen"));
        let files = TlsFiles {
            certificate: "does/not/exist.pem".into(),
            key: "does/not/exist.key".into(),
        };
        let error = Server::bind(([127, 0, 0, 1], 0).into(), Some(&files))
            .err()
            .unwrap();
        assert!(error.message.contains("does/not/exist.pem"), "{error:?}");
    }
}
