//! Who may be reached: the allow-list, and the check of every address that a name resolves to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::Uri;
use url::{Host, Url};

use super::address::{AddressClass, classify};
use super::origin::{Origin, OriginProblem, Scheme};
use super::proxy::ProxyUrl;

/// The setting that a rule comes from, as the configuration file spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `egress.allow`: the targets.
    Allow,
    /// `egress.proxies`: the proxies.
    Proxies,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "egress.allow",
            Self::Proxies => "egress.proxies",
        })
    }
}

/// An entry of `egress.allow` or `egress.proxies` that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}`, entry {position} ({entry}): {problem}")]
pub struct PolicyError {
    /// The list.
    pub setting: Setting,
    /// Which entry, counted from 1.
    pub position: usize,
    /// The entry in quotes; withheld when it may carry a password.
    pub entry: String,
    /// What is wrong with it.
    pub problem: EntryProblem,
}

/// What is wrong with an entry, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// No `http://` or `https://` in front.
    #[error(
        "it must begin with http:// or https://; write it as \"https://host\" or \"https://host:port\""
    )]
    NoScheme,
    /// A user name or password.
    #[error("it carries a user name or password; write only scheme, host and port")]
    UserInfo,
    /// A path, query or fragment.
    #[error("it has a path, but entries name scheme, host and port only; write \"{0}\"")]
    Path(Origin),
    /// A `*` that does not stand for everything in front of a name of two labels or more.
    #[error("a `*` may only stand in front of a name, as in \"https://*.example.com\"")]
    Wildcard,
    /// The host or port is not valid.
    #[error("{0}; write it as \"https://host\" or \"https://host:port\"")]
    Origin(OriginProblem),
    /// White space, control characters or backslashes.
    #[error("it contains white space, a control character or a backslash")]
    Characters,
}

/// Why a request may not go where it wants to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request's URI names no server.
    #[error("the address of the request is refused: {0}")]
    Target(OriginProblem),
    /// No entry names this origin.
    #[error("{}", not_listed(*.setting, .origin, *.nothing_listed))]
    Origin {
        /// The list that would have to name it.
        setting: Setting,
        /// What was asked for.
        origin: Origin,
        /// The list is empty.
        nothing_listed: bool,
    },
    /// The name is listed, but each address it has is one that must be listed by itself.
    #[error("{}", not_global(*.setting, .origin, .addresses))]
    Address {
        /// The list that would have to name the address.
        setting: Setting,
        /// What was asked for.
        origin: Origin,
        /// What it resolved to, or the literal it is.
        addresses: Vec<(IpAddr, AddressClass)>,
    },
}

impl Denied {
    /// One refusal of the addresses of two.
    pub(super) fn and(mut self, other: Self) -> Self {
        if let (
            Self::Address { addresses, .. },
            Self::Address {
                addresses: more, ..
            },
        ) = (&mut self, other)
        {
            addresses.extend(more);
        }
        self
    }
}

fn not_listed(setting: Setting, origin: &Origin, nothing_listed: bool) -> String {
    let what = match setting {
        Setting::Allow => "",
        Setting::Proxies => "proxy ",
    };
    let why = if nothing_listed {
        "is empty, so nothing may be reached"
    } else {
        "has no entry for this scheme, host and port"
    };
    format!("{what}`{origin}` is not allowed: `{setting}` {why}; add \"{origin}\" to it")
}

fn not_global(setting: Setting, origin: &Origin, addresses: &[(IpAddr, AddressClass)]) -> String {
    match setting {
        Setting::Allow => {
            let found: Vec<String> = addresses
                .iter()
                .map(|(address, class)| format!("{address} ({class})"))
                .collect();
            let entries: Vec<String> = addresses
                .iter()
                .map(|(address, _)| format!("\"{}\"", origin.at(*address)))
                .collect();
            format!(
                "`{origin}` is at {}, which is not a public address and is reached only where it is \
                 listed itself; add {} to `{setting}` if that is meant",
                found.join(", "),
                entries.join(" or ")
            )
        }
        // A customer's administrator may write any name as a proxy and read this text: it must not
        // tell what the names of the operator's network resolve to.
        Setting::Proxies => {
            let mut classes: Vec<String> = addresses
                .iter()
                .map(|(_, class)| class.to_string())
                .collect();
            classes.sort();
            classes.dedup();
            format!(
                "proxy `{origin}` is not at a public address ({}), and such a proxy is used only where \
                 its address is listed; the operator can add it as \"{}://ADDRESS:{}\" to `{setting}`",
                classes.join(", "),
                origin.scheme(),
                origin.port()
            )
        }
    }
}

