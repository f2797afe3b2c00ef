//! The section `[web]`: where the API and the page listen, and how long sessions and links last.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use relation_toml::{DeValue, Table, ValueError};
use url::Url;

use crate::{AppError, ErrorKind};

use super::oidc::OidcConfig;
use super::values::{
    check_base_url, parse_callback_origins, parse_duration, parse_list, parse_path, parse_positive,
    parse_text,
};

/// The port of the API and the page if none is configured.
const DEFAULT_PORT: u16 = 8400;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The settings of the API and the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The address under which browsers reach the page; by default, the one that is listened on.
    pub public_url: Option<Url>,
    /// The certificate chain and the private key, as PEM files.
    pub tls: Option<TlsFiles>,
    /// The addresses of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// How long a session lasts without a request.
    pub session_idle: Duration,
    /// How long a session lasts at most.
    pub session_lifetime: Duration,
    /// How long a consent link that is handed on stays valid.
    pub consent_link_lifetime: Duration,
    /// How long events of the audit log are kept.
    pub audit_retention: Duration,
    /// How many requests one user or API key may send in a minute.
    pub requests_per_minute: NonZeroU32,
    /// How long requests are still accepted after a stop was requested, for load balancers.
    pub drain: Duration,
    /// The origins that callbacks may be posted to.
    pub callback_origins: Vec<String>,
    /// The OpenID provider at which people log in.
    pub oidc: Option<OidcConfig>,
}

/// The files of a TLS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            public_url: None,
            tls: None,
            trusted_proxies: Vec::new(),
            session_idle: 30 * MINUTE,
            session_lifetime: DAY / 2,
            consent_link_lifetime: 3 * DAY,
            audit_retention: 365 * DAY,
            requests_per_minute: NonZeroU32::new(1200).unwrap_or(NonZeroU32::MAX),
            drain: Duration::ZERO,
            callback_origins: Vec::new(),
            oidc: None,
        }
    }
}

impl WebConfig {
    pub(super) fn read(&mut self, mut table: Table<'_, '_>, directory: &Path) {
        if let Some(listen) = table.get("listen", parse_socket) {
            self.listen = listen;
        }
        self.public_url = table.get("public-url", parse_public_url);
        let span = table
            .span_of("tls-certificate")
            .or(table.span_of("tls-key"));
        let certificate = table.get("tls-certificate", |value| parse_path(value, directory));
        let key = table.get("tls-key", |value| parse_path(value, directory));
        match (certificate, key) {
            (Some(certificate), Some(key)) => self.tls = Some(TlsFiles { certificate, key }),
            (None, None) => {}
            _ => {
                if let Some(span) = span {
                    let message = "tls-certificate and tls-key belong together: give both";
                    let reader = table.reader();
                    reader.report(&span, "web.tls-certificate", message.to_owned());
                }
            }
        }
        let proxies = table.get("trusted-proxies", |value| {
            parse_list(
                value,
                "a list of addresses, such as [\"10.0.0.5\"]",
                parse_ip,
            )
        });
        self.trusted_proxies = proxies.unwrap_or_default();
        for (key, target) in [
            ("session-idle", &mut self.session_idle),
            ("session-lifetime", &mut self.session_lifetime),
            ("consent-link-lifetime", &mut self.consent_link_lifetime),
            ("audit-retention", &mut self.audit_retention),
            ("drain", &mut self.drain),
        ] {
            if let Some(duration) = table.get(key, parse_duration) {
                *target = duration;
            }
        }
        let rate = table.get("requests-per-minute", parse_positive);
        if let Some(rate) = rate.and_then(NonZeroU32::new) {
            self.requests_per_minute = rate;
        }
        let origins = table.get("callback-origins", parse_callback_origins);
        self.callback_origins = origins.unwrap_or_default();
        if let Some(section) = table.undeclared_table("oidc") {
            self.oidc = OidcConfig::read(section, directory);
        }
        table.close();
    }

    /// Returns the address under which browsers reach the page: the configured one, or the one that is listened on. It
    /// ends with a slash.
    ///
    /// # Errors
    /// No name is configured, and the host listens on all addresses of the machine.
    pub fn public_url(&self) -> Result<Url, AppError> {
        if self.public_url.is_none() && self.listen.ip().is_unspecified() {
            let message = format!(
                "the host listens on {}, which is not an address for a browser",
                self.listen
            );
            let hint = "set web.public-url, such as \"https://relation.example.com/\"";
            return Err(AppError::new(ErrorKind::Problem, message).hint(hint));
        }
        let scheme = match self.tls {
            Some(_) => "https",
            None => "http",
        };
        let mut url = match &self.public_url {
            Some(url) => url.clone(),
            None => Url::parse(&format!("{scheme}://{}/", self.listen))
                .map_err(|error| AppError::new(ErrorKind::Internal, error.to_string()))?,
        };
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(url)
    }

