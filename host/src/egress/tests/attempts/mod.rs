//! Attempts to get past the policy, each with the exact words that answer it.
//!
//! The attempts are data: the `.toml` files beside this one, a section of `docs/egress.md` each.

mod run;
mod written;

use std::collections::BTreeMap;

use serde::Deserialize;

/// What the operator allows in every attempt that does not say otherwise.
const ALLOW: [&str; 4] = [
    "https://webexapis.com",
    "https://*.wbx2.com",
    "http://api.example:8080",
    "http://127.0.0.1:8080",
];

const SECTIONS: [&str; 6] = [
    include_str!("spellings.toml"),
    include_str!("origins.toml"),
    include_str!("names.toml"),
    include_str!("addresses.toml"),
    include_str!("requests.toml"),
    include_str!("proxies.toml"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    /// What the attempts have in common.
    about: String,
    attempt: Vec<Attempt>,
}

/// One attempt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Attempt {
    /// In a few words; the only one of this name in its section.
    what: String,
    #[serde(default)]
    method: Option<String>,
    url: String,
    /// The path where it is no part of the address; a component gives it by itself.
    #[serde(default)]
    path: Option<String>,
    /// Names and values as the component gives them.
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// So many bytes behind the path.
    #[serde(default)]
    path_padding: usize,
    /// A header field with a value of so many bytes.
    #[serde(default)]
    header_padding: usize,
    /// So many header fields more.
    #[serde(default)]
    more_headers: usize,
    /// The addresses of names at the first, second, … lookup.
    #[serde(default)]
    dns: BTreeMap<String, Vec<Vec<String>>>,
    /// The customer's proxy for both schemes.
    #[serde(default)]
    proxy: Option<String>,
    #[serde(default)]
    allow: Option<Vec<String>>,
    #[serde(default)]
    proxies: Vec<String>,
    /// The servers answer with a redirect to there.
    #[serde(default)]
    redirect: Option<String>,
    rule: Rule,
    outcome: Outcome,
}

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// No request can even be made of it; the component is told so where it tries.
    Unwritable(String),
    /// The error.
    Error(String),
    /// It is harmless: the status and whoever gave it.
    Answer(String),
}

/// What an attempt comes up against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Rule {
    Written,
    OneReading,
    Listed,
    Header,
    Size,
    Address,
    Checked,
    NotFollowed,
    ProxyWritten,
    ProxyListed,
    ProxyAddress,
}

impl Rule {
    const ALL: [Self; 11] = [
        Self::Written,
        Self::OneReading,
        Self::Listed,
        Self::Header,
        Self::Size,
        Self::Address,
        Self::Checked,
        Self::NotFollowed,
        Self::ProxyWritten,
        Self::ProxyListed,
        Self::ProxyAddress,
    ];

    /// As the documentation calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::OneReading => "one reading",
            Self::Listed => "listed",
            Self::Header => "header",
            Self::Size => "size",
            Self::Address => "address",
            Self::Checked => "checked",
            Self::NotFollowed => "not followed",
            Self::ProxyWritten => "proxy written",
            Self::ProxyListed => "proxy listed",
            Self::ProxyAddress => "proxy address",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Written => {
                "A request consists of a scheme, an authority, a path and header fields as RFC 9110 and \
                 RFC 3986 write them; no control character and no space gets into any of them."
            }
            Self::OneReading => {
                "An address names one server: `http` or `https`, a host, a port from 1 to 65535, and no \
                 user name. What is connected to is built from what was checked, never from the text."
            }
            Self::Listed => "An entry names the scheme, the host and the port.",
            Self::Header => {
                "What steers the connection rather than the resource is the host's: these header fields, \
                 another `Host` than the address, a wrong `Content-Length`, `CONNECT` and `TRACE`."
            }
            Self::Size => "The header of a request has a bound, and at most 100 fields.",
            Self::Address => {
                "Each address that a name resolves to is public, or an entry names that very address with \
                 the same scheme and port. The others are dropped."
            }
            Self::Checked => {
                "The address that was checked is the one that is connected to: there is one lookup for \
                 each connection."
            }
            Self::NotFollowed => "A redirect is an answer like any other.",
            Self::ProxyWritten => {
                "A customer's proxy is `http(s)://[user:password]@host:port/`. What is wrong with it is \
                 said without quoting it."
            }
            Self::ProxyListed => {
                "If an entry names a proxy that may be public, one names the proxy; an entry that is a \
                 private address only adds that address. The target has to be listed all the same."
            }
            Self::ProxyAddress => {
                "A proxy is at a public address, or an entry names its very address. The words do not \
                 tell what a name of the operator's network resolves to."
            }
        }
    }

    /// The setting that the rule reads, if it is one that an operator can set.
    fn setting(self) -> Option<&'static str> {
        match self {
            Self::Written
            | Self::OneReading
            | Self::Header
            | Self::Checked
            | Self::NotFollowed
            | Self::ProxyWritten => None,
            Self::Listed | Self::Address => Some("egress.allow"),
            Self::Size => Some("limits.headers"),
            Self::ProxyListed | Self::ProxyAddress => Some("egress.proxies"),
        }
    }
}

fn sections() -> Vec<Section> {
    SECTIONS.map(|text| toml::from_str(text).unwrap()).into()
}
