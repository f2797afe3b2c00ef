//! The section `[web.oidc]`: log-in at an OpenID provider, and the roles that its groups grant.

use std::path::{Path, PathBuf};

use relation_host::egress::Policy;
use relation_host::types::Hierarchy;
use relation_toml::{DeValue, Section, Table, ValueError};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use super::values::{
    check_base_url, parse_client_id, parse_list, parse_path, parse_targets, parse_text,
};
use crate::names::find_hidden_character;
use crate::{AppError, check_client_secret, secret_text};

/// The name of the client secret in errors.
const SECRET: &str = "the client secret (web.oidc.client-secret-file)";

static GRANT: Section = Section {
    name: "[[web.oidc.grants]]",
    keys: &["group", "role", "node"],
};

/// An OpenID provider at which people log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// The issuer, character by character as the provider names itself.
    pub issuer: String,
    /// The client id of this installation at the provider.
    pub client_id: String,
    /// The client secret.
    pub client_secret: OidcSecret,
    /// The scopes of a log-in; the first is `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token with the groups of a person.
    pub groups_claim: String,
    /// The claim of the ID token after which a new user is named.
    pub name_claim: String,
    /// The text of the button, if not the page's own.
    pub label: Option<String>,
    /// The person to ask about missing roles.
    pub contact: Option<String>,
    /// Further origins that may be reached, in the form of `egress.allow`.
    pub allow: Vec<String>,
    /// The roles of groups.
    pub grants: Vec<OidcGrant>,
}

/// A role that a group grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcGrant {
    /// The group, as the claim names it.
    pub group: String,
    /// The role: a built-in one, or a custom role by name or by pkid.
    pub role: String,
    /// The node at and below which the role is granted.
    pub node: Hierarchy,
}

/// The source of the client secret.
#[derive(Clone, Debug)]
pub enum OidcSecret {
    /// The secret itself.
    Text(SecretString),
    /// A file that contains only the secret. It is read at each log-in.
    File(PathBuf),
}

impl OidcSecret {
    /// Reads the secret.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold one secret.
    pub fn read(&self) -> Result<SecretString, AppError> {
        let file = match self {
            Self::Text(secret) => return Ok(secret.clone()),
            Self::File(file) => file,
        };
        let secret = secret_text::read_line_of_file(file, SECRET)?;
        check_client_secret(&secret, SECRET, &file.display())?;
        Ok(secret)
    }
}

