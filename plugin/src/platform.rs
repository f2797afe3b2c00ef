//! The ports of the workflows: one trait per import of the contract.
//!
//! Workflows know only these traits. The component implements them with its imports; tests and the
//! native benchmarks implement them in memory or with the host's own modules.

use std::fmt;

pub use crate::contract::{
    Check, Comparison, Document, FieldError, Filter, Key, Level, OnUnavailable, Page, PkidPage,
    Reference, Scope, UniqueCheck, VersionCheck, Wakeup,
};
pub use crate::time::{Millis, UnixMillis};

/// The model of the documents that hold the records.
pub const RECORD_MODEL: &str = "data/SparkCustomer";

impl Reference {
    /// Creates a reference to `pkid` in `model`.
    pub fn new(model: impl Into<String>, pkid: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            pkid: pkid.into(),
        }
    }

    /// Creates a reference to a record of the relation.
    pub fn record(pkid: impl Into<String>) -> Self {
        Self::new(RECORD_MODEL, pkid)
    }

    /// Returns whether the reference is well-formed; a reference that is read from storage may contain
    /// anything.
    pub fn is_valid(&self) -> bool {
        (1..=MAX_MODEL_BYTES).contains(&self.model.len()) && is_pkid(&self.pkid)
    }
}

/// Returns whether a text is a primary key: 24 lower-case hexadecimal characters.
pub fn is_pkid(text: &str) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 24 && text.bytes().all(hexadecimal)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.pkid)
    }
}

/// A secret in clear. Its `Debug` output is empty; only `expose` returns the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a clear value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the clear value.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl FieldError {
    /// Creates an error of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// The reason why an operation failed. The variant says who must act (see the contract's `failure`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The caller must correct the input; all field errors are listed.
    #[error("{}", join_field_errors(.0))]
    Invalid(Vec<FieldError>),
    /// The caller named a document that does not exist.
    #[error("{0} does not exist")]
    NotFound(Reference),
    /// The caller must run the call again: the data changed concurrently.
    #[error("{0}")]
    Conflict(String),
    /// A person must connect to Webex again.
    #[error("{0}")]
    Reauthorize(String),
    /// The call can be retried, not before the time if there is one.
    #[error("the server limits the rate of requests")]
    RateLimited(Option<UnixMillis>),
    /// A transient error; the call can be retried.
    #[error("{0}")]
    Unavailable(String),
    /// The operator must change a limit or a policy of the host.
    #[error("{0}")]
    LimitExceeded(String),
    /// The authors of the plugin or the host must fix an error.
    #[error("{0}")]
    Internal(String),
}

fn join_field_errors(errors: &[FieldError]) -> String {
    let each: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", error.field, error.message))
        .collect();
    each.join("; ")
}

impl Document {
    /// Returns whether both documents have the same node, body and keys.
    pub fn has_content_of(&self, other: &Self) -> bool {
        self.hierarchy == other.hierarchy && self.body == other.body && self.has_keys_of(other)
    }

    /// Returns whether both documents have the same keys, in any order. No document has a key twice.
    pub fn has_keys_of(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len() && self.keys.iter().all(|key| other.keys.contains(key))
    }
}

impl Key {
    /// Creates the key `name` = `value`.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }

    /// Returns whether the value is at most [`MAX_KEY_BYTES`] long. No document has a longer key.
    pub fn fits(&self) -> bool {
        self.value.len() <= MAX_KEY_BYTES
    }
}

/// The maximum number of keys of a document, as the contract defines it.
pub const MAX_KEYS: usize = 64;

/// The maximum length of a key's value in bytes, as the contract defines it.
pub const MAX_KEY_BYTES: usize = 4096;
/// The maximum length of a model's name in bytes, as the contract defines it.
const MAX_MODEL_BYTES: usize = 128;

impl Filter {
    /// Returns whether the filter can match a document: a key made of stored values may be longer than any
    /// document's key.
    pub fn can_match(&self) -> bool {
        self.equals.iter().all(Key::fits)
    }
}

/// One step of a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Creates or replaces a document.
    Put(Document),
    /// Deletes a document with its secrets and wakeups.
    Delete(Reference),
    /// Seals a secret of a document.
    PutSecret {
        /// The document that the secret belongs to.
        owner: Reference,
        /// The secret's name in that document.
        name: String,
        /// The clear value.
        value: Secret,
    },
    /// Removes a secret.
    RemoveSecret(Reference, String),
    /// Creates or moves a wakeup.
    Schedule(Wakeup),
    /// Removes the wakeup with this subject and id.
    Cancel(Reference, String),
}

/// An HTTP request. Its `Debug` output has method and target only: headers and body contain
/// secrets.
pub type HttpRequest = http::Request<Vec<u8>>;
/// An HTTP response with its complete body.
pub type HttpResponse = http::Response<Vec<u8>>;

