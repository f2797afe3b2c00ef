//! Reads recipients from JSON.

use std::net::Ipv6Addr;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use super::{
    ChannelKind, MAX_ADDRESS, MailAddress, Recipient, SnmpAuth, SnmpKind, SnmpTarget, SnmpVersion,
    WebhookEndpoint,
};
use crate::settings::reader::{Errors, Members, describe, parse_word, read_text};

/// The port of SNMP notifications.
const SNMP_PORT: u16 = 162;
/// The maximum number of bytes of an endpoint's address.
const MAX_URL: usize = 2_000;
/// The maximum number of bytes of a recipient's name.
const MAX_NAME: usize = 100;
/// The maximum number of bytes of an id.
const MAX_ID: usize = 64;
/// The maximum number of bytes of names in SNMP, RFC 3411.
const MAX_SNMP_NAME: usize = 32;

/// Reads a recipient: an object with its type, or only an e-mail address. `allow_http` allows webhooks without TLS.
pub(in crate::settings) fn read_recipient(
    value: &Value,
    path: &str,
    errors: &mut Errors,
    allow_http: bool,
) -> Option<Recipient> {
    if let Value::String(address) = value {
        return errors
            .keep(path, MailAddress::parse(address))
            .map(Recipient::Mail);
    }
    if !value.is_object() {
        let found = describe(value);
        errors.push(
            path,
            format!("must be an e-mail address or an object with type, not {found}"),
        );
        return None;
    }
    // The type decides which other members are known.
    let known = match value.get("type").and_then(Value::as_str) {
        Some("mail") => &["type", "address"][..],
        Some("webhook") => &["type", "id", "name", "url"],
        Some("snmp") if value.get("version").and_then(Value::as_str) == Some("v2c") => {
            &["type", "id", "name", "address", "version", "kind"]
        }
        Some("snmp") => &[
            "type", "id", "name", "address", "version", "kind", "user", "context", "auth",
        ],
        _ => &Recipient::FIELDS,
    };
    let members = Members::read(value, path, known, errors)?;
    let channel = members.required("type", errors, |value, path, errors| {
        let words = ChannelKind::ALL.map(|kind| (kind.as_str(), kind));
        read_text(value, path, errors, |text| {
            parse_word(text, "a type", &words)
        })
    })?;
    match channel {
        ChannelKind::Mail => {
            let address = members.required("address", errors, |value, path, errors| {
                read_text(value, path, errors, MailAddress::parse)
            });
            address.map(Recipient::Mail)
        }
        ChannelKind::Webhook => read_webhook(&members, errors, allow_http).map(Recipient::Webhook),
        ChannelKind::Snmp => read_snmp(&members, errors).map(Recipient::Snmp),
    }
}

fn read_webhook(
    members: &Members<'_>,
    errors: &mut Errors,
    allow_http: bool,
) -> Option<WebhookEndpoint> {
    let id = read_id(members, errors);
    let name = read_name(members, errors);
    let url = members.required("url", errors, |value, path, errors| {
        read_text(value, path, errors, |text| parse_url(text, allow_http))
    });
    let (id, name, url) = (id?, name?, url?);
    let server = url.origin().ascii_serialization();
    Some(WebhookEndpoint {
        id: id.unwrap_or_else(|| derive_id("webhook", &name, &server)),
        name,
        url,
    })
}

fn read_snmp(members: &Members<'_>, errors: &mut Errors) -> Option<SnmpTarget> {
    let id = read_id(members, errors);
    let name = read_name(members, errors);
    let address = members.required("address", errors, |value, path, errors| {
        read_text(value, path, errors, parse_snmp_address)
    });
    let is_v3 = members.required("version", errors, |value, path, errors| {
        read_text(value, path, errors, |text| {
            parse_word(text, "a version", &[("v2c", false), ("v3", true)])
        })
    });
    let kind = members.optional("kind", errors, |value, path, errors| {
        read_text(value, path, errors, |text| {
            parse_word(text, "a kind", &SnmpKind::WORDS)
        })
    });
    let version = match is_v3? {
        false => Some(SnmpVersion::V2c),
        true => {
            let user = members.required("user", errors, |value, path, errors| {
                read_text(value, path, errors, |text| parse_label(text, MAX_SNMP_NAME))
            });
            let context = members.optional("context", errors, |value, path, errors| {
                read_text(value, path, errors, |text| match text {
                    "" => Ok(String::new()),
                    text => parse_label(text, MAX_SNMP_NAME),
                })
            });
            let auth = members.optional("auth", errors, |value, path, errors| {
                read_text(value, path, errors, |text| {
                    parse_word(text, "an algorithm", &SnmpAuth::WORDS)
                })
            });
            match (user, context, auth) {
                (Some(user), Some(context), Some(auth)) => Some(SnmpVersion::V3 {
                    user,
                    context: context.unwrap_or_default(),
                    auth: auth.unwrap_or_default(),
                }),
                _ => None,
            }
        }
    };
    let (id, name, (host, port), version) = (id?, name?, address?, version?);
    let mut target = SnmpTarget {
        id: String::new(),
        name,
        host,
        port,
        version,
        kind: kind?.unwrap_or_default(),
    };
    target.id = id.unwrap_or_else(|| derive_id("snmp", &target.name, &target.address()));
    Some(target)
}

