//! The words of the platform that every part of the host shares: references, documents, failures.
//!
//! They mirror `automate:platform` and know no wasm, so that a store or an engine can use them alone.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The model of the documents that hold the records of relation/SparkCustomer.
///
/// The contract lets the plugin name this model. This host is built for one; `Host::check_settings`
/// compares it with the plugin's description.
pub const RECORD_MODEL: &str = "data/SparkCustomer";

/// A moment: milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment `duration` later; the last representable one when there is none.
    pub fn after(self, duration: std::time::Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, such as `2026-11-21T20:35:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = i64::try_from(self.0)
            .ok()
            .and_then(chrono::DateTime::from_timestamp_millis);
        match moment {
            Some(moment) => {
                f.write_str(&moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
            }
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// A primary key: 24 lower-case hexadecimal characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pkid(String);

/// The text is not a primary key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pkid is 24 lower-case hexadecimal characters")]
pub struct InvalidPkid;

impl Pkid {
    /// A new one, of 96 random bits.
    pub fn random() -> Self {
        let bytes = uuid::Uuid::new_v4().into_bytes();
        let more = uuid::Uuid::new_v4().into_bytes();
        // A v4 UUID has six fixed bits, in bytes 6 and 8: leave those bytes out.
        Self::hex(bytes.iter().take(6).chain(more.iter().take(6)))
    }

    /// The one of these 96 bits.
    pub fn of(bits: [u8; 12]) -> Self {
        Self::hex(bits.iter())
    }

    fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> Self {
        Self(bytes.map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Pkid {
    type Error = InvalidPkid;

    fn try_from(text: String) -> Result<Self, InvalidPkid> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 24 && text.bytes().all(hex) {
            Ok(Self(text))
        } else {
            Err(InvalidPkid)
        }
    }
}

impl std::str::FromStr for Pkid {
    type Err = InvalidPkid;

    fn from_str(text: &str) -> Result<Self, InvalidPkid> {
        Self::try_from(text.to_owned())
    }
}

impl From<Pkid> for String {
    fn from(pkid: Pkid) -> Self {
        pkid.0
    }
}

impl fmt::Display for Pkid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node of the hierarchy: a dotted path such as `sys.Provider.Reseller.Customer`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hierarchy(String);

/// The text is not a path of the hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a hierarchy is a dotted path such as sys.Provider.Customer: no empty part, no control characters, at most 1024 bytes"
)]
pub struct InvalidHierarchy;

impl Hierarchy {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this node or below it.
    pub fn contains(&self, other: &Self) -> bool {
        match other.0.strip_prefix(&self.0) {
            Some(rest) => rest.is_empty() || rest.starts_with('.'),
            None => false,
        }
    }
}

impl TryFrom<String> for Hierarchy {
    type Error = InvalidHierarchy;

    fn try_from(text: String) -> Result<Self, InvalidHierarchy> {
        let well_formed = !text.is_empty()
            && text.len() <= 1024
            && text.split('.').all(|part| !part.is_empty())
            && !text.chars().any(char::is_control);
        if well_formed {
            Ok(Self(text))
        } else {
            Err(InvalidHierarchy)
        }
    }
}

impl std::str::FromStr for Hierarchy {
    type Err = InvalidHierarchy;

    /// Reads a path as a person writes it: space around it and around its nodes is no part of it.
    fn from_str(text: &str) -> Result<Self, InvalidHierarchy> {
        let nodes: Vec<&str> = text.split('.').map(trimmed).collect();
        Self::try_from(nodes.join("."))
    }
}

/// A text without white space and byte order marks around it.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

impl From<Hierarchy> for String {
    fn from(hierarchy: Hierarchy) -> Self {
        hierarchy.0
    }
}

impl fmt::Display for Hierarchy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one document: its model and its primary key there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// The model's type and name, such as `data/SparkCustomer`.
    pub model: String,
    /// The primary key.
    pub pkid: Pkid,
}

impl Reference {
    /// The reference to `pkid` in `model`.
    pub fn new(model: impl Into<String>, pkid: Pkid) -> Self {
        Self {
            model: model.into(),
            pkid,
        }
    }

    /// The reference to a record of relation/SparkCustomer.
    pub fn record(pkid: Pkid) -> Self {
        Self::new(RECORD_MODEL, pkid)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.pkid)
    }
}

/// A name and a value by which a document can be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The field's name.
    pub name: String,
    /// Its value, compared byte for byte.
    pub value: String,
}

/// One instance of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Which one.
    pub reference: Reference,
    /// The node it belongs to.
    pub hierarchy: Hierarchy,
    /// How often it was written: 1 after the first commit. Ignored in a put.
    pub version: u64,
    /// Its content: one JSON object, as text.
    pub body: String,
    /// What it can be found by; a name occurs once.
    pub keys: Vec<Key>,
}

/// Where a search looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// At the node itself.
    Node,
    /// At the node and everywhere below it.
    Subtree,
}

/// What a document must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its model.
    pub model: String,
    /// Its place; none: anywhere.
    pub hierarchy: Option<(Hierarchy, Scope)>,
    /// Keys that it must all have.
    pub equals: Vec<Key>,
}

impl Filter {
    /// Whether `document` matches.
    pub fn matches(&self, document: &Document) -> bool {
        let here = match &self.hierarchy {
            None => true,
            Some((node, Scope::Node)) => *node == document.hierarchy,
            Some((node, Scope::Subtree)) => node.contains(&document.hierarchy),
        };
        let has = |key| document.keys.contains(key);
        here && self.model == document.reference.model && self.equals.iter().all(has)
    }
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Opaque; continues behind this page. None: it was the last.
    pub next: Option<String>,
}

/// A call of `workflows.wake` that is to be made when its time has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wakeup {
    /// Names it among those of its subject.
    pub id: String,
    /// The document it is for.
    pub subject: Reference,
    /// Not before this moment.
    pub due: Timestamp,
    /// What must not pass before it ran: of many that are due, the earliest deadline goes first.
    pub deadline: Option<Timestamp>,
    /// The plugin's words to itself.
    pub payload: String,
}

impl Wakeup {
    /// What its id says before the first full stop: `refresh` for `refresh.wholesale-users`.
    pub fn kind(&self) -> &str {
        self.id.split_once('.').map_or(&self.id, |(kind, _)| kind)
    }
}

/// One thing wrong with one field of the caller's input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field as the caller wrote it.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Why an operation did not happen; the case says who acts next (see the contract's `failure`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", content = "detail", rename_all = "kebab-case")]
pub enum Failure {
    /// The caller: the input is wrong, all faults at once.
    #[error("{}", faults_in_words(.0))]
    Invalid(Vec<FieldError>),
    /// The caller: no such document.
    #[error("{0} does not exist")]
    NotFound(Reference),
    /// The caller: something changed meanwhile, or the lease was lost. Run it again.
    #[error("{0}")]
    Conflict(String),
    /// A person, at Webex: only a new consent helps.
    #[error("{0}")]
    Reauthorize(String),
    /// Nobody: try again later, at the moment given if one is.
    #[error("{}", match .0 { Some(at) => format!("asked to wait until {at}"), None => "asked to wait".to_owned() })]
    RateLimited(Option<Timestamp>),
    /// Nobody: a passing fault.
    #[error("{0}")]
    Unavailable(String),
    /// The operator: a limit or policy of the host; the text names its setting.
    #[error("{0}")]
    LimitExceeded(String),
    /// The author of the plugin or of the host.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// Its case, as the contract spells it: `not-found`.
    pub fn case(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not-found",
            Self::Conflict(_) => "conflict",
            Self::Reauthorize(_) => "reauthorize",
            Self::RateLimited(_) => "rate-limited",
            Self::Unavailable(_) => "unavailable",
            Self::LimitExceeded(_) => "limit-exceeded",
            Self::Internal(_) => "internal",
        }
    }

    /// The same failure with what `change` makes of each of its texts.
    #[must_use]
    pub fn map_texts(self, change: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Invalid(mut faults) => {
                for fault in &mut faults {
                    fault.field = change(&fault.field);
                    fault.message = change(&fault.message);
                }
                Self::Invalid(faults)
            }
            Self::NotFound(reference) => Self::NotFound(reference),
            Self::Conflict(text) => Self::Conflict(change(&text)),
            Self::Reauthorize(text) => Self::Reauthorize(change(&text)),
            Self::RateLimited(at) => Self::RateLimited(at),
            Self::Unavailable(text) => Self::Unavailable(change(&text)),
            Self::LimitExceeded(text) => Self::LimitExceeded(change(&text)),
            Self::Internal(text) => Self::Internal(change(&text)),
        }
    }
}

fn faults_in_words(faults: &[FieldError]) -> String {
    let each: Vec<String> = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.field, fault.message))
        .collect();
    each.join("; ")
}
