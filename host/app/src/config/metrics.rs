//! The section `[metrics]`: where metrics and health are shown.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use relation_toml::Table;

use super::values::{parse_flag, parse_path};
use super::web::parse_socket;

/// The settings of metrics and health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The address to listen on; `None`: neither metrics nor health are shown.
    pub listen: Option<SocketAddr>,
    /// A file with the bearer token that is needed to read the metrics.
    pub token_file: Option<PathBuf>,
    /// Whether each customer has a gauge, up to 1000 customers.
    pub per_connection: bool,
}

impl MetricsConfig {
    pub(super) fn read(&mut self, mut table: Table<'_, '_>, directory: &Path) {
        let token_span = table.span_of("token-file");
        let has_address = table.span_of("listen").is_some();
        self.listen = table.get("listen", parse_socket);
        self.token_file = table.get("token-file", |value| parse_path(value, directory));
        self.per_connection = table.get("per-connection", parse_flag).unwrap_or_default();
        if let Some(span) = token_span.filter(|_| !has_address) {
            let message = "a token is of no use without metrics.listen: give both".to_owned();
            table.reader().report(&span, "metrics.token-file", message);
        }
        table.close();
    }
}

#[cfg(test)]
mod tests {
    use relation_toml::Source;

    use super::super::{Config, SettingError};
    use super::*;

    fn parse(text: &str) -> Result<MetricsConfig, Vec<SettingError>> {
        let config = Config::parse(&Source::new(Path::new("/etc/relation.toml"), text));
        config.map(|config| config.metrics)
    }

    #[test]
    fn every_key_is_read() {
        let metrics = parse(
            "[metrics]\nlisten = \"[::1]:9464\"\ntoken-file = \"scrape-token\"\nper-connection = true\n",
        );
        let expected = MetricsConfig {
            listen: Some("[::1]:9464".parse().unwrap()),
            token_file: Some("/etc/scrape-token".into()),
            per_connection: true,
        };
        assert_eq!(metrics.unwrap(), expected);
        assert_eq!(parse("").unwrap(), MetricsConfig::default());
    }

    #[test]
    fn all_errors_are_reported_together() {
        let errors = |text| {
            let errors = parse(text).unwrap_err().into_iter();
            errors.map(|error| error.key).collect::<Vec<_>>()
        };
        let found = errors("[metrics]\nlisten = \"9464\"\ntoken-file = 7\nport = 9464\n");
        let expected = ["metrics.listen", "metrics.token-file", "metrics.port"];
        assert_eq!(found, expected);
        let found = errors("[metrics]\ntoken-file = \"t\"\n");
        assert_eq!(found, ["metrics.token-file"]);
    }
}
