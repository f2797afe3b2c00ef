//! The section `[temporal]`: the server of Temporal, for `relation-temporal`.

use std::path::{Path, PathBuf};

use relation_toml::{DeValue, Table, ValueError};
use url::Url;

use super::values::{parse_path, parse_text};

const ADDRESS: &str =
    "an address such as http://127.0.0.1:7233 or https://temporal.example.com:7233";

/// The settings of the Temporal server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemporalConfig {
    /// The address of the server's frontend. With `https`, the connection uses TLS.
    pub address: String,
    /// The namespace of the workflows.
    pub namespace: String,
    /// The task queue that the workers poll.
    pub task_queue: String,
    /// A file with an API key, which is sent with each request.
    pub api_key_file: Option<PathBuf>,
    /// A PEM file of the certificate authority that issued the server's certificate.
    pub ca_file: Option<PathBuf>,
    /// The PEM files of the client's certificate and of its private key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

impl Default for TemporalConfig {
    fn default() -> Self {
        Self {
            address: "http://127.0.0.1:7233".to_owned(),
            namespace: "default".to_owned(),
            task_queue: "relation".to_owned(),
            api_key_file: None,
            ca_file: None,
            client_certificate: None,
        }
    }
}

impl TemporalConfig {
    pub(super) fn read(&mut self, mut table: Table<'_, '_>, directory: &Path) {
        let certificate_span = table.span_of("client-certificate");
        let key_span = table.span_of("client-key");
        if let Some(address) = table.get("address", parse_address) {
            self.address = address;
        }
        if let Some(namespace) = table.get("namespace", parse_name) {
            self.namespace = namespace;
        }
        if let Some(task_queue) = table.get("task-queue", parse_name) {
            self.task_queue = task_queue;
        }
        self.api_key_file = table.get("api-key-file", |value| parse_path(value, directory));
        self.ca_file = table.get("ca", |value| parse_path(value, directory));
        let certificate = table.get("client-certificate", |value| parse_path(value, directory));
        let key = table.get("client-key", |value| parse_path(value, directory));
        self.client_certificate = certificate.zip(key);
        let alone = match (&certificate_span, &key_span) {
            (Some(span), None) => Some((span, "temporal.client-certificate")),
            (None, Some(span)) => Some((span, "temporal.client-key")),
            _ => None,
        };
        if let Some((span, key)) = alone {
            let message = "a certificate and its key are only of use together: give both";
            table.reader().report(span, key, message.to_owned());
        }
        table.close();
    }
}

fn parse_address(value: DeValue<'_>) -> Result<String, ValueError> {
    let text = parse_text(value)?;
    let is_origin = |url: &Url| {
        let is_http = matches!(url.scheme(), "http" | "https");
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        is_http
            && is_bare
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    };
    match Url::parse(&text) {
        Ok(url) if is_origin(&url) => Ok(text),
        _ => Err(format!("expected {ADDRESS}").into()),
    }
}

fn parse_name(value: DeValue<'_>) -> Result<String, ValueError> {
    let text = parse_text(value)?;
    match text.trim().is_empty() {
        true => Err("must not be empty".into()),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use relation_toml::Source;

    use super::super::{Config, DispatchEngine, SettingError};
    use super::*;

    fn parse(text: &str) -> Result<Config, Vec<SettingError>> {
        Config::parse(&Source::new(Path::new("/etc/relation.toml"), text))
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            r#"
            [dispatch]
            engine = "temporal"
            [temporal]
            address = "https://temporal.example.com:7233"
            namespace = "webex"
            task-queue = "connections"
            api-key-file = "key"
            ca = "ca.pem"
            client-certificate = "client.pem"
            client-key = "client.key"
            "#,
        );
        let config = config.unwrap();
        let expected = TemporalConfig {
            address: "https://temporal.example.com:7233".to_owned(),
            namespace: "webex".to_owned(),
            task_queue: "connections".to_owned(),
            api_key_file: Some("/etc/key".into()),
            ca_file: Some("/etc/ca.pem".into()),
            client_certificate: Some(("/etc/client.pem".into(), "/etc/client.key".into())),
        };
        assert_eq!(config.temporal, expected);
        assert_eq!(config.dispatch.engine, DispatchEngine::Temporal);
        let config = parse("").unwrap();
        assert_eq!(config.temporal, TemporalConfig::default());
        assert_eq!(config.dispatch.engine, DispatchEngine::Host);
    }

    #[test]
    fn all_errors_are_reported_together() {
        let text = "[dispatch]\nengine = \"cron\"\n[temporal]\naddress = \"temporal:7233\"\nnamespace = \"\"\n\
                    client-key = \"k\"\nport = 1\n";
        let errors = parse(text).unwrap_err().into_iter();
        let keys: Vec<_> = errors.map(|error| error.key).collect();
        let expected = [
            "dispatch.engine",
            "temporal.address",
            "temporal.namespace",
            "temporal.client-key",
            "temporal.port",
        ];
        assert_eq!(keys, expected);
    }
}
