//! The operator's settings of a mail server, and their check.

use std::fmt;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret, SecretString};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use url::Host;

use super::address::{MailAddress, parse_mailbox};

/// The encryption of the connection to a mail server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS from the first byte, usually on port 465.
    Implicit,
    /// `STARTTLS` before anything else; a server without it gets no message.
    #[default]
    StartTls,
    /// No TLS. [`Plaintext`] must permit it.
    None,
}

/// The permission to connect to a mail server without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plaintext {
    /// Never.
    #[default]
    Never,
    /// Only to a loopback address.
    Loopback,
    /// To any permitted address: the operator trusts the network up to the relay.
    TrustedRelay,
}

/// The settings of a mail server.
#[derive(Clone, Debug)]
pub struct MailOptions {
    /// The host's name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The encryption.
    pub tls: TlsMode,
    /// The permission to connect without TLS.
    pub plaintext: Plaintext,
    /// The user for `AUTH`.
    pub user: Option<String>,
    /// The user's secret.
    pub secret: Option<SecretString>,
    /// This host's name in `EHLO`: a host name, or an address in brackets. It is never taken from the machine.
    pub ehlo: String,
    /// The author: `name@domain` or `Display name <name@domain>`. Its domain is also that of `Message-ID`.
    pub from: String,
    /// The mailbox for replies.
    pub reply_to: Option<String>,
    /// The address that bounces go to. Without it, they go to the author.
    pub envelope_sender: Option<String>,
    /// Certificates in PEM that are trusted besides those of the system.
    pub extra_ca: Option<String>,
    /// The time for name resolution and TCP connection.
    pub connect_limit: Duration,
    /// The time for a whole attempt.
    pub attempt_limit: Duration,
}

impl Default for MailOptions {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            tls: TlsMode::default(),
            plaintext: Plaintext::default(),
            user: None,
            secret: None,
            ehlo: String::new(),
            from: String::new(),
            reply_to: None,
            envelope_sender: None,
            extra_ca: None,
            connect_limit: Duration::from_secs(15),
            attempt_limit: Duration::from_secs(60),
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {problem}")]
pub struct MailOptionError {
    /// The field of [`MailOptions`].
    pub field: &'static str,
    /// The problem, and a valid alternative. It never contains the secret.
    pub problem: String,
}

/// All settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailOptionsError(pub Vec<MailOptionError>);

impl fmt::Display for MailOptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for MailOptionsError {}

/// The user and the secret for `AUTH`.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) secret: SecretString,
}

/// Settings that were checked.
#[derive(Debug)]
pub(super) struct CheckedOptions {
    pub(super) host: Host<String>,
    pub(super) port: u16,
    pub(super) tls: TlsMode,
    pub(super) plaintext: Plaintext,
    pub(super) login: Option<Login>,
    pub(super) ehlo: ClientId,
    pub(super) from: Mailbox,
    /// The domain of `From`, in ASCII.
    pub(super) domain: String,
    pub(super) reply_to: Option<Mailbox>,
    pub(super) envelope_sender: MailAddress,
    pub(super) extra_ca: Vec<CertificateDer<'static>>,
    pub(super) connect_limit: Duration,
    pub(super) attempt_limit: Duration,
}

/// Collects problems while values are parsed.
#[derive(Default)]
struct Problems(Vec<MailOptionError>);

impl Problems {
    fn add(&mut self, field: &'static str, problem: impl Into<String>) {
        let problem = problem.into();
        self.0.push(MailOptionError { field, problem });
    }

    fn take<T>(&mut self, field: &'static str, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.add(field, problem)).ok()
    }
}

