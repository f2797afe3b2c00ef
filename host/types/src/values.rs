//! The platform's data types: references, documents, wakeups, failures. They mirror `automate:platform`.

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The model of the documents that store the records of relation/SparkCustomer.
///
/// The contract lets the plugin name this model. This host is built for one; `Host::check_settings`
/// compares it with the plugin's description.
pub const RECORD_MODEL: &str = "data/SparkCustomer";

/// The beginning of the models of the host's own documents, which no plugin may read or write.
pub const HOST_MODELS: &str = "host/";

/// The model of the documents that hold the requests of queued calls.
pub const QUEUED_CALL_MODEL: &str = "host/QueuedCall";

/// The model of the documents of callbacks. [`to_callback`](crate::transactions::to_callback) returns that of a
/// transaction.
pub const CALLBACK_MODEL: &str = "host/Callback";

/// The model of alerts.
pub const ALERT_MODEL: &str = "data/Alert";

/// A moment: milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the moment `duration` later, or the last representable moment.
    pub fn after(self, duration: std::time::Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// Returns the time from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with milliseconds, such as `2026-11-21T20:35:00.000Z`.
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

/// The error for a text that is not a primary key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pkid is 24 lower-case hexadecimal characters")]
pub struct InvalidPkid;

impl Pkid {
    /// Creates a primary key of 96 random bits.
    pub fn random() -> Self {
        let bytes = uuid::Uuid::new_v4().into_bytes();
        let more = uuid::Uuid::new_v4().into_bytes();
        // Bytes 6 and 8 of a v4 UUID have fixed bits, so only the first six bytes are used.
        let bits = bytes.iter().take(6).chain(more.iter().take(6));
        Self(hex::encode(bits.copied().collect::<Vec<u8>>()))
    }

    /// Creates the primary key of these bytes.
    pub fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(hex::encode(bytes))
    }

    /// Derives a primary key from a text: the same text always has the same one. Begin the text with its purpose, so
    /// that no two purposes share a text.
    pub fn derive(text: &str) -> Self {
        let mut digits = hex::encode(Sha256::digest(text));
        digits.truncate(24);
        Self(digits)
    }

    /// Returns the primary key as text.
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

/// The error for a text that is not a path of the hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a hierarchy is a dotted path such as sys.Provider.Customer: no empty part, no control characters, at most 1024 bytes"
)]
pub struct InvalidHierarchy;

impl Hierarchy {
    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether `other` is this node or below it.
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

    /// Parses a path as typed by a person. White space around the path and around its nodes is ignored, and the path
    /// gets Unicode's normalization form C. A stored path is read by `try_from`, as it is.
    fn from_str(text: &str) -> Result<Self, InvalidHierarchy> {
        let nodes: Vec<&str> = text.split('.').map(trim_text).collect();
        let path = nodes.join(".");
        let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&path);
        Self::try_from(composed.into_owned())
    }
}

/// Trims white space and byte order marks on both sides.
fn trim_text(text: &str) -> &str {
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

/// The reference to one document: its model and its primary key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// The model's type and name, such as `data/SparkCustomer`.
    pub model: String,
    /// The primary key.
    pub pkid: Pkid,
}

impl Reference {
    /// Creates the reference to `pkid` in `model`.
    pub fn new(model: impl Into<String>, pkid: Pkid) -> Self {
        Self {
            model: model.into(),
            pkid,
        }
    }

    /// Creates the reference to a record of relation/SparkCustomer.
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
    /// The value, compared byte for byte.
    pub value: String,
}

/// One document: an instance of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The document's model and primary key.
    pub reference: Reference,
    /// The node that the document belongs to.
    pub hierarchy: Hierarchy,
    /// The number of commits that wrote the document: 1 after the first. Ignored in a put.
    pub version: u64,
    /// The content: one JSON object, as text.
    pub body: String,
    /// The search keys; each name occurs once.
    pub keys: Vec<Key>,
}

/// The part of the hierarchy that a search covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The node itself.
    Node,
    /// The node and everything below it.
    Subtree,
}

impl Scope {
    /// Returns whether `other` is in this scope of `node`.
    pub fn covers(self, node: &Hierarchy, other: &Hierarchy) -> bool {
        match self {
            Self::Node => node == other,
            Self::Subtree => node.contains(other),
        }
    }
}