    /// Refuses to serve other machines without encryption, unless a trusted proxy encrypts.
    ///
    /// # Errors
    /// The host would listen on an address of the network without TLS and without a proxy.
    pub fn check_encryption(&self) -> Result<(), AppError> {
        let is_protected = self.tls.is_some() || !self.trusted_proxies.is_empty();
        if is_protected || self.listen.ip().is_loopback() {
            return Ok(());
        }
        let message = format!(
            "passwords and tokens would cross the network unencrypted: {} is not a loopback address",
            self.listen
        );
        Err(AppError::new(ErrorKind::Problem, message).hint(
            "set web.tls-certificate and web.tls-key, or name the proxy that encrypts in web.trusted-proxies",
        ))
    }
}

pub(super) fn parse_socket(value: DeValue<'_>) -> Result<SocketAddr, ValueError> {
    let text = parse_text(value)?;
    let parsed = text.parse();
    Ok(parsed.map_err(|_| {
        format!("{text:?} is not an address with a port, such as \"127.0.0.1:8400\"")
    })?)
}

fn parse_ip(value: DeValue<'_>) -> Result<IpAddr, ValueError> {
    let text = parse_text(value)?;
    let parsed = text.parse();
    Ok(parsed.map_err(|_| format!("{text:?} is not an IP address, such as \"10.0.0.5\""))?)
}

fn parse_public_url(value: DeValue<'_>) -> Result<Url, ValueError> {
    Ok(check_base_url(&parse_text(value)?)?)
}

#[cfg(test)]
mod tests {
    use relation_toml::Source;

    use super::super::{Config, SettingError};
    use super::*;

    fn parse(text: &str) -> Result<WebConfig, Vec<SettingError>> {
        let config = Config::parse(&Source::new(Path::new("/etc/relation.toml"), text));
        config.map(|config| config.web)
    }

    #[test]
    fn every_key_is_read() {
        let web = parse(
            r#"
            [web]
            listen = "[::]:443"
            public-url = "https://relation.example.com"
            tls-certificate = "cert.pem"
            tls-key = "/keys/key.pem"
            trusted-proxies = ["10.0.0.5", "fd00::5"]
            session-idle = "10m"
            session-lifetime = "8h"
            consent-link-lifetime = "7d"
            audit-retention = "90d"
            requests-per-minute = 60000
            drain = "15s"
            callback-origins = ["https://*.example.com", "http://10.0.0.7:9000"]
            "#,
        );
        let expected = WebConfig {
            listen: "[::]:443".parse().unwrap(),
            public_url: Some("https://relation.example.com".parse().unwrap()),
            tls: Some(TlsFiles {
                certificate: "/etc/cert.pem".into(),
                key: "/keys/key.pem".into(),
            }),
            trusted_proxies: vec!["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()],
            session_idle: 10 * MINUTE,
            session_lifetime: 480 * MINUTE,
            consent_link_lifetime: 7 * DAY,
            audit_retention: 90 * DAY,
            requests_per_minute: NonZeroU32::new(60_000).unwrap(),
            drain: Duration::from_secs(15),
            callback_origins: ["https://*.example.com", "http://10.0.0.7:9000"]
                .map(str::to_owned)
                .to_vec(),
            oidc: None,
        };
        assert_eq!(web.unwrap(), expected);
    }

    #[test]
    fn all_errors_are_reported_together() {
        let errors = parse(
            "web.listen = \"8400\"\nweb.public-url = \"relation\"\nweb.tls-key = \"k\"\n\
             web.trusted-proxies = [\"proxy\"]\nweb.session-idle = \"soon\"\nweb.tls = true\n\
             web.callback-origins = [\"receiver\"]\n",
        );
        let errors = errors.unwrap_err();
        let mut keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        keys.sort_unstable();
        let expected = [
            "web.callback-origins",
            "web.listen",
            "web.public-url",
            "web.session-idle",
            "web.tls",
            "web.tls-certificate",
            "web.trusted-proxies",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn public_url_follows_the_listener() {
        let mut web = WebConfig::default();
        assert_eq!(web.public_url().unwrap().as_str(), "http://127.0.0.1:8400/");
        web.listen = "[::1]:443".parse().unwrap();
        web.tls = Some(TlsFiles {
            certificate: "cert.pem".into(),
            key: "key.pem".into(),
        });
        assert_eq!(web.public_url().unwrap().as_str(), "https://[::1]/");
        web.public_url = Some("https://relation.example.com/webex".parse().unwrap());
        let url = web.public_url().unwrap();
        assert_eq!(url.as_str(), "https://relation.example.com/webex/");
    }

    #[test]
    fn network_address_needs_encryption_and_a_public_url() {
        let mut web = WebConfig {
            listen: "0.0.0.0:8400".parse().unwrap(),
            ..WebConfig::default()
        };
        assert!(web.public_url().is_err());
        assert!(web.check_encryption().is_err());
        web.trusted_proxies = vec!["10.0.0.5".parse().unwrap()];
        assert!(web.check_encryption().is_ok());
    }
}
