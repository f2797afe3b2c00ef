//! The egress policy: the allow-list, and the check of every resolved address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::Uri;
use url::{Host, Url};

use super::address::{AddressClass, classify};
use super::origin::{Origin, OriginError, Scheme};
use super::proxy::ProxyUrl;

/// The setting that a rule comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Setting {
    /// `egress.allow`: the targets.
    #[default]
    Allow,
    /// `web.callback-origins`: the receivers of callbacks.
    Callbacks,
    /// `notices.webhook-origins`: the receivers of webhooks.
    Webhooks,
    /// `egress.proxies`: the proxies.
    Proxies,
    /// `traces.endpoint`: the collector of traces.
    Traces,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "egress.allow",
            Self::Callbacks => "web.callback-origins",
            Self::Webhooks => "notices.webhook-origins",
            Self::Proxies => "egress.proxies",
            Self::Traces => "traces.endpoint",
        })
    }
}

/// An invalid entry of one of these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}`, entry {position} ({entry}): {problem}")]
pub struct PolicyError {
    /// The setting with the entry.
    pub setting: Setting,
    /// The entry's position, counted from 1.
    pub position: usize,
    /// The quoted entry; withheld if it may contain a password.
    pub entry: String,
    /// The problem.
    pub problem: EntryError,
}

/// The problem with an entry, and a valid alternative.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The entry does not begin with `http://` or `https://`.
    #[error(
        "it must begin with http:// or https://; write it as \"https://host\" or \"https://host:port\""
    )]
    NoScheme,
    /// A user name or password.
    #[error("it contains a user name or password; write only scheme, host and port")]
    UserInfo,
    /// A path, query or fragment.
    #[error("it has a path, but entries name scheme, host and port only; write \"{0}\"")]
    Path(Origin),
    /// A `*` in a place other than in front of a name with at least two labels.
    #[error("a `*` may only stand in front of a name, as in \"https://*.example.com\"")]
    Wildcard,
    /// The host or port is not valid.
    #[error("{0}; write it as \"https://host\" or \"https://host:port\"")]
    Origin(OriginError),
    /// White space, control characters or backslashes.
    #[error("it contains white space, a control character or a backslash")]
    Characters,
}

/// The reason why the policy denies a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The request's URI does not name a valid origin.
    #[error("the address of the request is refused: {0}")]
    Target(OriginError),
    /// No entry matches the origin.
    #[error("{}", not_listed(*.setting, .origin, *.nothing_listed))]
    Origin {
        /// The list without a matching entry.
        setting: Setting,
        /// The requested origin.
        origin: Origin,
        /// Whether the list is empty.
        nothing_listed: bool,
    },
    /// The name is listed, but all its addresses need entries of their own.
    #[error("{}", not_global(*.setting, .origin, .addresses))]
    Address {
        /// The list without a matching entry.
        setting: Setting,
        /// The requested origin.
        origin: Origin,
        /// The denied addresses: the resolved ones, or the literal.
        addresses: Vec<(IpAddr, AddressClass)>,
    },
}

impl Denial {
    /// Merges the addresses of two denials.
    pub(super) fn merge(mut self, other: Self) -> Self {
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
        Setting::Allow | Setting::Traces => "",
        Setting::Callbacks => "callback to ",
        Setting::Webhooks => "webhook to ",
        Setting::Proxies => "proxy ",
    };
    let reason = if nothing_listed {
        "is empty, so nothing may be reached"
    } else {
        "has no entry for this scheme, host and port"
    };
    format!("{what}`{origin}` is not allowed: `{setting}` {reason}; add \"{origin}\" to it")
}

fn not_global(setting: Setting, origin: &Origin, addresses: &[(IpAddr, AddressClass)]) -> String {
    match setting {
        Setting::Allow | Setting::Traces => {
            let found: Vec<String> = addresses
                .iter()
                .map(|(address, class)| format!("{address} ({class})"))
                .collect();
            let entries: Vec<String> = addresses
                .iter()
                .map(|(address, _)| format!("\"{}\"", origin.with_address(*address)))
                .collect();
            format!(
                "`{origin}` is at {}, which is not a public address and is reached only if it is \
                 listed itself; add {} to `{setting}` if that is intended",
                found.join(", "),
                entries.join(" or ")
            )
        }
        // A customer's administrator may enter any name as a proxy, in a callback or a webhook, and read this
        // text. It must not reveal what names in the operator's network resolve to.
        Setting::Proxies | Setting::Callbacks | Setting::Webhooks => {
            let what = match setting {
                Setting::Proxies => "proxy",
                _ => "receiver",
            };
            let mut classes: Vec<String> = addresses
                .iter()
                .map(|(_, class)| class.to_string())
                .collect();
            classes.sort();
            classes.dedup();
            format!(
                "{what} `{origin}` is not at a public address ({}), and such a {what} is used only \
                 if its address is listed; the operator can add it as \"{}://ADDRESS:{}\" to `{setting}`",
                classes.join(", "),
                origin.scheme(),
                origin.port()
            )
        }
    }
}