/// The conditions that a document must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "FilterJson", into = "FilterJson")]
pub struct Filter {
    /// The document's model.
    pub model: String,
    /// The place in the hierarchy; `None` matches any.
    pub hierarchy: Option<(Hierarchy, Scope)>,
    /// Keys that the document must all have.
    pub equals: Vec<Key>,
}

impl Filter {
    /// Returns whether `document` matches.
    pub fn matches(&self, document: &Document) -> bool {
        let is_in_hierarchy = match &self.hierarchy {
            None => true,
            Some((node, scope)) => scope.covers(node, &document.hierarchy),
        };
        let has = |key| document.keys.contains(key);
        is_in_hierarchy && self.model == document.reference.model && self.equals.iter().all(has)
    }
}

/// The JSON format of a filter, such as in the stash's files.
#[derive(Serialize, Deserialize)]
struct FilterJson {
    model: String,
    node: Option<Hierarchy>,
    subtree: bool,
    equals: Vec<Key>,
}

impl From<Filter> for FilterJson {
    fn from(filter: Filter) -> Self {
        let (node, scope) = filter.hierarchy.unzip();
        Self {
            model: filter.model,
            node,
            subtree: scope == Some(Scope::Subtree),
            equals: filter.equals,
        }
    }
}

impl From<FilterJson> for Filter {
    fn from(json: FilterJson) -> Self {
        let scope = if json.subtree {
            Scope::Subtree
        } else {
            Scope::Node
        };
        Self {
            model: json.model,
            hierarchy: json.node.map(|node| (node, scope)),
            equals: json.equals,
        }
    }
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The documents or other items of this page.
    pub items: Vec<T>,
    /// The opaque cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// A stored request to call `workflows.wake` at or after a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wakeup {
    /// The wakeup's id, unique for its subject.
    pub id: String,
    /// The document that the wakeup is for.
    pub subject: Reference,
    /// The earliest time of the call.
    pub due: Timestamp,
    /// The time after which the call comes too late. The due wakeup with the earliest deadline runs first.
    pub deadline: Option<Timestamp>,
    /// Data of the plugin, opaque to the host.
    pub payload: String,
}

impl Wakeup {
    /// Returns the part of the id before the first full stop: `refresh` for `refresh.wholesale-users`.
    pub fn kind(&self) -> &str {
        self.id.split_once('.').map_or(&self.id, |(kind, _)| kind)
    }

    /// Returns the action in the transactions of this wakeup's calls, such as `check-expiry`.
    pub fn action(&self) -> &str {
        match self.kind() {
            crate::wakeup_kinds::EXPIRY => "check-expiry",
            kind => kind,
        }
    }
}

/// One invalid field of the caller's input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field name as the caller wrote it.
    pub field: String,
    /// The problem, and a valid alternative.
    pub message: String,
}

/// The reason why an operation failed. The case says who acts next (see the contract's `failure`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", content = "detail", rename_all = "kebab-case")]
pub enum Failure {
    /// The caller acts: the input is invalid. Lists all errors.
    #[error("{}", join_field_errors(.0))]
    Invalid(Vec<FieldError>),
    /// The caller acts: the document does not exist.
    #[error("{0} does not exist")]
    NotFound(Reference),
    /// The caller acts: something changed concurrently, or the lease was lost. Run the call again.
    #[error("{0}")]
    Conflict(String),
    /// A person acts at Webex: only a new consent helps.
    #[error("{0}")]
    Reauthorize(String),
    /// No action needed: the call will be retried, at the given time if there is one.
    #[error("{}", match .0 { Some(at) => format!("rate-limited until {at}"), None => "rate-limited".to_owned() })]
    RateLimited(Option<Timestamp>),
    /// No action needed: a temporary error.
    #[error("{0}")]
    Unavailable(String),
    /// The operator acts: a limit or policy of the host applies. The text names its setting.
    #[error("{0}")]
    LimitExceeded(String),
    /// The author of the plugin or of the host acts.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// Returns the name of the case in the contract, such as `not-found`.
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

    /// Applies `change` to each text of the failure.
    #[must_use]
    pub fn map_texts(self, change: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Invalid(mut errors) => {
                for error in &mut errors {
                    error.field = change(&error.field);
                    error.message = change(&error.message);
                }
                Self::Invalid(errors)
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

fn join_field_errors(errors: &[FieldError]) -> String {
    let texts: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", error.field, error.message))
        .collect();
    texts.join("; ")
}
