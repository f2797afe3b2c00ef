//! The section `[traces]`: the collector to which spans of calls are sent.

use std::path::{Path, PathBuf};

use relation_host::egress::ProxyUrl;
use relation_toml::{DeValue, Table, ValueError};
use secrecy::SecretString;
use url::Url;

use super::values::{check_base_url, parse_flag, parse_fraction, parse_path, parse_text};

/// The share of calls whose spans are sent, if none is configured.
pub const DEFAULT_SAMPLE: f64 = 0.05;

/// The settings of traces, as the file gives them. Standard variables of OpenTelemetry apply where it gives none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TracesConfig {
    /// The address of the collector.
    pub endpoint: Option<Url>,
    /// A file with header fields for the collector.
    pub headers_file: Option<PathBuf>,
    /// The proxy on the way to the collector.
    pub proxy: Option<ProxyUrl>,
    /// The share of calls whose spans are sent.
    pub sample: Option<f64>,
    /// Whether spans have the primary key and the name of the customer.
    pub customers: bool,
}

impl TracesConfig {
    pub(super) fn read(&mut self, mut table: Table<'_, '_>, directory: &Path) {
        self.endpoint = table.get("endpoint", |value| Ok(check_base_url(&parse_text(value)?)?));
        self.headers_file = table.get("headers-file", |value| parse_path(value, directory));
        self.proxy = table.get("proxy", parse_proxy);
        self.sample = table.get("sample", parse_fraction);
        self.customers = table.get("customers", parse_flag).unwrap_or_default();
        table.close();
    }
}

fn parse_proxy(value: DeValue<'_>) -> Result<ProxyUrl, ValueError> {
    let text = SecretString::from(parse_text(value)?);
    let proxy = ProxyUrl::parse(&text).map_err(|error| error.to_string())?;
    match proxy.has_credentials() {
        true => Err("a proxy of the collector cannot have a user or password".into()),
        false => Ok(proxy),
    }
}

#[cfg(test)]
mod tests {
    use relation_toml::Source;

    use super::super::{Config, SettingError};
    use super::*;

    fn parse(text: &str) -> Result<TracesConfig, Vec<SettingError>> {
        let config = Config::parse(&Source::new(Path::new("/etc/relation.toml"), text));
        config.map(|config| config.traces)
    }

    #[test]
    fn every_key_is_read() {
        let traces = parse(
            "[traces]\nendpoint = \"https://collector.example.com:4318\"\nheaders-file = \"headers\"\n\
             proxy = \"http://proxy.example.com:3128\"\nsample = 1\ncustomers = true\n",
        );
        let proxy = ProxyUrl::parse(&"http://proxy.example.com:3128".into());
        let expected = TracesConfig {
            endpoint: Some("https://collector.example.com:4318".parse().unwrap()),
            headers_file: Some("/etc/headers".into()),
            proxy: proxy.ok(),
            sample: Some(1.0),
            customers: true,
        };
        assert_eq!(traces.unwrap(), expected);
        assert_eq!(parse("").unwrap(), TracesConfig::default());
    }

    #[test]
    fn all_errors_are_reported_together() {
        let errors = parse(
            "[traces]\nendpoint = \"http://user:canary@c\"\nheaders-file = 7\nproxy = \"http://u:canary@p\"\n\
             sample = 5\ncustomers = 1\nprotocol = \"grpc\"\n",
        );
        let errors = errors.unwrap_err();
        assert!(errors.iter().all(|error| !error.message.contains("canary")));
        let keys: Vec<_> = errors.into_iter().map(|error| error.key).collect();
        let expected = [
            "endpoint",
            "headers-file",
            "proxy",
            "sample",
            "customers",
            "protocol",
        ];
        assert_eq!(keys, expected.map(|key| format!("traces.{key}")));
    }
}
