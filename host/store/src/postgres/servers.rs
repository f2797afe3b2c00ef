//! The servers of the database: finding the one that accepts writes, and connecting to it.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Connection, NoTls, Row, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Class, classify, describe};
use super::inspect::compare_clocks;
use super::open::OpenError;
use super::options::{PostgresOptions, count_servers, name_server, select_server};
use super::{Lane, Parameters};
use crate::StoreError;

/// The time in which one server must accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Applies the settings of a session, and returns the server's time. `synchronous_commit` may be stricter than `on`.
const GREETING: &str = "SELECT (1000 * extract(epoch FROM clock_timestamp()))::bigint,
    set_config('synchronous_commit',
        CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('statement_timeout', $1, false),
    set_config('lock_timeout', '5s', false),
    set_config('idle_in_transaction_session_timeout', '10s', false),
    set_config('jit', 'off', false)";

/// Without settings, which a pooler would give to other sessions.
const POOLED_GREETING: &str = "SELECT (1000 * extract(epoch FROM clock_timestamp()))::bigint";

/// The servers of one database.
pub(super) struct Servers {
    servers: Vec<(String, Config)>,
    tls: Option<MakeRustlsConnect>,
    /// The server that was the right one before.
    preferred: AtomicUsize,
    prepare: bool,
    /// Whether a server that refuses writes is accepted.
    read_only: bool,
}

/// One connection, which statements share, with its prepared statements.
pub(super) struct Live {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    prepare: bool,
    driver: AbortHandle,
    /// The number of statements that wait for their answers.
    running: AtomicUsize,
    progress: Mutex<Instant>,
}

/// A new connection.
pub(super) struct Connected {
    pub(super) live: Arc<Live>,
    /// Ends with the connection.
    pub(super) driver: JoinHandle<()>,
    /// The database's clock minus this machine's, in milliseconds.
    pub(super) skew: i64,
}

impl Servers {
    pub(super) fn new(options: &PostgresOptions, read_only: bool) -> Result<Self, OpenError> {
        let config = &options.config;
        let servers: Vec<_> = (0..count_servers(config))
            .map(|index| {
                let mut one = select_server(config, index);
                one.target_session_attrs(match read_only {
                    true => TargetSessionAttrs::Any,
                    false => TargetSessionAttrs::ReadWrite,
                });
                (name_server(config, index), one)
            })
            .collect();
        let encrypted = |(_, config): &(_, Config)| config.get_ssl_mode() != SslMode::Disable;
        let tls = match servers.iter().any(encrypted) {
            true => Some(prepare_tls(options)?),
            false => None,
        };
        Ok(Self {
            servers,
            tls,
            preferred: AtomicUsize::new(0),
            prepare: options.prepare,
            read_only,
        })
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Connects to the first server that accepts it, beginning with the one that was the right one before.
    pub(super) async fn connect(&self, lane: Lane) -> Result<Connected, StoreError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut errors = Vec::new();
        for step in 0..self.servers.len() {
            let index = (first + step) % self.servers.len();
            let Some((name, config)) = self.servers.get(index) else {
                continue;
            };
            let error =
                match tokio::time::timeout(CONNECT_LIMIT, self.connect_to(config, lane)).await {
                    Ok(Ok(connected)) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Ok(connected);
                    }
                    Ok(Err(error)) => describe_refusal(&error),
                    Err(_) => format!("no answer within {} s", CONNECT_LIMIT.as_secs()),
                };
            errors.push(format!("{name}: {error}"));
        }
        Err(StoreError::Unavailable(errors.join("; ")))
    }

    async fn connect_to(
        &self,
        config: &Config,
        lane: Lane,
    ) -> Result<Connected, tokio_postgres::Error> {
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                (client, drive(connection))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, drive(connection))
            }
        };
        let sent = Instant::now();
        let row = if self.prepare {
            let limit = format!("{}s", lane.statement_timeout().as_secs());
            client
                .query_typed_one(GREETING, &[(&limit, Type::TEXT)])
                .await?
        } else {
            client.query_typed_one(POOLED_GREETING, &[]).await?
        };
        let skew = compare_clocks(row.try_get(0)?, sent.elapsed());
        let live = Live {
            client,
            statements: Mutex::default(),
            prepare: self.prepare,
            driver: driver.abort_handle(),
            running: AtomicUsize::new(0),
            progress: Mutex::new(Instant::now()),
        };
        Ok(Connected {
            live: Arc::new(live),
            driver,
            skew,
        })
    }
}

impl Live {
    /// Returns the connection for statements that are not calls of the store's functions.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed() || self.driver.is_finished()
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Ends the connection. Each statement that waits for its answer fails.
    pub(super) fn close(&self) {
        self.driver.abort();
    }

    /// Runs a statement. `None`, and the connection is closed, when no statement of the connection was answered within
    /// `limit`.
    pub(super) async fn run(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
        limit: Duration,
    ) -> Option<Result<Vec<Row>, tokio_postgres::Error>> {
        let _counted = Counted::new(&self.running);
        let begun = Instant::now();
        let mut answer = std::pin::pin!(self.send(statement, parameters));
        loop {
            let until = begun.max(*self.progress.lock()) + limit;
            if let Ok(answer) = tokio::time::timeout_at(until.into(), &mut answer).await {
                *self.progress.lock() = Instant::now();
                if let Err(error) = &answer
                    && matches!(classify(error), Class::Broken | Class::ReadOnly)
                {
                    self.close();
                }
                return Some(answer);
            }
            // Statements before this one may have taken their time.
            if *self.progress.lock() + limit <= Instant::now() {
                self.close();
                return None;
            }
        }
    }

    async fn send(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        if !self.prepare {
            return self.client.query_typed(statement, parameters).await;
        }
        let known = self.statements.lock().get(statement).cloned();
        let prepared = match known {
            Some(prepared) => prepared,
            None => self.prepare(statement, parameters).await?,
        };
        let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
        let rows = self.client.query(&prepared, &values).await;
        if let Err(error) = &rows
            && classify(error) == Class::Stale
        {
            self.statements.lock().remove(statement);
        }
        rows
    }

    async fn prepare(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Statement, tokio_postgres::Error> {
        let types: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
        let prepared = self.client.prepare_typed(statement, &types).await?;
        let mut statements = self.statements.lock();
        statements.insert(statement.to_owned(), prepared.clone());
        Ok(prepared)
    }
}

/// Counts a statement as long as it exists, also when its caller gives up.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs a connection in a task of its own.
fn drive<T>(connection: Connection<Socket, T>) -> JoinHandle<()>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("a connection to PostgreSQL ended: {}", describe(&error));
        }
    })
}

fn describe_refusal(error: &tokio_postgres::Error) -> String {
    let text = match describe(error) {
        StoreError::Unavailable(text) | StoreError::Corrupt(text) => text,
        other => other.to_string(),
    };
    if text.contains("certificate") {
        return format!("{text}: name the file of its certificate authority (sslrootcert)");
    }
    text
}

/// Prepares encrypted connections, which verify the certificate and the name of the server.
fn prepare_tls(options: &PostgresOptions) -> Result<MakeRustlsConnect, OpenError> {
    let mut roots = rustls::RootCertStore::empty();
    match &options.root_certificates {
        Some(file) => {
            let failed = |reason: String| OpenError::Certificates {
                file: file.clone(),
                reason,
            };
            let content = fs::read(file).map_err(|error| failed(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&content) {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| failed(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(failed("it contains no certificate (PEM)".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
