//! The URL of a store in PostgreSQL: `postgres://USER@HOST/DATABASE?OPTION=VALUE`.
//!
//! It is that of `libpq`, with a few options of its own. No error repeats a value: it may be part of a password.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use relation_toml::find_nearest;
use secrecy::SecretString;

/// A URL that works, for errors.
const EXAMPLE: &str = "postgres://relation@db.example.com/relation";

/// The options that the client library takes.
const LIBRARY_OPTIONS: [&str; 17] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "port",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];
/// The options that are read here.
const OWN_OPTIONS: [&str; 7] = [
    "allow-unsafe-server",
    "password",
    "password-file",
    "pgbouncer",
    "prepare",
    "sslmode",
    "sslrootcert",
];

/// The characters that would end the value of an option. The client library takes each `@` for the end of the user.
const VALUE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'?')
    .add(b'@');

/// A parsed URL. Its text has no password.
#[derive(Default)]
pub(super) struct Address {
    shown: String,
    connection: String,
    /// The password in the URL.
    pub(super) password: Option<SecretString>,
    /// The file with the password.
    pub(super) password_file: Option<PathBuf>,
    /// The certificate authorities to trust in place of the system's.
    pub(super) root_certificates: Option<PathBuf>,
    /// Whether statements are prepared by name.
    pub(super) prepare: bool,
    /// Whether a server that loses data when it crashes is accepted.
    pub(super) allow_unsafe_server: bool,
    /// Whether a server is on another machine.
    pub(super) is_remote: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Address {
    /// Parses the part after `postgres:`. Relative paths are relative to `directory`.
    ///
    /// # Errors
    /// All errors of the URL.
    pub(super) fn parse(location: &str, directory: &Path) -> Result<Self, Vec<String>> {
        let mut parser = Parser {
            directory,
            address: Self {
                prepare: true,
                ..Self::default()
            },
            hosts: Vec::new(),
            connection: Vec::new(),
            shown: Vec::new(),
            seen: Vec::new(),
            mode: None,
            errors: Vec::new(),
        };
        match parser.read(location) {
            Some(address) if parser.errors.is_empty() => Ok(address),
            _ => Err(parser.errors),
        }
    }

    /// Returns the URL for the client library and for `pg_dump`, without the password and own options.
    pub(super) fn connection(&self) -> &str {
        &self.connection
    }
}

/// Collects the options and the errors of a URL.
struct Parser<'a> {
    directory: &'a Path,
    address: Address,
    /// The names and addresses of the servers, and the directories of their sockets.
    hosts: Vec<String>,
    /// The options for the client library.
    connection: Vec<(String, String)>,
    /// The options to show.
    shown: Vec<(String, String)>,
    /// The names of all options.
    seen: Vec<String>,
    mode: Option<String>,
    errors: Vec<String>,
}

