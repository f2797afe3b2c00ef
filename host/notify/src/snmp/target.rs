//! A receiver of traps or informs: its address, and how this host authenticates itself there.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use url::Host;

use super::objects::MibRoot;
use super::usm::AuthProtocol;

/// The port for notifications (RFC 3417 section 3).
pub const DEFAULT_PORT: u16 = 162;
/// The shortest password (RFC 3414 section 11.2).
const MIN_PASSWORD: usize = 8;
/// The longest password, which only bounds the input.
const MAX_PASSWORD: usize = 256;
/// The longest community, so that a message fits into a datagram.
const MAX_COMMUNITY: usize = 128;
/// The longest user name (RFC 3414, `usmUserName`).
const MAX_USER: usize = 32;

/// The settings of one receiver. [`SnmpTarget::validate`] reports all their errors.
#[derive(Clone, Debug)]
pub struct SnmpTarget {
    /// A host name or an address, with a port if it is not 162: `nms.example.com`, `192.0.2.1:1162`,
    /// `[2001:db8::1]:162`.
    pub address: String,
    /// The version of SNMP, with its credentials.
    pub version: SnmpVersion,
    /// Whether the receiver confirms notifications.
    pub kind: SnmpKind,
    /// The root of the MIB, which depends on the enterprise number.
    pub root: MibRoot,
    /// Permits HMAC-SHA-1, which RFC 7860 replaces.
    pub allow_sha1: bool,
}

/// The version of SNMP, with its credentials.
#[derive(Clone, Debug)]
pub enum SnmpVersion {
    /// SNMP v2c, whose community is sent in clear.
    V2c {
        /// The community.
        community: SecretString,
    },
    /// SNMPv3 with the User-based Security Model.
    V3 {
        /// The user name, which is sent in clear.
        user: String,
        /// The security level.
        level: SecurityLevel,
        /// The authentication.
        auth: SnmpAuth,
        /// The encryption; present if and only if the level has it.
        privacy: Option<SnmpPrivacy>,
    },
}

/// The security level of SNMPv3. Notifications without authentication are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecurityLevel {
    /// Authenticated, and not encrypted.
    AuthNoPriv,
    /// Authenticated and encrypted.
    AuthPriv,
}

/// The authentication of a user.
#[derive(Clone, Debug)]
pub struct SnmpAuth {
    /// The protocol.
    pub protocol: AuthProtocol,
    /// The password.
    pub secret: SecretString,
}

/// The encryption for a user, by AES-128.
#[derive(Clone, Debug)]
pub struct SnmpPrivacy {
    /// The password.
    pub secret: SecretString,
}

/// The kind of notifications, with or without the receiver's confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnmpKind {
    /// Not confirmed.
    Trap,
    /// Confirmed.
    Inform,
}

/// A parsed address of a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetAddress {
    /// The name or address.
    pub host: Host,
    /// The UDP port.
    pub port: u16,
}

impl fmt::Display for TargetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The errors of a target's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", join(.0))]
pub struct InvalidTarget(pub Vec<TargetError>);