fn read_id(members: &Members<'_>, errors: &mut Errors) -> Option<Option<String>> {
    members.optional("id", errors, |value, path, errors| {
        read_text(value, path, errors, |text| {
            let allowed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            match (1..=MAX_ID).contains(&text.len()) && text.bytes().all(allowed) {
                true => Ok(text.to_owned()),
                false => Err(format!(
                    "must be 1 to {MAX_ID} lower-case letters, digits and hyphens"
                )),
            }
        })
    })
}

fn read_name(members: &Members<'_>, errors: &mut Errors) -> Option<String> {
    members.required("name", errors, |value, path, errors| {
        read_text(value, path, errors, |text| parse_label(text, MAX_NAME))
    })
}

/// Parses a name: some text in one line.
fn parse_label(text: &str, max: usize) -> Result<String, String> {
    let text = text.trim();
    match text {
        "" => Err("must not be empty".to_owned()),
        _ if text.len() > max => Err(format!("is longer than {max} bytes")),
        _ if text.chars().any(relation_types::text::is_invisible) => {
            Err("must not have line breaks or invisible characters".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// Parses the address of an endpoint. Errors do not repeat it, since it may contain a secret.
fn parse_url(text: &str, allow_http: bool) -> Result<Url, String> {
    let text = text.trim();
    if text.len() > MAX_URL {
        return Err(format!("is longer than {MAX_URL} bytes"));
    }
    let url = Url::parse(text)
        .map_err(|_| "is not a URL such as https://example.com/notices".to_owned())?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => {
            return Err("must begin with https://; the operator does not allow http://".to_owned());
        }
        _ => return Err("must begin with https://".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not have a user or a password; requests are signed".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (#)".to_owned());
    }
    if url.as_str().len() > MAX_URL {
        return Err(format!("is longer than {MAX_URL} bytes"));
    }
    Ok(url)
}

/// Parses a host with an optional port, such as `noc.example.net`, `192.0.2.1:1162` or `[2001:db8::1]:162`.
fn parse_snmp_address(text: &str) -> Result<(String, u16), String> {
    const EXPECTED: &str =
        "is not a host and port such as noc.example.net:162 or [2001:db8::1]:162";
    let text = text.trim();
    if text.len() > MAX_ADDRESS {
        return Err(format!("is longer than {MAX_ADDRESS} bytes"));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok((address.to_string(), SNMP_PORT));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => {
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| is_number && *port != 0);
            (
                host,
                port.ok_or("has a port that is not a number from 1 to 65535")?,
            )
        }
        _ => (text, SNMP_PORT),
    };
    match Host::parse(host).map_err(|_| EXPECTED)? {
        Host::Domain(domain) if domain.split('.').all(|label| !label.is_empty()) => {
            Ok((domain, port))
        }
        Host::Domain(_) => Err(EXPECTED.to_owned()),
        Host::Ipv4(address) => Ok((address.to_string(), port)),
        Host::Ipv6(address) => Ok((address.to_string(), port)),
    }
}

/// Derives the id of a recipient that was given without one: the same id from the same name and server. The path of a
/// webhook has no part in it, since a token could be guessed from the id.
fn derive_id(channel: &str, name: &str, server: &str) -> String {
    let hash = Sha256::digest(format!("{channel}\0{name}\0{server}"));
    let id: String = hex::encode(hash).chars().take(16).collect();
    format!("{channel}-{id}")
}