impl PartialEq for OidcSecret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.expose_secret() == other.expose_secret(),
            (Self::File(one), Self::File(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for OidcSecret {}

impl OidcConfig {
    /// Reads the section. Returns `None` only after an error was reported.
    pub(super) fn read(mut table: Table<'_, '_>, directory: &Path) -> Option<Self> {
        let allow = table.get("allow", parse_targets).unwrap_or_default();
        let issuer = table.require("issuer", |value| parse_issuer(value, &allow));
        let client_id = table.require("client-id", parse_client_id);
        let client_secret = read_secret(&mut table, directory);
        let scopes = table.get("scopes", parse_scopes).unwrap_or_default();
        let mut claim = |key, default: &str| {
            let name = table.get(key, parse_text);
            name.unwrap_or_else(|| default.to_owned())
        };
        let groups_claim = claim("groups-claim", "groups");
        let name_claim = claim("name-claim", "preferred_username");
        let label = table.get("label", parse_text);
        let contact = table.get("contact", parse_text);
        let grants = read_grants(&mut table);
        table.close();
        Some(Self {
            issuer: issuer?,
            client_id: client_id?,
            client_secret: client_secret?,
            scopes: match scopes.is_empty() {
                true => vec!["openid".to_owned(), "profile".to_owned()],
                false => scopes,
            },
            groups_claim,
            name_claim,
            label,
            contact,
            allow,
            grants: grants?,
        })
    }

    /// Returns the origins that may be reached: that of the issuer, and the listed ones. An issuer without encryption is
    /// among the listed ones.
    pub fn origins(&self) -> Vec<String> {
        let issuer = Url::parse(&self.issuer).ok();
        let issuer = issuer.filter(|url| url.scheme() == "https");
        let origin = issuer.map(|url| url.origin().ascii_serialization());
        origin.into_iter().chain(self.allow.clone()).collect()
    }
}

fn read_secret(table: &mut Table<'_, '_>, directory: &Path) -> Option<OidcSecret> {
    table.expect_at_most_one(&["client-secret", "client-secret-file"]);
    if !table.has("client-secret") && !table.has("client-secret-file") {
        table.report_missing("client-secret-file");
    }
    let text = table.get("client-secret", |value| {
        let secret = SecretString::from(parse_text(value)?);
        let checked = check_client_secret(&secret, "the client secret", &"web.oidc.client-secret");
        checked.map_err(|error| error.message)?;
        Ok(secret)
    });
    let file = table.get("client-secret-file", |value| parse_path(value, directory));
    text.map(OidcSecret::Text).or(file.map(OidcSecret::File))
}

/// Reads the roles of groups. A user belongs to a node above all roles, so that all nodes must have the same top.
fn read_grants(table: &mut Table<'_, '_>) -> Option<Vec<OidcGrant>> {
    if !table.has("grants") {
        let message = "no group grants a role, so that nobody can log in: add [[web.oidc.grants]] with group, role and node";
        table.report(message);
        return None;
    }
    let mut grants: Vec<OidcGrant> = Vec::new();
    let mut are_valid = true;
    for mut each in table.tables("grants", &GRANT) {
        let group = each.require("group", parse_text);
        let role = each.require("role", parse_text);
        let node = each.require("node", parse_node);
        if let (Some(first), Some(node)) = (grants.first(), &node)
            && top(&first.node) != top(node)
        {
            let message = format!("{node} and {} have no common top node", first.node);
            each.report(message);
        }
        each.close();
        match (group, role, node) {
            (Some(group), Some(role), Some(node)) => grants.push(OidcGrant { group, role, node }),
            _ => are_valid = false,
        }
    }
    are_valid.then_some(grants)
}

fn top(node: &Hierarchy) -> Option<&str> {
    node.as_str().split('.').next()
}

/// Parses the issuer. Without encryption, it must be an address of this machine that `allow` lists.
fn parse_issuer(value: DeValue<'_>, allow: &[String]) -> Result<String, ValueError> {
    let text = parse_text(value)?;
    let url = check_base_url(&text)?;
    if url.scheme() == "https" {
        return Ok(text);
    }
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    };
    let policy = Policy::parse(allow).unwrap_or_default();
    let is_listed = text
        .parse::<http::Uri>()
        .is_ok_and(|uri| policy.check_target(&uri).is_ok());
    match is_loopback && is_listed {
        true => Ok(text),
        false => Err("must begin with https://; for tests, http:// and a loopback address that web.oidc.allow lists".into()),
    }
}

fn parse_scopes(value: DeValue<'_>) -> Result<Vec<String>, ValueError> {
    const EXPECTED: &str = "a list of scopes, such as [\"openid\", \"profile\"]";
    let mut scopes = parse_list(value, EXPECTED, |value| {
        let scope = parse_text(value)?;
        // RFC 6749, section 3.3.
        let is_token = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        match scope.chars().all(is_token) {
            true => Ok(scope),
            false => Err(format!("{scope:?} is not one scope: list each by itself").into()),
        }
    })?;
    scopes.retain(|scope| scope != "openid");
    scopes.insert(0, "openid".to_owned());
    Ok(scopes)
}

fn parse_node(value: DeValue<'_>) -> Result<Hierarchy, ValueError> {
    let text = parse_text(value)?;
    let node: Hierarchy = text
        .parse()
        .map_err(|error: relation_host::types::InvalidHierarchy| error.to_string())?;
    match find_hidden_character(node.as_str()) {
        Some(error) => Err(error.into()),
        None => Ok(node),
    }
}

#[cfg(test)]
mod tests {
    use relation_toml::Source;

    use super::super::{Config, SettingError};
    use super::*;

    fn parse(text: &str) -> Result<OidcConfig, Vec<SettingError>> {
        let config = Config::parse(&Source::new(Path::new("/etc/relation.toml"), text));
        config.map(|config| config.web.oidc.expect("the section is there"))
    }

    const LEAST: &str = "[web.oidc]\nissuer = \"https://id.example.com/\"\nclient-id = \"relation\"\n\
        client-secret-file = \"oidc-secret\"\n\
        grants = [{ group = \"noc\", role = \"operator\", node = \"sys.A\" }]\n";

    #[test]
    fn least_section_has_defaults() {
        let config = parse(LEAST).unwrap();
        assert_eq!(config.issuer, "https://id.example.com/");
        let file = OidcSecret::File("/etc/oidc-secret".into());
        assert_eq!(config.client_secret, file);
        assert_eq!(config.scopes, ["openid", "profile"]);
        assert_eq!(config.groups_claim, "groups");
        assert_eq!(config.name_claim, "preferred_username");
        assert_eq!(config.origins(), ["https://id.example.com"]);
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            r#"
            [web.oidc]
            issuer = "http://127.0.0.1:9000"
            client-id = "relation"
            client-secret = "s3cret"
            scopes = ["groups", "openid"]
            groups-claim = "roles"
            name-claim = "email"
            label = "Log in with Example"
            contact = "the identity team"
            allow = ["http://127.0.0.1:9000", "https://keys.example.com"]
            [[web.oidc.grants]]
            group = "noc"
            role = "operator"
            node = "sys.A"
            [[web.oidc.grants]]
            group = "admins"
            role = "provider-administrator"
            node = "sys"
            "#,
        );
        let config = config.unwrap();
        let grant = |group: &str, role: &str, node: &str| OidcGrant {
            group: group.to_owned(),
            role: role.to_owned(),
            node: node.parse().unwrap(),
        };
        let expected = OidcConfig {
            issuer: "http://127.0.0.1:9000".to_owned(),
            client_id: "relation".to_owned(),
            client_secret: OidcSecret::Text("s3cret".into()),
            scopes: vec!["openid".to_owned(), "groups".to_owned()],
            groups_claim: "roles".to_owned(),
            name_claim: "email".to_owned(),
            label: Some("Log in with Example".to_owned()),
            contact: Some("the identity team".to_owned()),
            allow: ["http://127.0.0.1:9000", "https://keys.example.com"]
                .map(str::to_owned)
                .to_vec(),
            grants: vec![
                grant("noc", "operator", "sys.A"),
                grant("admins", "provider-administrator", "sys"),
            ],
        };
        assert_eq!(config, expected);
        assert_eq!(config.origins(), config.allow);
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn node_has_no_hidden_character() {
        let errors = parse(&LEAST.replace("sys.A", "sys.A\u{200b}")).unwrap_err();
        let error = &errors[0].message;
        assert!(error.contains("the character U+200B"), "{error}");
    }

    #[test]
    fn all_errors_are_reported_together() {
        let errors = parse(
            r#"
            [web.oidc]
            issuer = "http://id.example.com"
            client-id = "a b"
            client-secret = "s3cret s3cret"
            client-secret-file = "file"
            scopes = ["openid profile"]
            allow = ["id.example.com"]
            lable = "x"
            [[web.oidc.grants]]
            group = "noc"
            role = 7
            node = "sys"
            [[web.oidc.grants]]
            group = "admins"
            role = "auditor"
            node = "sys..A"
            "#,
        );
        let errors = errors.unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        let expected = [
            "web.oidc.issuer",
            "web.oidc.client-id",
            "web.oidc.client-secret",
            "web.oidc.client-secret-file",
            "web.oidc.scopes",
            "web.oidc.allow",
            "web.oidc.lable",
            "web.oidc.grants[1].role",
            "web.oidc.grants[2].node",
        ];
        assert_eq!(keys, expected, "{errors:?}");
        assert!(!format!("{errors:?}").contains("s3cret"), "{errors:?}");
    }

    #[test]
    fn missing_keys_are_named() {
        let errors = parse("[web.oidc]\n").unwrap_err();
        let text = format!("{errors:?}");
        for missing in ["issuer", "client-id", "client-secret-file", "grants"] {
            assert!(text.contains(missing), "{missing}: {text}");
        }
    }

    #[test]
    fn unencrypted_issuer_must_be_listed_and_local() {
        for (issuer, allow, is_valid) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000", true),
            ("http://[::1]:9000", "http://[::1]:9000", true),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9001", false),
            ("http://10.0.0.5", "http://10.0.0.5", false),
            ("http://id.example.com", "http://id.example.com", false),
            ("https://id.example.com", "https://other.example.com", true),
        ] {
            let text = LEAST.replace("https://id.example.com/", issuer);
            let text = format!("{text}allow = [\"{allow}\"]\n");
            assert_eq!(parse(&text).is_ok(), is_valid, "{issuer} {allow}");
        }
    }

    #[test]
    fn nodes_must_have_one_top() {
        let text = LEAST.replace(
            "node = \"sys.A\" }",
            "node = \"sys.A\" }, { group = \"b\", role = \"auditor\", node = \"other\" }",
        );
        let errors = parse(&text).unwrap_err();
        assert!(
            errors[0].message.contains("no common top node"),
            "{errors:?}"
        );
    }
}
