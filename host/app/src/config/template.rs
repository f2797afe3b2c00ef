//! The configuration file of a new installation.

use super::{Config, ConfigError};

/// The root of the API of the real Webex.
pub const DEFAULT_BASE_URL: &str = "https://webexapis.com/v1";
/// The redirect address if none is configured.
pub const DEFAULT_REDIRECT: &str = "http://127.0.0.1:8400/callback";

/// The options of a new installation.
#[derive(Clone, Debug, Default)]
pub struct NewConfig {
    /// The URL of the store, with a path relative to the file.
    pub store: Option<String>,
    /// The root of the API.
    pub base_url: Option<url::Url>,
    /// The client id of the integration. Without one, the file has an example as a comment.
    pub client_id: Option<String>,
    /// The redirect address.
    pub redirect: Option<String>,
}

impl NewConfig {
    /// Renders the commented file. It allows the host to reach only the API's server.
    pub fn render(&self) -> String {
        let store = quote(self.store.as_deref().unwrap_or("sqlite:relation.db"));
        let base_url = self.base_url.as_ref().map(|url| url.as_str());
        let base_url = base_url.unwrap_or(DEFAULT_BASE_URL).trim_end_matches('/');
        let origin = url::Url::parse(base_url).map(|url| url.origin().ascii_serialization());
        let allow = quote(&origin.unwrap_or_default());
        let base_url = quote(base_url);
        let client_id = match &self.client_id {
            Some(id) => format!("client-id = {}", quote(id)),
            None => "# client-id = \"C0123…\"".to_owned(),
        };
        let redirect = quote(self.redirect.as_deref().unwrap_or(DEFAULT_REDIRECT));
        format!(
            "\
# The configuration of relation-host. docs/configuration.md describes every key.
# Relative paths are relative to this file.

# The store of all durable data, and the key that seals the secrets in it. Back up both, apart from each other.
store = {store}
key-file = \"relation.key\"

[webex]
base-url = {base_url}
# The integration at https://developer.webex.com/my-apps, and a file with its client secret and nothing else.
{client_id}
client-secret-file = \"client-secret\"

[connect]
# Webex sends the browser here after a consent. Register it for the integration, character by character.
redirect = {redirect}
# How long a link waits for the consent. A link that is sent to another person needs days.
# lifetime = \"10m\"

[egress]
# The servers that this host may connect to. The import of Contact Center's sites needs the API of the customer's region
# too, such as \"https://api.wxcc-us1.cisco.com\".
allow = [{allow}]

# Alerts before a connection expires.
# [expiry]
# thresholds = [\"30d\", \"14d\", \"7d\", \"2d\"]

# E-mails about connections. docs/notices.md says who is told; `relation-host settings set` names the recipients.
# [notices.mail]
# host = \"relay.example.com\"
# user = \"relation\"
# password-file = \"mail-password\"
# ehlo = \"relation.example.com\"
# from = \"Webex connections <relation@example.com>\"

# Metrics for Prometheus at /metrics, and health at /livez and /readyz. Without an address, there are none.
# [metrics]
# listen = \"127.0.0.1:9464\"

# Traces of calls, for an OpenTelemetry collector. docs/traces.md says what they have.
# [traces]
# endpoint = \"http://127.0.0.1:4318\"
# sample = 0.05

# Log-in to the page at an OpenID provider, besides passwords. Register the redirect address there:
# web.public-url, followed by login/oidc/callback.
# [web.oidc]
# issuer = \"https://id.example.com\"
# client-id = \"relation\"
# client-secret-file = \"oidc-secret\"
# grants = [{{ group = \"noc\", role = \"operator\", node = \"sys\" }}]
"
        )
    }

    /// Returns the configuration that the file at `path` will have.
    ///
    /// # Errors
    /// A value cannot be used.
    pub fn parse(&self, path: &std::path::Path) -> Result<Config, ConfigError> {
        Config::parse_file(path, &self.render())
    }
}

/// Quotes a text for TOML, whose basic strings have the escapes of JSON.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn new_file_is_a_valid_configuration() {
        let config = NewConfig::default().parse(Path::new("etc/r.toml")).unwrap();
        assert_eq!(config.store.file(), Some(Path::new("etc/relation.db")));
        assert_eq!(config.settings["webex.base-url"], DEFAULT_BASE_URL);
        assert!(!config.settings.contains_key("webex.client-id"));
        assert_eq!(config.egress.allow, ["https://webexapis.com"]);
        assert_eq!(config.redirect.unwrap().as_str(), DEFAULT_REDIRECT);
    }

    #[test]
    fn examples_are_a_valid_configuration() {
        let text = NewConfig::default().render();
        let find = |section: &str| {
            let (_, examples) = text.split_once(&format!("# {section}")).unwrap();
            let example = examples.split("\n\n").next().unwrap().replace("\n# ", "\n");
            format!("{text}\n{section}{example}\n")
        };
        let parse = |text: &str| Config::parse_file(Path::new("r.toml"), text).unwrap();
        let config = parse(&find("[notices.mail]"));
        assert_eq!(config.notices.mail.unwrap().port, 587);
        let config = parse(&find("[metrics]"));
        assert_eq!(config.metrics.listen.unwrap().port(), 9464);
        let config = parse(&find("[traces]"));
        assert_eq!(config.traces.endpoint.unwrap().port(), Some(4318));
    }

    #[test]
    fn options_are_written_as_given() {
        let new = NewConfig {
            store: Some("sqlite:a \"b\"\\c.db".to_owned()),
            base_url: Some("http://127.0.0.1:8080/v1/".parse().unwrap()),
            client_id: Some("C\"1\\".to_owned()),
            redirect: Some("http://LOCALHOST:8400/Back".to_owned()),
        };
        let config = new.parse(Path::new("r.toml")).unwrap();
        assert_eq!(config.store.file(), Some(Path::new("a \"b\"\\c.db")));
        assert_eq!(
            config.settings["webex.base-url"],
            "http://127.0.0.1:8080/v1"
        );
        assert_eq!(config.egress.allow, ["http://127.0.0.1:8080"]);
        assert_eq!(config.settings["webex.client-id"], "C\"1\\");
        assert_eq!(
            config.redirect.unwrap().as_str(),
            "http://LOCALHOST:8400/Back"
        );
    }
}
