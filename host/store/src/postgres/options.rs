//! The options of the store, and the address of its database.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::LeaseClock;
use super::open::OpenError;

/// Options of a PostgreSQL store.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) config: Config,
    /// The file of trusted certificates; `None`: those of the system.
    pub(super) root_certificates: Option<PathBuf>,
    /// The clock by which leases expire.
    pub clock: LeaseClock,
    /// Whether statements are prepared by name, and settings are made for the session. Switch it off for PgBouncer in
    /// transaction mode; the settings are then those of the database's user.
    pub prepare: bool,
    /// Whether a server that loses or damages data in a crash (`fsync` or `full_page_writes` off) is accepted.
    pub allow_unsafe_server: bool,
    /// How long an operation waits for a server that cannot be reached, before the store counts as unavailable.
    pub patience: Duration,
    /// How long after an outage, and after the start, this host leaves expired leases to their holders, which may have a
    /// response in their stash. Counts with [`LeaseClock::Database`] only.
    pub takeover_delay: Duration,
    /// The number of connections that write.
    pub writers: usize,
    /// The name of this host in the table of hosts.
    pub host_name: String,
    /// The run that has taken the database for tests.
    pub(super) scratch_run: Option<String>,
}

impl PostgresOptions {
    /// Reads a database's address: `postgresql://USER:PASSWORD@HOST[:PORT]/DATABASE?OPTION=VALUE`.
    ///
    /// Several hosts are separated by commas; the one that accepts writes is used. The options are those of libpq, as far
    /// as [`Config`] knows them, and `sslrootcert=FILE`. An encrypted connection always verifies the server's
    /// certificate and name, so `sslmode=require` means `verify-full`.
    pub fn new(url: &str) -> Result<Self, OpenError> {
        let (url, root_certificates) = extract_tls_options(url);
        // Without the cause: it can contain a part of a password that is not escaped.
        let mut config: Config = url.parse().map_err(|_| OpenError::Address)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(OpenError::Address);
        }
        if config.get_application_name().is_none() {
            config.application_name("relation-host");
        }
        Ok(Self {
            config,
            root_certificates,
            clock: LeaseClock::default(),
            prepare: true,
            allow_unsafe_server: false,
            patience: Duration::from_secs(10),
            takeover_delay: Duration::from_secs(15),
            writers: 6,
            host_name: String::new(),
            scratch_run: None,
        })
    }

    /// Sets the password, instead of one in the address.
    pub fn set_password(&mut self, password: &str) {
        self.config.password(password);
    }

    /// Sets the file of trusted certificates (PEM), instead of those of the system.
    pub fn set_root_certificates(&mut self, file: &Path) {
        self.root_certificates = Some(file.to_owned());
    }

    /// Describes the database without the password: `USER@HOST:PORT/DATABASE`.
    pub fn describe_database(&self) -> String {
        let hosts = (0..count_servers(&self.config)).map(|index| name_server(&self.config, index));
        let hosts: Vec<String> = hosts.collect();
        let user = self.config.get_user().map(|user| format!("{user}@"));
        let database = self.config.get_dbname().map(|name| format!("/{name}"));
        format!(
            "{}{}{}",
            user.unwrap_or_default(),
            hosts.join(","),
            database.unwrap_or_default()
        )
    }

    /// Returns whether any server is on another machine.
    pub(super) fn is_remote(&self) -> bool {
        (0..count_servers(&self.config)).any(|index| is_remote(&self.config, index))
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("database", &self.describe_database())
            .field("clock", &self.clock)
            .field("prepare", &self.prepare)
            .finish_non_exhaustive()
    }
}

/// Takes the options out of a URL that [`Config`] does not know: `sslrootcert`, and the stricter values of `sslmode`.
fn extract_tls_options(url: &str) -> (String, Option<PathBuf>) {
    // A password may contain a question mark.
    let user = url.find('@').unwrap_or_default();
    let rest = url.get(user..).unwrap_or_default();
    let Some(begin) = rest.find('?').map(|begin| user + begin) else {
        return (url.to_owned(), None);
    };
    let (address, options) = url.split_at(begin);
    let options = options.trim_start_matches('?');
    let mut root_certificates = None;
    let mut kept = Vec::new();
    for option in options.split('&') {
        match option.split_once('=') {
            Some(("sslrootcert", file)) => {
                let file = percent_encoding::percent_decode_str(file).decode_utf8_lossy();
                root_certificates = Some(PathBuf::from(file.as_ref()));
            }
            Some(("sslmode", "verify-full" | "verify-ca")) => kept.push("sslmode=require"),
            Some(("sslmode", "allow")) => kept.push("sslmode=prefer"),
            _ => kept.push(option),
        }
    }
    let separator = if kept.is_empty() { "" } else { "?" };
    let url = format!("{address}{separator}{}", kept.join("&"));
    // `system` is libpq's name for the certificates of the system.
    let root_certificates = root_certificates.filter(|file| file.as_os_str() != "system");
    (url, root_certificates)
}