fn join(errors: &[TargetError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// An error of a target's settings. Its text never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct TargetError {
    /// The setting, such as `auth.secret`.
    pub field: &'static str,
    /// The problem, and a valid alternative.
    pub problem: String,
}

impl SnmpTarget {
    /// Checks all settings and returns the parsed address.
    ///
    /// # Errors
    /// All errors.
    pub fn validate(&self) -> Result<TargetAddress, InvalidTarget> {
        let mut errors = Vec::new();
        let mut report = |field, problem: String| errors.push(TargetError { field, problem });
        let address = TargetAddress::parse(&self.address)
            .map_err(|problem| report("address", problem))
            .ok();
        match &self.version {
            SnmpVersion::V2c { community } => {
                check_length(community, 1..=MAX_COMMUNITY, "community", &mut report);
            }
            SnmpVersion::V3 {
                user,
                level,
                auth,
                privacy,
            } => {
                if !(1..=MAX_USER).contains(&user.len()) || user.chars().any(char::is_control) {
                    report(
                        "user",
                        format!("must have 1 to {MAX_USER} octets and no control characters"),
                    );
                }
                if auth.protocol == AuthProtocol::Sha1 && !self.allow_sha1 {
                    report(
                        "auth.protocol",
                        "SHA-1 is not permitted: use SHA-256, or set `notices.snmp.allow-sha-1` if the receiver has nothing better"
                            .to_owned(),
                    );
                }
                let lengths = MIN_PASSWORD..=MAX_PASSWORD;
                check_length(&auth.secret, lengths.clone(), "auth.secret", &mut report);
                match (level, privacy) {
                    (SecurityLevel::AuthPriv, Some(privacy)) => {
                        check_length(&privacy.secret, lengths, "privacy.secret", &mut report);
                    }
                    (SecurityLevel::AuthPriv, None) => report(
                        "privacy.secret",
                        "is missing: the level auth-priv encrypts; set it, or use auth-no-priv".to_owned(),
                    ),
                    (SecurityLevel::AuthNoPriv, Some(_)) => report(
                        "level",
                        "auth-no-priv does not encrypt, but there is a privacy secret: use auth-priv, or remove it"
                            .to_owned(),
                    ),
                    (SecurityLevel::AuthNoPriv, None) => {}
                }
            }
        }
        match address {
            Some(address) if errors.is_empty() => Ok(address),
            _ => Err(InvalidTarget(errors)),
        }
    }
}

impl TargetAddress {
    /// Parses a host name or an address with an optional port.
    fn parse(text: &str) -> Result<Self, String> {
        const FORMS: &str =
            "write it as \"nms.example.com\", \"192.0.2.1:1162\" or \"[2001:db8::1]:162\"";
        // An IPv6 address without brackets has no port.
        let (host, port) = match text.parse() {
            Ok(address) => (Ok(Host::Ipv6(address)), None),
            Err(_) => match text.rsplit_once(':') {
                Some((host, port)) if !text.ends_with(']') => (Host::parse(host), Some(port)),
                _ => (Host::parse(text), None),
            },
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port
                .parse()
                .ok()
                .filter(|number| *number > 0 && !port.starts_with('+'))
                .ok_or_else(|| format!("the port must be from 1 to 65535; {FORMS}"))?,
        };
        match host {
            Ok(host) if host != Host::Domain(String::new()) => Ok(Self { host, port }),
            _ => Err(format!("it is not a host name or an address; {FORMS}")),
        }
    }
}

fn check_length(
    secret: &SecretString,
    lengths: std::ops::RangeInclusive<usize>,
    field: &'static str,
    report: &mut impl FnMut(&'static str, String),
) {
    if !lengths.contains(&secret.expose_secret().len()) {
        let (least, most) = lengths.into_inner();
        report(field, format!("must have {least} to {most} octets"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(address: &str, version: SnmpVersion) -> SnmpTarget {
        SnmpTarget {
            address: address.to_owned(),
            version,
            kind: SnmpKind::Trap,
            root: MibRoot::default(),
            allow_sha1: false,
        }
    }

    fn v2c() -> SnmpVersion {
        SnmpVersion::V2c {
            community: "public".into(),
        }
    }

    fn parse(address: &str) -> Result<String, String> {
        target(address, v2c())
            .validate()
            .map(|address| address.to_string())
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn addresses_have_a_default_port() {
        for (text, expected) in [
            ("nms.example.com", "nms.example.com:162"),
            ("NMS.Example.com:1162", "nms.example.com:1162"),
            ("192.0.2.1", "192.0.2.1:162"),
            ("192.0.2.1:1162", "192.0.2.1:1162"),
            ("2001:db8::1", "[2001:db8::1]:162"),
            ("[2001:db8::1]", "[2001:db8::1]:162"),
            ("[2001:db8::1]:1162", "[2001:db8::1]:1162"),
            // The same spellings as in URLs, so that a policy sees the address.
            ("0x7f.1", "127.0.0.1:162"),
            ("münchen.example", "xn--mnchen-3ya.example:162"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "",
            ":162",
            "nms:0",
            "nms:65536",
            "nms:",
            "nms:+1",
            "a b",
            "[::1",
            "fe80::1%eth0",
            "nms/x",
            "u@nms",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("address: "), "{text}: {error}");
            assert!(error.contains("nms.example.com"), "{error}");
        }
    }

    #[test]
    fn all_errors_are_reported_without_secrets() {
        let version = SnmpVersion::V3 {
            user: String::new(),
            level: SecurityLevel::AuthPriv,
            auth: SnmpAuth {
                protocol: AuthProtocol::Sha1,
                secret: "canary1".into(),
            },
            privacy: Some(SnmpPrivacy {
                secret: "canary2".into(),
            }),
        };
        let bad = target("a b", version);
        let errors = bad.validate().unwrap_err();
        let fields: Vec<_> = errors.0.iter().map(|error| error.field).collect();
        assert_eq!(
            fields,
            [
                "address",
                "user",
                "auth.protocol",
                "auth.secret",
                "privacy.secret"
            ]
        );
        assert!(!format!("{errors} {errors:?} {bad:?}").contains("canary"));
    }

    #[test]
    fn level_and_privacy_secret_must_agree() {
        for (level, privacy, field) in [
            (SecurityLevel::AuthPriv, None, Some("privacy.secret")),
            (SecurityLevel::AuthPriv, Some("long enough"), None),
            (
                SecurityLevel::AuthNoPriv,
                Some("long enough"),
                Some("level"),
            ),
            (SecurityLevel::AuthNoPriv, None, None),
        ] {
            let version = SnmpVersion::V3 {
                user: "relation".to_owned(),
                level,
                auth: SnmpAuth {
                    protocol: AuthProtocol::Sha256,
                    secret: "long enough".into(),
                },
                privacy: privacy.map(|secret| SnmpPrivacy {
                    secret: secret.into(),
                }),
            };
            let found = target("nms", version).validate().err();
            assert_eq!(found.map(|errors| errors.0[0].field), field);
        }
    }

    #[test]
    fn community_must_not_be_empty() {
        let empty = SnmpVersion::V2c {
            community: "".into(),
        };
        let errors = target("nms", empty).validate().unwrap_err();
        assert_eq!(errors.to_string(), "community: must have 1 to 128 octets");
    }
}