impl MailOptions {
    /// The bounds of both time limits.
    const LIMITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(600));

    /// Checks all settings.
    pub(super) fn check(self) -> Result<CheckedOptions, MailOptionsError> {
        let mut problems = Problems::default();
        let host = problems.take("host", parse_host(&self.host));
        if self.port == 0 {
            let ports = "465 with implicit TLS, 587 with STARTTLS, 25 without TLS";
            problems.add("port", format!("it must not be 0; usual are {ports}"));
        }
        if self.tls == TlsMode::None && self.plaintext == Plaintext::Never {
            let hint =
                "permit it in `plaintext`, for a relay at a loopback address or one that you trust";
            problems.add(
                "tls",
                format!("connections without TLS are not permitted; {hint}"),
            );
        }
        let login = check_login(&mut problems, self.user, self.secret);
        if login.is_some() && self.tls == TlsMode::None && self.plaintext != Plaintext::Loopback {
            let problem = "it would be sent in clear; use TLS, or a relay at a loopback address";
            problems.add("secret", problem);
        }
        let ehlo = problems.take("ehlo", parse_ehlo(&self.ehlo));
        let from = problems.take("from", parse_mailbox(&self.from));
        let reply_to = self.reply_to.and_then(|text| {
            let parsed = problems.take("reply-to", parse_mailbox(&text));
            parsed.map(|(mailbox, _)| mailbox)
        });
        let envelope_sender = self.envelope_sender.and_then(|text| {
            let parsed = MailAddress::parse(&text).map_err(|error| error.to_string());
            problems.take("envelope-sender", parsed)
        });
        let extra_ca = match self.extra_ca {
            Some(pem) => problems.take("extra-ca", parse_certificates(&pem)),
            None => Some(Vec::new()),
        };
        let (least, most) = Self::LIMITS;
        for (field, limit) in [
            ("connect-limit", self.connect_limit),
            ("attempt-limit", self.attempt_limit),
        ] {
            if !(least..=most).contains(&limit) {
                problems.add(field, "it must be between 100 ms and 10 minutes");
            }
        }
        if self.connect_limit > self.attempt_limit {
            problems.add("connect-limit", "it must not exceed `attempt-limit`");
        }
        match (host, ehlo, from, extra_ca) {
            (Some(host), Some(ehlo), Some((from, address)), Some(extra_ca))
                if problems.0.is_empty() =>
            {
                Ok(CheckedOptions {
                    host,
                    port: self.port,
                    tls: self.tls,
                    plaintext: self.plaintext,
                    login,
                    ehlo,
                    from,
                    domain: address.domain().to_owned(),
                    reply_to,
                    envelope_sender: envelope_sender.unwrap_or(address),
                    extra_ca,
                    connect_limit: self.connect_limit,
                    attempt_limit: self.attempt_limit,
                })
            }
            _ => Err(MailOptionsError(problems.0)),
        }
    }
}

fn check_login(
    problems: &mut Problems,
    user: Option<String>,
    secret: Option<SecretString>,
) -> Option<Login> {
    match (user, secret) {
        (None, None) => None,
        (Some(_), None) => {
            problems.add("secret", "it is missing, but there is a `user`");
            None
        }
        (None, Some(_)) => {
            problems.add("user", "it is missing, but there is a `secret`");
            None
        }
        (Some(user), Some(secret)) => {
            // AUTH PLAIN separates its parts by NUL.
            if user.is_empty() || user.chars().any(char::is_control) {
                problems.add("user", "it is empty or has a control character");
            }
            let exposed = secret.expose_secret();
            if exposed.is_empty() || exposed.chars().any(char::is_control) {
                problems.add("secret", "it is empty or has a control character");
            }
            Some(Login { user, secret })
        }
    }
}

/// Parses a host name, or an address with or without brackets.
fn parse_host(text: &str) -> Result<Host<String>, String> {
    if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
        return Ok(Host::Ipv6(address));
    }
    match Host::parse(text) {
        Ok(host) if !text.contains('%') => Ok(host),
        _ => Err("it is not a host name or an IP address, such as mail.example.com".to_owned()),
    }
}

fn parse_ehlo(text: &str) -> Result<ClientId, String> {
    let literal = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(Ok(address)) = literal.map(str::parse) {
        return Ok(ClientId::Ipv4(address));
    }
    match parse_host(text) {
        Ok(Host::Domain(name)) => Ok(ClientId::Domain(name)),
        Ok(Host::Ipv6(address)) if literal.is_some() => Ok(ClientId::Ipv6(address)),
        _ => Err(
            "it is not a host name, such as relation.example.com, or an address in brackets, such as [192.0.2.1]"
                .to_owned(),
        ),
    }
}

fn parse_certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = found.map_err(|_| "it is not valid PEM".to_owned())?;
    if certificates.is_empty() {
        return Err("it holds no PEM certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        let added = roots.add(certificate.clone());
        added.map_err(|error| {
            format!("its certificate number {} is not valid: {error}", index + 1)
        })?;
    }
    Ok(certificates)
}
