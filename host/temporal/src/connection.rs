//! The connection to the Temporal server, as configured.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use relation_app::config::TemporalConfig;
use relation_app::secret_text::read_line_of_file;
use secrecy::ExposeSecret as _;
use temporalio_client::errors::ClientConnectError;
use temporalio_client::{Client, ClientOptions, ClientTlsOptions, ConnectionOptions, TlsOptions};
use url::Url;

/// The pause between two attempts to reach the server.
const RETRY: Duration = Duration::from_secs(2);

/// Connects to the server of a configuration.
///
/// # Errors
/// A file cannot be read, or the server cannot be reached.
pub async fn connect(config: &TemporalConfig) -> anyhow::Result<Client> {
    let address = Url::parse(&config.address).context("temporal.address")?;
    let api_key = match &config.api_key_file {
        Some(file) => {
            let key = read_line_of_file(file, "the API key of Temporal")?;
            Some(key.expose_secret().to_owned())
        }
        None => None,
    };
    let options = ConnectionOptions::new(address.clone())
        .maybe_tls_options(tls_options(config, &address)?)
        .maybe_api_key(api_key)
        .build();
    let namespace = ClientOptions::new(config.namespace.clone()).build();
    let connected = Client::connect(options, namespace).await;
    connected.with_context(|| format!("cannot reach the Temporal server {address}"))
}

/// Connects like [`connect`], and tries again while the server cannot be reached: it may start later than a worker.
///
/// # Errors
/// A file cannot be read.
pub async fn connect_patiently(config: &TemporalConfig) -> anyhow::Result<Client> {
    loop {
        match connect(config).await {
            Err(error) if error.is::<ClientConnectError>() => {
                tracing::warn!(error = format!("{error:#}"), "trying again");
                tokio::time::sleep(RETRY).await;
            }
            connected => return connected,
        }
    }
}

fn tls_options(config: &TemporalConfig, address: &Url) -> anyhow::Result<Option<TlsOptions>> {
    if address.scheme() != "https" {
        return Ok(None);
    }
    let client = match &config.client_certificate {
        Some((certificate, key)) => Some(
            ClientTlsOptions::builder()
                .client_cert(read(certificate)?)
                .client_private_key(read(key)?)
                .build(),
        ),
        None => None,
    };
    let authority = config.ca_file.as_deref().map(read).transpose()?;
    let options = TlsOptions::builder()
        .maybe_server_root_ca_cert(authority)
        .maybe_client_tls_options(client);
    Ok(Some(options.build()))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