/// An origin that the allow-list lets through. Its addresses are still to be checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Arc<Origin>);

impl Target {
    /// What may be reached.
    pub fn origin(&self) -> &Origin {
        &self.0
    }
}

/// The operator's word on who may be reached: `egress.allow` and `egress.proxies`.
///
/// The default allows nothing.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    allow: Vec<Rule>,
    proxies: Vec<Rule>,
}

#[derive(Clone, Debug)]
enum Rule {
    Exactly(Arc<Origin>),
    /// Every name below `suffix`, which begins with a dot.
    Below {
        scheme: Scheme,
        suffix: String,
        port: u16,
    },
}

impl Rule {
    /// Whether what it names may be at a public address: it is no literal of another one.
    fn may_be_public(&self) -> bool {
        match self {
            Self::Exactly(listed) => listed
                .literal()
                .is_none_or(|address| classify(address.to_canonical()) == AddressClass::Global),
            Self::Below { .. } => true,
        }
    }

    fn names(&self, origin: &Origin) -> bool {
        match self {
            Self::Exactly(listed) => **listed == *origin,
            Self::Below {
                scheme,
                suffix,
                port,
            } => match origin.host() {
                Host::Domain(name) => {
                    *scheme == origin.scheme() && *port == origin.port() && name.ends_with(suffix)
                }
                Host::Ipv4(_) | Host::Ipv6(_) => false,
            },
        }
    }
}

impl Policy {
    /// Reads `egress.allow`.
    ///
    /// An entry is `scheme://host[:port]`, with 80 and 443 as the default ports and neither path nor user
    /// info. The host is a name, an address, or `*.` and a name of at least two labels, which stands for
    /// every name below it at any depth but not for the name itself. An entry whose host is an address
    /// also permits that address, for its own scheme and port, to names that resolve to it.
    ///
    /// # Errors
    /// The first entry that is none of these.
    pub fn parse(entries: &[String]) -> Result<Self, PolicyError> {
        Ok(Self {
            allow: rules(Setting::Allow, entries)?,
            proxies: Vec::new(),
        })
    }

    /// Adds `egress.proxies`, of the same form.
    ///
    /// # Errors
    /// The first entry that has another form.
    pub fn with_proxies(mut self, entries: &[String]) -> Result<Self, PolicyError> {
        self.proxies = rules(Setting::Proxies, entries)?;
        Ok(self)
    }

    /// Whether the allow-list names where a request wants to go.
    ///
    /// # Errors
    /// [`Denied::Target`] or [`Denied::Origin`].
    pub fn check_target(&self, uri: &Uri) -> Result<Target, Denied> {
        let origin = Origin::of(uri).map_err(Denied::Target)?;
        match self.allow.iter().find(|rule| rule.names(&origin)) {
            Some(Rule::Exactly(listed)) => Ok(Target(Arc::clone(listed))),
            Some(Rule::Below { .. }) => Ok(Target(Arc::new(origin))),
            None => Err(Denied::Origin {
                setting: Setting::Allow,
                origin,
                nothing_listed: self.allow.is_empty(),
            }),
        }
    }

    /// Whether an address of a target may be connected to.
    ///
    /// # Errors
    /// [`Denied::Address`] when it is not globally reachable and not listed.
    pub fn check_address(&self, target: &Target, address: IpAddr) -> Result<(), Denied> {
        check_address(Setting::Allow, &self.allow, target.origin(), address)
    }

