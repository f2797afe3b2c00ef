//! Attempts to bypass the policy, with their exact error texts.
//!
//! The attempts are data: each `.toml` file in this directory is a section of `docs/egress.md`.

mod document;
mod run;

use std::collections::BTreeMap;

use serde::Deserialize;

/// The allow-list of every attempt without its own.
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
    /// The common purpose of the attempts.
    about: String,
    attempt: Vec<Attempt>,
}

/// One attempt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Attempt {
    /// A short description, unique within the section.
    #[serde(rename = "what")]
    description: String,
    #[serde(default)]
    method: Option<String>,
    url: String,
    /// A path that replaces the URL's path, as a component may set it separately.
    #[serde(default)]
    path: Option<String>,
    /// Header names and values as the component sets them.
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// Number of bytes appended to the path.
    #[serde(default)]
    path_padding: usize,
    /// Length of the value of an additional header field, in bytes.
    #[serde(default)]
    header_padding: usize,
    /// Number of additional header fields.
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
    /// The servers redirect to this URL.
    #[serde(default)]
    redirect: Option<String>,
    rule: Rule,
    outcome: Outcome,
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// The request cannot be created; the component gets this error.
    NotCreated(String),
    /// The error text.
    Error(String),
    /// The attempt is harmless: the status and the server that sent it.
    Response(String),
}

/// The rule that stops an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Rule {
    Syntax,
    Unambiguous,
    Listed,
    Header,
    Size,
    Address,
    Checked,
    NotFollowed,
    ProxySyntax,
    ProxyListed,
    ProxyAddress,
}

impl Rule {
    const ALL: [Self; 11] = [
        Self::Syntax,
        Self::Unambiguous,
        Self::Listed,
        Self::Header,
        Self::Size,
        Self::Address,
        Self::Checked,
        Self::NotFollowed,
        Self::ProxySyntax,
        Self::ProxyListed,
        Self::ProxyAddress,
    ];

    /// Returns the rule's name in the documentation.
    fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Unambiguous => "unambiguous",
            Self::Listed => "listed",
            Self::Header => "header",
            Self::Size => "size",
            Self::Address => "address",
            Self::Checked => "checked",
            Self::NotFollowed => "not followed",
            Self::ProxySyntax => "proxy syntax",
            Self::ProxyListed => "proxy listed",
            Self::ProxyAddress => "proxy address",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Syntax => {
                "A request consists of a scheme, an authority, a path and header fields as RFC 9110 and \
                 RFC 3986 write them. No control character and no space gets into any of these."
            }
            Self::Unambiguous => {
                "An address names one server: `http` or `https`, a host, a port from 1 to 65535, \
                 and no user name. The connection uses the checked origin, never the text."
            }
            Self::Listed => "An entry names the scheme, the host and the port.",
            Self::Header => {
                "A request must not control the connection: these header fields, a `Host` that \
                 differs from the address, a wrong `Content-Length`, `CONNECT` and `TRACE` are \
                 refused."
            }
            Self::Size => "The header of a request is limited in size, and to 100 fields.",
            Self::Address => {
                "An address that a name resolves to is used if it is public or listed itself \
                 with the same scheme and port. Other addresses are dropped."
            }
            Self::Checked => {
                "The connection uses the checked address: there is one lookup for each \
                 connection."
            }
            Self::NotFollowed => "A redirect is returned like any other response.",
            Self::ProxySyntax => {
                "A customer's proxy is `http(s)://[user:password]@host:port/`. The error does \
                 not quote the URL."
            }
            Self::ProxyListed => {
                "If any entry may be public, the proxy must match an entry. An entry with a \
                 private address only adds that address. The target must be listed too."
            }
            Self::ProxyAddress => {
                "A proxy must be at a public address, or its address must be listed. The error \
                 does not reveal what names in the operator's network resolve to."
            }
        }
    }

    /// Returns the setting that configures the rule, if any.
    fn setting(self) -> Option<&'static str> {
        match self {
            Self::Syntax
            | Self::Unambiguous
            | Self::Header
            | Self::Checked
            | Self::NotFollowed
            | Self::ProxySyntax => None,
            Self::Listed | Self::Address => Some("egress.allow"),
            Self::Size => Some("limits.headers"),
            Self::ProxyListed | Self::ProxyAddress => Some("egress.proxies"),
        }
    }
}

fn sections() -> Vec<Section> {
    SECTIONS.map(|text| toml::from_str(text).unwrap()).into()
}