/// The reason why a request has no complete response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The host's policy forbids the target; the text names the rule and the setting.
    #[error("{0}")]
    Denied(String),
    /// A limit of the host applied before anything was sent: size, number, or a lease too short to
    /// send safely.
    #[error("{0}")]
    Limit(String),
    /// A proxy does not accept the user or password, or needs some. The request was certainly not sent.
    #[error("{0}")]
    ProxyCredentials(String),
    /// A transient error of name resolution, connection or TLS. The request was certainly not sent.
    #[error("{0}")]
    Network(String),
    /// A transient error: a time-out or a broken connection. The request may have been carried out.
    #[error("{0}")]
    Lost(String),
    /// The response exceeds a limit of the host. The request was carried out.
    #[error("{0}")]
    TooLarge(String),
}

impl HttpError {
    /// Returns whether the server may have received the request although no response arrived.
    pub fn may_have_been_received(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::TooLarge(_))
    }
}

/// Documents, secrets and wakeups: `automate:platform/storage` and `scheduling`.
pub trait Storage {
    /// Returns the document, if it exists.
    fn get(&self, reference: &Reference) -> Result<Option<Document>, Failure>;
    /// Returns several documents, in the order of `references`.
    fn get_many(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, Failure>;
    /// Returns one page of matching documents.
    fn find(&self, filter: &Filter, cursor: Option<&str>, limit: u32) -> Result<Page, Failure>;
    /// Returns one page of the primary keys of matching documents.
    fn find_pkids(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<PkidPage, Failure> {
        let page = self.find(filter, cursor, limit)?;
        let pkids = page.documents.into_iter();
        Ok(PkidPage {
            pkids: pkids.map(|document| document.reference.pkid).collect(),
            next: page.next,
        })
    }
    /// Compares documents with the stored ones.
    fn compare(&self, documents: &[Document]) -> Result<Vec<Comparison>, Failure> {
        let references: Vec<Reference> = documents
            .iter()
            .map(|document| document.reference.clone())
            .collect();
        let stored = self.get_many(&references)?;
        let pairs = documents.iter().zip(stored);
        let comparisons = pairs.map(|(document, stored)| match stored {
            None => Comparison::Absent,
            Some(stored) if document.has_content_of(&stored) => Comparison::Same,
            Some(_) => Comparison::Different,
        });
        Ok(comparisons.collect())
    }
    /// Applies all changes if all checks hold, otherwise none.
    fn commit_with(
        &self,
        checks: Vec<Check>,
        changes: Vec<Change>,
        on_unavailable: OnUnavailable,
    ) -> Result<(), Failure>;
    /// Commits, and fails while the store is unavailable.
    fn commit(&self, checks: Vec<Check>, changes: Vec<Change>) -> Result<(), Failure> {
        self.commit_with(checks, changes, OnUnavailable::Fail)
    }
    /// Lists the wakeups of a subject, the earliest first.
    fn wakeups(&self, subject: &Reference) -> Result<Vec<Wakeup>, Failure>;
}

/// Sealed secrets: `automate:platform/secrets`.
pub trait Secrets {
    /// Returns the clear value of a sealed secret, if it exists.
    fn reveal(&self, owner: &Reference, name: &str) -> Result<Option<Secret>, Failure>;
    /// Returns a secret of the installation, if it exists.
    fn reveal_setting(&self, name: &str) -> Result<Option<Secret>, Failure>;
}

/// Outbound HTTP: `wasi:http/outgoing-handler` and `automate:platform/egress`.
pub trait Http {
    /// Sets the proxies for the rest of this call, for `http:` and for `https:` targets.
    fn use_proxies(&self, http: Option<&Secret>, https: Option<&Secret>) -> Result<(), Failure>;
    /// Sends a request and reads the complete response.
    fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;
    /// Sends a safe request whose response the next call of [`send`](Self::send) with the same request returns. A
    /// platform may wait for that call instead.
    fn send_ahead(&self, request: HttpRequest) {
        drop(request);
    }
}

/// The call's transaction: `automate:platform/transactions`.
pub trait TransactionLog {
    /// Adds a line to the transaction's log.
    fn log(&self, level: Level, message: &str);
    /// Reports progress: `[ done/total ] message`.
    fn progress(&self, done: u32, total: u32, message: &str);
    /// Returns when an earlier, interrupted call on this subject began, unless a call has completed
    /// since.
    fn interrupted(&self) -> Option<UnixMillis>;
    /// Records a part of the call that has ended; `outcome` is its result or the reason for its failure.
    fn record_part(&self, action: &str, started: UnixMillis, outcome: Result<&str, &str>);
}

/// Clock, random bytes and plain settings: `wasi:clocks`, `wasi:random`, `automate:platform/settings`.
pub trait Environment {
    /// Returns the current time.
    fn now(&self) -> UnixMillis;
    /// Returns `count` random bytes of cryptographic quality.
    fn random(&self, count: usize) -> Vec<u8>;
    /// Returns all plain settings.
    fn settings(&self) -> Result<Vec<(String, String)>, Failure>;
}

/// All imports that a workflow may use.
pub trait Platform: Storage + Secrets + Http + TransactionLog + Environment {}

impl<T: Storage + Secrets + Http + TransactionLog + Environment> Platform for T {}