    /// Whether a proxy may be used, as far as its name tells. Entries that name an address which is not
    /// public only permit that address: they do not restrict the proxies at public addresses.
    ///
    /// # Errors
    /// [`Denied::Origin`] when another entry of `egress.proxies` is there and none names the proxy.
    pub fn check_proxy(&self, proxy: &ProxyUrl) -> Result<(), Denied> {
        let origin = proxy.origin();
        let mut rules = self.proxies.iter();
        let is_restricted = rules.clone().any(Rule::may_be_public);
        if !is_restricted || rules.any(|rule| rule.names(origin)) {
            return Ok(());
        }
        Err(Denied::Origin {
            setting: Setting::Proxies,
            origin: origin.clone(),
            nothing_listed: false,
        })
    }

    /// Whether a proxy may be used, as far as that is known before its name is looked up: by its name
    /// and, where that is an address or a name of this very machine, by the address.
    ///
    /// # Errors
    /// [`Denied::Origin`] or [`Denied::Address`].
    pub fn check_proxy_as_written(&self, proxy: &ProxyUrl) -> Result<(), Denied> {
        self.check_proxy(proxy)?;
        let origin = proxy.origin();
        if origin.is_localhost() {
            // It may resolve to either, and is used if one of them is listed.
            return self
                .check_proxy_address(proxy, Ipv4Addr::LOCALHOST.into())
                .or_else(|v4| {
                    self.check_proxy_address(proxy, Ipv6Addr::LOCALHOST.into())
                        .map_err(|v6| v4.and(v6))
                });
        }
        match origin.literal() {
            Some(address) => self.check_proxy_address(proxy, address),
            None => Ok(()),
        }
    }

    /// Whether an address of a proxy may be connected to.
    ///
    /// # Errors
    /// [`Denied::Address`] when it is not globally reachable and not listed.
    pub fn check_proxy_address(&self, proxy: &ProxyUrl, address: IpAddr) -> Result<(), Denied> {
        check_address(Setting::Proxies, &self.proxies, proxy.origin(), address)
    }
}

fn check_address(
    setting: Setting,
    rules: &[Rule],
    origin: &Origin,
    address: IpAddr,
) -> Result<(), Denied> {
    let address = address.to_canonical();
    let class = classify(address);
    let literal = origin.at(address);
    if class == AddressClass::Global || rules.iter().any(|rule| rule.names(&literal)) {
        return Ok(());
    }
    Err(Denied::Address {
        setting,
        origin: origin.clone(),
        addresses: vec![(address, class)],
    })
}

fn rules(setting: Setting, entries: &[String]) -> Result<Vec<Rule>, PolicyError> {
    entries
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            rule(entry).map_err(|problem| PolicyError {
                setting,
                position: index + 1,
                entry: if entry.contains('@') {
                    "not shown: it may carry a password".to_owned()
                } else {
                    format!("{entry:?}")
                },
                problem,
            })
        })
        .collect()
}

fn rule(entry: &str) -> Result<Rule, EntryProblem> {
    // The URL standard forgives all of these; a rule that reads differently from what it says is worse
    // than a fault at start.
    if entry.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(EntryProblem::Characters);
    }
    let (scheme, rest) = entry.split_once("://").ok_or(EntryProblem::NoScheme)?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return Err(EntryProblem::NoScheme);
    }
    let (wildcard, rest) = match rest.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if rest.contains('*') {
        return Err(EntryProblem::Wildcard);
    }
    if entry.contains('@') {
        return Err(EntryProblem::UserInfo);
    }
    if rest.starts_with('/') {
        return Err(EntryProblem::Origin(OriginProblem::Host));
    }
    let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|error| {
        EntryProblem::Origin(match error {
            url::ParseError::InvalidPort => OriginProblem::Port,
            _ => OriginProblem::Host,
        })
    })?;
    let origin = Origin::of_url(&url).map_err(EntryProblem::Origin)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(EntryProblem::Path(origin));
    }
    match origin.host() {
        _ if !wildcard => Ok(Rule::Exactly(Arc::new(origin))),
        Host::Domain(name) if name.contains('.') => Ok(Rule::Below {
            scheme: origin.scheme(),
            suffix: format!(".{name}"),
            port: origin.port(),
        }),
        _ => Err(EntryProblem::Wildcard),
    }
}
