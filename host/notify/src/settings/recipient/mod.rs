//! Recipients: e-mail addresses, webhook endpoints and SNMP targets. Their secrets are stored apart, for their id.

mod read;

use std::fmt;

use email_address::{EmailAddress, Options};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use url::{Host, Url};

pub(super) use self::read::read_recipient;
use super::reader::{Errors, join};

/// The path in place of a webhook's hidden one.
pub const HIDDEN_PATH: &str = "/…";
/// The same path as a URL has it.
const ENCODED_PATH: &str = "/%E2%80%A6";
/// The maximum number of bytes of an address, RFC 5321.
const MAX_ADDRESS: usize = 254;

/// The channel of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelKind {
    /// E-mail.
    Mail,
    /// An HTTP request to an endpoint.
    Webhook,
    /// An SNMP trap or inform.
    Snmp,
}

impl ChannelKind {
    /// All channels.
    pub const ALL: [Self; 3] = [Self::Mail, Self::Webhook, Self::Snmp];

    /// Returns the name in settings and ids.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
            Self::Snmp => "snmp",
        }
    }
}

/// A recipient of notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// A person or a mailing list.
    Mail(MailAddress),
    /// An endpoint of another system.
    Webhook(WebhookEndpoint),
    /// A receiver of traps or informs.
    Snmp(SnmpTarget),
}

/// An e-mail address without a display name. Its domain may be internationalized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAddress {
    text: String,
    ascii: String,
}

/// A webhook endpoint. Its secret is stored for its id, and its whole address too if it has a path.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookEndpoint {
    /// The id, which stays the same when the address changes.
    pub id: String,
    /// The name for administrators.
    pub name: String,
    /// The address, which is stored with a hidden path. The path may be confidential, so that debug output leaves it out.
    pub url: Url,
}

/// A receiver of SNMP notifications. Its community or keys are stored for its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnmpTarget {
    /// The id, which stays the same when the address changes.
    pub id: String,
    /// The name for administrators.
    pub name: String,
    /// The host's name or IP address, without brackets.
    pub host: String,
    /// The UDP port.
    pub port: u16,
    /// The version, with the names of version 3.
    pub version: SnmpVersion,
    /// Whether the receiver acknowledges.
    pub kind: SnmpKind,
}

/// The version of SNMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnmpVersion {
    /// Version 2c, with a community.
    V2c,
    /// Version 3 with authentication and privacy (AES-128).
    V3 {
        /// The name of the user.
        user: String,
        /// The name of the context, usually empty.
        context: String,
        /// The algorithm of the authentication.
        auth: SnmpAuth,
    },
}

/// The algorithm of the authentication in SNMP version 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnmpAuth {
    /// SHA-1, for old receivers; the operator must allow it.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// The kind of an SNMP notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnmpKind {
    /// Not acknowledged.
    #[default]
    Trap,
    /// Acknowledged, and repeated without an acknowledgment.
    Inform,
}

impl SnmpAuth {
    const WORDS: [(&'static str, Self); 4] = [
        ("sha-256", Self::Sha256),
        ("sha-384", Self::Sha384),
        ("sha-512", Self::Sha512),
        ("sha-1", Self::Sha1),
    ];

    /// Returns the name in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }
}

impl SnmpKind {
    const WORDS: [(&'static str, Self); 2] = [("trap", Self::Trap), ("inform", Self::Inform)];

    /// Returns the name in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Inform => "inform",
        }
    }
}

impl fmt::Debug for WebhookEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookEndpoint")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("host", &self.url.host_str().unwrap_or_default())
            .finish_non_exhaustive()
    }
}

impl MailAddress {
    /// Parses an address. The text may be hostile.
    ///
    /// # Errors
    /// The end of an error text.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "is not an e-mail address such as noc@example.com";
        let text = text.trim();
        let options = Options::default()
            .with_required_tld()
            .without_display_text()
            .without_domain_literal();
        if text.len() > MAX_ADDRESS {
            return Err(format!("is longer than {MAX_ADDRESS} bytes"));
        }
        if text.contains(['<', '>']) {
            return Err(format!("{EXPECTED}; leave the name and the brackets out"));
        }
        if EmailAddress::parse_with_options(text, options).is_err() {
            return Err(EXPECTED.to_owned());
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EXPECTED)?;
        if !local.is_ascii() || local.starts_with('"') {
            return Err(
                "has characters before the @ that many mail servers do not accept; use ASCII without quotes"
                    .to_owned(),
            );
        }
        let Ok(Host::Domain(domain)) = Host::parse(domain) else {
            return Err("does not have a domain name after the @".to_owned());
        };
        let ascii = format!("{local}@{domain}");
        if ascii.len() > MAX_ADDRESS {
            return Err(format!("is longer than {MAX_ADDRESS} bytes"));
        }
        Ok(Self {
            text: text.to_owned(),
            ascii,
        })
    }

    /// Returns the address as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the address with its domain in ASCII (punycode), as mail servers need it.
    #[must_use]
    pub fn as_ascii(&self) -> &str {
        &self.ascii
    }

    /// Returns the text by which two addresses count as the same one.
    fn key(&self) -> String {
        self.ascii.to_ascii_lowercase()
    }
}