impl Parser<'_> {
    /// Returns the address, unless there are errors.
    fn read(&mut self, location: &str) -> Option<Address> {
        let Some(rest) = location.strip_prefix("//") else {
            self.refuse(format!("write it as {EXAMPLE}"));
            return None;
        };
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        if base.matches('@').count() > 1 {
            self.refuse("write each `@` in the user and the password as `%40`");
            return None;
        }
        let (login, place) = match base.split_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, base),
        };
        let (servers, database) = place.split_once('/').unwrap_or((place, ""));
        self.read_servers(servers);
        if login.is_none() && !self.errors.is_empty() && query.contains('@') {
            self.errors.clear();
            self.refuse("write each `?` in the user and the password as `%3F`");
            return None;
        }
        let user = self.read_login(login.unwrap_or_default());
        self.decode("the name of the database", database);
        for option in query.split('&').filter(|option| !option.is_empty()) {
            self.read_option(option);
        }
        if database.is_empty() && !self.has("dbname") {
            self.refuse(format!("name the database after the server: {EXAMPLE}"));
        }
        if self.hosts.is_empty() && !["host", "hostaddr"].iter().any(|name| self.has(name)) {
            self.refuse(
                "name the server, or the directory of its socket: `?host=/var/run/postgresql`",
            );
        }
        if self.address.password.is_some() && self.address.password_file.is_some() {
            self.refuse("name the password once: in the URL, or by `password-file`");
        }
        let mode = self.choose_mode();
        if !self.errors.is_empty() {
            return None;
        }
        self.connection.push(("sslmode".to_owned(), mode));
        let base = format!("postgres://{user}{place}");
        let mut address = std::mem::take(&mut self.address);
        address.shown = format!("{base}{}", join_options(&self.shown));
        address.connection = format!("{base}{}", join_options(&self.connection));
        if address
            .connection
            .parse::<tokio_postgres::Config>()
            .is_err()
        {
            self.refuse(format!("write it as {EXAMPLE}"));
        }
        Some(address)
    }

    /// Reads the servers, which commas separate.
    fn read_servers(&mut self, servers: &str) {
        for server in servers.split(',').filter(|_| !servers.is_empty()) {
            let (host, port) = match server.strip_prefix('[').map(|rest| rest.split_once(']')) {
                Some(Some((host, ""))) => (host, None),
                Some(Some((host, rest))) => (host, Some(rest.strip_prefix(':').unwrap_or("-"))),
                Some(None) => {
                    self.refuse("an IPv6 address ends with `]`");
                    continue;
                }
                None => match server.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (server, None),
                },
            };
            if host.is_empty() {
                self.refuse("name a server before each port and comma");
            }
            if port.is_some_and(|port| port.parse::<u16>().ok().is_none_or(|port| port == 0)) {
                self.refuse("a port is a number from 1 to 65535");
            }
            let host = self.decode("the name of a server", host);
            self.hosts.push(host);
        }
    }

    /// Reads `USER` or `USER:PASSWORD`. Returns the user for a URL.
    fn read_login(&mut self, login: &str) -> String {
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        self.decode("the user", user);
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            self.set_password(password);
        }
        match user {
            "" => String::new(),
            user => format!("{user}@"),
        }
    }

    fn set_password(&mut self, encoded: &str) {
        let password = self.decode("the password", encoded);
        if self.address.password.replace(password.into()).is_some() {
            self.refuse("the password is given twice");
        }
    }

    fn read_option(&mut self, option: &str) {
        let Some((name, encoded)) = option.split_once('=') else {
            self.refuse("an option is written as OPTION=VALUE, and `&` in a value as `%26`");
            return;
        };
        if name == "password" {
            self.set_password(encoded);
            return;
        }
        let known = LIBRARY_OPTIONS.into_iter().chain(OWN_OPTIONS);
        let known: Vec<&str> = known.collect();
        if !known.contains(&name) {
            self.refuse_unknown(name, &known);
            return;
        }
        if self.has(name) {
            self.refuse(format!("`{name}` is given twice"));
        }
        self.seen.push(name.to_owned());
        let mut value = self.decode(&format!("the value of `{name}`"), encoded);
        match name {
            "password-file" => {
                let file = self.directory.join(&value);
                value = file.to_string_lossy().into_owned();
                self.address.password_file = Some(file);
            }
            // As in libpq, the certificate authorities of the system.
            "sslrootcert" if value == "system" => {}
            "sslrootcert" => {
                let file = self.directory.join(&value);
                value = file.to_string_lossy().into_owned();
                self.address.root_certificates = Some(file);
            }
            "pgbouncer" => {
                if self.read_flag(name, &value) {
                    self.address.prepare = false;
                }
            }
            "allow-unsafe-server" => {
                self.address.allow_unsafe_server = self.read_flag(name, &value);
            }
            "prepare" => {
                if !self.read_flag(name, &value) {
                    self.address.prepare = false;
                }
            }
            "sslmode" => self.mode = Some(value.clone()),
            _ => self.read_library_option(name, &value),
        }
        self.shown.push((name.to_owned(), value));
    }

    /// Reads an option that the client library checks.
    fn read_library_option(&mut self, name: &str, value: &str) {
        let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
        let checked = format!("{name}='{quoted}'").parse::<tokio_postgres::Config>();
        if checked.is_err() || value == "read-only" {
            let expected = match name {
                "target_session_attrs" => "any or read-write",
                "sslnegotiation" => "postgres or direct",
                "channel_binding" => "disable, prefer or require",
                "load_balance_hosts" => "disable or random",
                "hostaddr" => "an IP address",
                _ => "a whole number",
            };
            self.refuse(format!("`{name}` is {expected}"));
        }
        let values: Vec<&str> = match name {
            // In a URL, the client library takes one host for each option.
            "host" => value.split(',').collect(),
            _ => vec![value],
        };
        for each in values {
            if matches!(name, "host" | "hostaddr") {
                self.hosts.push(each.to_owned());
            }
            self.connection.push((name.to_owned(), each.to_owned()));
        }
    }

    fn refuse_unknown(&mut self, name: &str, known: &[&str]) {
        let hint = match name {
            "passfile" => {
                "write the password alone to a file, and name the file by `password-file`"
            }
            "sslcert" | "sslkey" | "sslpassword" => {
                "client certificates are not supported: use a password"
            }
            _ => "",
        };
        let nearest = find_nearest(name, known);
        // Another name may be a part of a password.
        let is_plain =
            name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        self.refuse(match (hint, nearest) {
            ("", Some(nearest)) => format!("an option is unknown; did you mean `{nearest}`?"),
            ("", None) if is_plain => format!("the option `{name}` is unknown"),
            ("", None) => "an option is unknown".to_owned(),
            (hint, _) => hint.to_owned(),
        });
    }

    fn read_flag(&mut self, name: &str, value: &str) -> bool {
        if !matches!(value, "true" | "false") {
            self.refuse(format!("`{name}` is true or false"));
        }
        value == "true"
    }

    /// Returns how the client library uses TLS. By default, no connection to another machine is without.
    fn choose_mode(&mut self) -> String {
        let is_socket = |host: &String| host.starts_with('/');
        let is_local = |host: &String| {
            let ip = host.parse::<IpAddr>();
            is_socket(host) || host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
        };
        let is_remote = !self.hosts.iter().all(is_local);
        let mode = match self.mode.as_deref() {
            None if is_remote => "require",
            None => "disable",
            Some("disable") => "disable",
            Some("prefer") => "prefer",
            // The name in the certificate is always checked.
            Some("require" | "verify-full") => "require",
            Some(_) => {
                self.refuse("`sslmode` is disable, prefer, require or verify-full; the last two check the certificate");
                return String::new();
            }
        };
        if mode == "require" && self.hosts.iter().any(is_socket) {
            self.refuse("a socket has no TLS: leave `sslmode` out");
        }
        self.address.is_remote = is_remote;
        mode.to_owned()
    }

    fn has(&self, name: &str) -> bool {
        self.seen.iter().any(|seen| seen == name)
    }

    fn decode(&mut self, part: &str, encoded: &str) -> String {
        let decoded = percent_decode_str(encoded).decode_utf8();
        match decoded {
            Ok(text) if !text.contains('\0') => text.into_owned(),
            _ => {
                self.refuse(format!("{part} is not UTF-8, or has U+0000"));
                String::new()
            }
        }
    }

    fn refuse(&mut self, error: impl Into<String>) {
        let error = error.into();
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}

/// Renders options as the end of a URL.
fn join_options(options: &[(String, String)]) -> String {
    let options = options.iter().enumerate();
    let options = options.map(|(index, (name, value))| {
        let separator = if index == 0 { '?' } else { '&' };
        format!("{separator}{name}={}", utf8_percent_encode(value, VALUE))
    });
    options.collect()
}

#[cfg(test)]
mod tests;