/// An origin that the allow-list permits. Its addresses are still to be checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Arc<Origin>);

impl Target {
    /// Returns the permitted origin.
    pub fn origin(&self) -> &Origin {
        &self.0
    }
}

/// The operator's policy: `egress.allow` and `egress.proxies`, or the list of another setting.
///
/// The default allows no request.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The setting that `allow` comes from.
    setting: Setting,
    allow: Vec<Rule>,
    proxies: Vec<Rule>,
    /// Whether names may resolve to any address. Only an operator has written them.
    any_address: bool,
}

#[derive(Clone, Debug)]
enum Rule {
    Exactly(Arc<Origin>),
    /// All names below `suffix`, which begins with a dot.
    Below {
        scheme: Scheme,
        suffix: String,
        port: u16,
    },
}

impl Rule {
    /// Returns whether the rule can match a public address: it is not a literal of a non-public one.
    fn may_be_public(&self) -> bool {
        match self {
            Self::Exactly(listed) => listed
                .literal()
                .is_none_or(|address| classify(address.to_canonical()) == AddressClass::Global),
            Self::Below { .. } => true,
        }
    }

    fn matches(&self, origin: &Origin) -> bool {
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
    /// Parses `egress.allow`.
    ///
    /// An entry is `scheme://host[:port]` without path and user info; the default ports are 80 and
    /// 443. The host is a name, an address, or `*.` and a name of at least two labels. A wildcard
    /// matches every name below that name, at any depth, but not the name itself. An entry whose
    /// host is an address also permits names that resolve to that address, for its scheme and port.
    ///
    /// # Errors
    /// The first invalid entry.
    pub fn parse(entries: &[String]) -> Result<Self, PolicyError> {
        Self::parse_setting(Setting::Allow, entries)
    }

    /// Parses `web.callback-origins`, whose entries have the form of `egress.allow`.
    ///
    /// # Errors
    /// The first invalid entry.
    pub fn parse_callbacks(entries: &[String]) -> Result<Self, PolicyError> {
        Self::parse_setting(Setting::Callbacks, entries)
    }

    /// Parses `notices.webhook-origins`, whose entries have the form of `egress.allow`.
    ///
    /// # Errors
    /// The first invalid entry.
    pub fn parse_webhooks(entries: &[String]) -> Result<Self, PolicyError> {
        Self::parse_setting(Setting::Webhooks, entries)
    }

    fn parse_setting(setting: Setting, entries: &[String]) -> Result<Self, PolicyError> {
        Ok(Self {
            setting,
            allow: rules(setting, entries)?,
            proxies: Vec::new(),
            any_address: false,
        })
    }

    /// Returns the policy of `traces.endpoint` and `traces.proxy`: the collector and its proxy, at any address. A collector
    /// is usually in the operator's own network, at an address that changes.
    pub fn for_traces(collector: Origin, proxy: Option<Origin>) -> Self {
        let list = |origin| vec![Rule::Exactly(Arc::new(origin))];
        Self {
            setting: Setting::Traces,
            allow: list(collector),
            proxies: proxy.map(list).unwrap_or_default(),
            any_address: true,
        }
    }

    /// Adds `egress.proxies`, whose entries have the same form.
    ///
    /// # Errors
    /// The first invalid entry.
    pub fn with_proxies(mut self, entries: &[String]) -> Result<Self, PolicyError> {
        self.proxies = rules(Setting::Proxies, entries)?;
        Ok(self)
    }

    /// Checks a request's URI against the allow-list.
    ///
    /// # Errors
    /// [`Denial::Target`] or [`Denial::Origin`].
    pub fn check_target(&self, uri: &Uri) -> Result<Target, Denial> {
        let origin = Origin::from_uri(uri).map_err(Denial::Target)?;
        match self.allow.iter().find(|rule| rule.matches(&origin)) {
            Some(Rule::Exactly(listed)) => Ok(Target(Arc::clone(listed))),
            Some(Rule::Below { .. }) => Ok(Target(Arc::new(origin))),
            None => Err(Denial::Origin {
                setting: self.setting,
                origin,
                nothing_listed: self.allow.is_empty(),
            }),
        }
    }

    /// Checks a request's URI before its name is resolved: against the allow-list. An address, or a name of this
    /// machine, is also checked as an address.
    ///
    /// # Errors
    /// [`Denial::Target`], [`Denial::Origin`] or [`Denial::Address`].
    pub fn check_target_as_written(&self, uri: &Uri) -> Result<Target, Denial> {
        let target = self.check_target(uri)?;
        if target.origin().is_localhost() {
            // The name may resolve to either address, and is permitted if one of them is listed.
            self.check_address(&target, Ipv4Addr::LOCALHOST.into())
                .or_else(|v4| {
                    self.check_address(&target, Ipv6Addr::LOCALHOST.into())
                        .map_err(|v6| v4.merge(v6))
                })?;
        }
        if let Some(address) = target.origin().literal() {
            self.check_address(&target, address)?;
        }
        Ok(target)
    }

    /// Checks an address of a target.
    ///
    /// # Errors
    /// [`Denial::Address`] if the address is not globally reachable and not listed.
    pub fn check_address(&self, target: &Target, address: IpAddr) -> Result<(), Denial> {
        if self.any_address {
            return Ok(());
        }
        check_address(self.setting, &self.allow, target.origin(), address)
    }

    /// Checks a proxy by its name. Entries with a non-public address only permit that address: they
    /// do not restrict proxies at public addresses.
    ///
    /// # Errors
    /// [`Denial::Origin`] if `egress.proxies` has other entries and none matches the proxy.
    pub fn check_proxy(&self, proxy: &ProxyUrl) -> Result<(), Denial> {
        let origin = proxy.origin();
        let mut rules = self.proxies.iter();
        let is_restricted = rules.clone().any(Rule::may_be_public);
        if !is_restricted || rules.any(|rule| rule.matches(origin)) {
            return Ok(());
        }
        Err(Denial::Origin {
            setting: Setting::Proxies,
            origin: origin.clone(),
            nothing_listed: false,
        })
    }

    /// Checks a proxy before its name is resolved: by its name. An address, or a name of this machine, is also checked
    /// as an address.
    ///
    /// # Errors
    /// [`Denial::Origin`] or [`Denial::Address`].
    pub fn check_proxy_as_written(&self, proxy: &ProxyUrl) -> Result<(), Denial> {
        self.check_proxy(proxy)?;
        let origin = proxy.origin();
        if origin.is_localhost() {
            // The name may resolve to either address, and is permitted if one of them is listed.
            return self
                .check_proxy_address(proxy, Ipv4Addr::LOCALHOST.into())
                .or_else(|v4| {
                    self.check_proxy_address(proxy, Ipv6Addr::LOCALHOST.into())
                        .map_err(|v6| v4.merge(v6))
                });
        }
        match origin.literal() {
            Some(address) => self.check_proxy_address(proxy, address),
            None => Ok(()),
        }
    }

    /// Checks an address of a proxy.
    ///
    /// # Errors
    /// [`Denial::Address`] if the address is not globally reachable and not listed.
    pub fn check_proxy_address(&self, proxy: &ProxyUrl, address: IpAddr) -> Result<(), Denial> {
        if self.any_address {
            return Ok(());
        }
        check_address(Setting::Proxies, &self.proxies, proxy.origin(), address)
    }
}

fn check_address(
    setting: Setting,
    rules: &[Rule],
    origin: &Origin,
    address: IpAddr,
) -> Result<(), Denial> {
    let address = address.to_canonical();
    let class = classify(address);
    let literal = origin.with_address(address);
    if class == AddressClass::Global || rules.iter().any(|rule| rule.matches(&literal)) {
        return Ok(());
    }
    Err(Denial::Address {
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
                    "not shown: it may contain a password".to_owned()
                } else {
                    format!("{entry:?}")
                },
                problem,
            })
        })
        .collect()
}