/// Returns the number of servers in the address.
pub(super) fn count_servers(config: &Config) -> usize {
    config.get_hosts().len().max(config.get_hostaddrs().len())
}

/// Returns the name of one server, for errors.
pub(super) fn name_server(config: &Config, index: usize) -> String {
    let port = port(config, index);
    match (
        config.get_hosts().get(index),
        config.get_hostaddrs().get(index),
    ) {
        (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
        #[cfg(unix)]
        (Some(Host::Unix(path)), _) => format!("{}:{port}", path.display()),
        (None, Some(address)) => format!("{address}:{port}"),
        (None, None) => String::new(),
    }
}

/// Returns the configuration of one server.
pub(super) fn select_server(config: &Config, index: usize) -> Config {
    let mut one = Config::new();
    match config.get_hosts().get(index) {
        Some(Host::Tcp(name)) => {
            one.host(name);
        }
        #[cfg(unix)]
        Some(Host::Unix(path)) => {
            one.host_path(path);
        }
        None => {}
    }
    if let Some(address) = config.get_hostaddrs().get(index) {
        one.hostaddr(*address);
    }
    one.port(port(config, index));
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(database) = config.get_dbname() {
        one.dbname(database);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    one.channel_binding(config.get_channel_binding())
        .ssl_negotiation(config.get_ssl_negotiation())
        .ssl_mode(match is_local_socket(config, index) {
            true => SslMode::Disable,
            false => config.get_ssl_mode(),
        });
    one.connect_timeout(
        *config
            .get_connect_timeout()
            .unwrap_or(&Duration::from_secs(5)),
    );
    one.keepalives(true)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(15));
    one
}

fn port(config: &Config, index: usize) -> u16 {
    let ports = config.get_ports();
    let port = ports.get(index).or_else(|| ports.first());
    port.copied().unwrap_or(5432)
}

fn is_local_socket(config: &Config, index: usize) -> bool {
    let local =
        matches!(config.get_hosts().get(index), Some(host) if !matches!(host, Host::Tcp(_)));
    local && config.get_hostaddrs().get(index).is_none()
}

fn is_remote(config: &Config, index: usize) -> bool {
    if let Some(address) = config.get_hostaddrs().get(index) {
        return !address.is_loopback();
    }
    match config.get_hosts().get(index) {
        Some(Host::Tcp(name)) => {
            let loopback = name
                .parse::<std::net::IpAddr>()
                .map_or(name == "localhost", |address| address.is_loopback());
            !loopback
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stricter_modes_of_libpq_are_understood() {
        let options = PostgresOptions::new(
            "postgresql://me@one,two:5433/db?sslmode=verify-full&sslrootcert=%2Fca.pem&connect_timeout=3",
        )
        .unwrap();
        assert_eq!(options.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(options.root_certificates, Some(PathBuf::from("/ca.pem")));
        let second = select_server(&options.config, 1);
        assert_eq!(second.get_ports(), [5433]);
        assert_eq!(second.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert!(options.is_remote());
    }

    #[test]
    fn no_error_or_debug_output_repeats_the_password() {
        for url in [
            "postgresql://me:ca@nary@host/db?canary",
            "postgresql://me:canary@host/db?canary=1",
            "postgresql://me:canary%ZZ@:canary/db",
            "host=h password=canary canary",
        ] {
            let error = PostgresOptions::new(url).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(
                !text.contains("canary") && !text.contains("na/ry"),
                "{text}"
            );
        }
        let options = PostgresOptions::new("postgresql://me:canary@host/db").unwrap();
        assert!(!format!("{options:?}").contains("canary"));
    }
}