/// Returns whether a webhook's address has [`HIDDEN_PATH`] in place of its path.
#[must_use]
pub fn is_path_hidden(url: &Url) -> bool {
    url.path() == ENCODED_PATH && url.query().is_none()
}

impl WebhookEndpoint {
    /// Hides the path and the query of the address.
    pub fn hide_path(&mut self) {
        if self.has_path() {
            self.url.set_path(HIDDEN_PATH);
            self.url.set_query(None);
        }
    }

    /// Returns whether the address has [`HIDDEN_PATH`] in place of its path.
    #[must_use]
    pub fn is_path_hidden(&self) -> bool {
        is_path_hidden(&self.url)
    }

    /// Returns whether the address has a path or a query.
    #[must_use]
    pub fn has_path(&self) -> bool {
        self.url.path() != "/" || self.url.query().is_some()
    }
}

impl SnmpTarget {
    /// Returns host and port, such as `noc.example.net:162` or `[2001:db8::1]:162`.
    #[must_use]
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl Recipient {
    /// The names of all members.
    const FIELDS: [&'static str; 10] = [
        "type", "id", "name", "address", "url", "version", "kind", "user", "context", "auth",
    ];

    /// Returns the channel to the recipient.
    #[must_use]
    pub const fn channel(&self) -> ChannelKind {
        match self {
            Self::Mail(_) => ChannelKind::Mail,
            Self::Webhook(_) => ChannelKind::Webhook,
            Self::Snmp(_) => ChannelKind::Snmp,
        }
    }

    /// Returns the id for which secrets are stored. An e-mail address has none.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Mail(_) => None,
            Self::Webhook(endpoint) => Some(&endpoint.id),
            Self::Snmp(target) => Some(&target.id),
        }
    }

    /// Returns the key of the recipient among those of one level: the address of a mailbox, else the id.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Mail(address) => address.key(),
            Self::Webhook(WebhookEndpoint { id, .. }) | Self::Snmp(SnmpTarget { id, .. }) => {
                id.clone()
            }
        }
    }

    /// Returns where the recipient is, by which a repetition in one list is found.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Mail(address) => address.key(),
            // Different paths look the same when they are hidden.
            Self::Webhook(endpoint) if endpoint.is_path_hidden() => {
                format!("{} {}", endpoint.url, endpoint.id)
            }
            Self::Webhook(endpoint) => endpoint.url.as_str().to_owned(),
            Self::Snmp(target) => format!("{} {:?}", target.address(), target.version),
        }
    }
}

/// The JSON format of a recipient.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum RecipientJson<'r> {
    Mail {
        address: &'r str,
    },
    Webhook {
        id: &'r str,
        name: &'r str,
        url: &'r Url,
    },
    Snmp {
        id: &'r str,
        name: &'r str,
        address: String,
        version: &'static str,
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'r str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<&'r str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        auth: Option<&'static str>,
    },
}

impl Serialize for Recipient {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = match self {
            Self::Mail(address) => RecipientJson::Mail {
                address: address.as_str(),
            },
            Self::Webhook(endpoint) => RecipientJson::Webhook {
                id: &endpoint.id,
                name: &endpoint.name,
                url: &endpoint.url,
            },
            Self::Snmp(target) => {
                let (version, user, context, auth) = match &target.version {
                    SnmpVersion::V2c => ("v2c", None, None, None),
                    SnmpVersion::V3 {
                        user,
                        context,
                        auth,
                    } => (
                        "v3",
                        Some(user.as_str()),
                        Some(context.as_str()).filter(|context| !context.is_empty()),
                        Some(auth.as_str()),
                    ),
                };
                RecipientJson::Snmp {
                    id: &target.id,
                    name: &target.name,
                    address: target.address(),
                    version,
                    kind: target.kind.as_str(),
                    user,
                    context,
                    auth,
                }
            }
        };
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Recipient {
    /// Reads a recipient that was stored.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let mut errors = Errors::default();
        let recipient = read_recipient(&value, "", &mut errors, true);
        let errors = errors.into_result(()).err().unwrap_or_default();
        let texts = errors.iter().map(|error| {
            let field = join("recipient", &error.field);
            format!("{field} {}", error.message)
        });
        let texts = texts.collect::<Vec<_>>().join("; ");
        recipient
            .filter(|_| texts.is_empty())
            .ok_or_else(|| D::Error::custom(texts))
    }
}