fn rule(entry: &str) -> Result<Rule, EntryError> {
    // The URL standard accepts all of these. An error at start is better than a rule that means
    // something other than its text.
    if entry.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(EntryError::Characters);
    }
    let (scheme, rest) = entry.split_once("://").ok_or(EntryError::NoScheme)?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return Err(EntryError::NoScheme);
    }
    let (wildcard, rest) = match rest.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if rest.contains('*') {
        return Err(EntryError::Wildcard);
    }
    if entry.contains('@') {
        return Err(EntryError::UserInfo);
    }
    if rest.starts_with('/') {
        return Err(EntryError::Origin(OriginError::Host));
    }
    let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|error| {
        EntryError::Origin(match error {
            url::ParseError::InvalidPort => OriginError::Port,
            _ => OriginError::Host,
        })
    })?;
    let origin = Origin::from_url(&url).map_err(EntryError::Origin)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(EntryError::Path(origin));
    }
    match origin.host() {
        _ if !wildcard => Ok(Rule::Exactly(Arc::new(origin))),
        Host::Domain(name) if name.contains('.') => Ok(Rule::Below {
            scheme: origin.scheme(),
            suffix: format!(".{name}"),
            port: origin.port(),
        }),
        _ => Err(EntryError::Wildcard),
    }
}
