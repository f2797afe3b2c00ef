//! The ports: what a workflow may ask of the world, one trait per import of the contract.
//!
//! Workflows know only these traits. The component implements them with its imports; tests and
//! the native baseline implement them in memory or over a host's own parts.

use std::fmt;

/// Milliseconds since the Unix epoch, UTC.
pub type Timestamp = u64;

/// The model of the documents that hold the records.
pub const RECORD_MODEL: &str = "data/SparkCustomer";

/// Names one document: its model and its primary key there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The model's type and name, such as `data/SparkCustomer`.
    pub model: String,
    /// The primary key: 24 lower-case hexadecimal characters.
    pub pkid: String,
}

impl Reference {
    /// The reference to `pkid` in `model`.
    pub fn new(model: impl Into<String>, pkid: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            pkid: pkid.into(),
        }
    }

    /// The reference to a record of the relation.
    pub fn record(pkid: impl Into<String>) -> Self {
        Self::new(RECORD_MODEL, pkid)
    }

    /// Whether it can name a document at all; what is read from storage may be anything.
    pub fn is_one(&self) -> bool {
        (1..=LONGEST_MODEL).contains(&self.model.len()) && is_pkid(&self.pkid)
    }
}

/// Whether a text is a primary key: 24 lower-case hexadecimal characters.
pub fn is_pkid(text: &str) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 24 && text.bytes().all(hexadecimal)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.pkid)
    }
}

/// A clear secret. It shows nothing of itself; `expose` is the one way in.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a clear value into custody.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The clear value, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One thing wrong with one field of the caller's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field as the caller wrote it.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// Why an operation did not happen; the case says who acts next (see the contract's `failure`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The caller: the input is wrong, all faults at once.
    #[error("{}", faults_in_words(.0))]
    Invalid(Vec<FieldError>),
    /// The caller: no such document.
    #[error("{0} does not exist")]
    NotFound(Reference),
    /// The caller: something changed meanwhile, run it again.
    #[error("{0}")]
    Conflict(String),
    /// A person, at Webex.
    #[error("{0}")]
    Reauthorize(String),
    /// Nobody: try again later, at the moment given if one is.
    #[error("the other side asks for patience")]
    RateLimited(Option<Timestamp>),
    /// Nobody: a passing fault.
    #[error("{0}")]
    Unavailable(String),
    /// The operator: a limit or policy of the host.
    #[error("{0}")]
    LimitExceeded(String),
    /// The author of the plugin or the host.
    #[error("{0}")]
    Internal(String),
}

fn faults_in_words(faults: &[FieldError]) -> String {
    let each: Vec<String> = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.field, fault.message))
        .collect();
    each.join("; ")
}

/// A name and a value by which a document can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The field's name.
    pub name: String,
    /// Its value, compared byte for byte.
    pub value: String,
}

impl Key {
    /// The key `name` = `value`.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }

    /// Whether a document can have it: see [`LONGEST_KEY`]. By what is longer nothing is found.
    pub fn fits(&self) -> bool {
        self.value.len() <= LONGEST_KEY
    }
}

/// The longest value of a key, in bytes, as the contract has it.
pub const LONGEST_KEY: usize = 4096;
/// The longest name of a model, in bytes, as the contract has it.
const LONGEST_MODEL: usize = 128;

/// One instance of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Which one.
    pub reference: Reference,
    /// The node it belongs to, as a dotted path.
    pub hierarchy: String,
    /// How often it was written; ignored in a put.
    pub version: u64,
    /// Its content: one JSON object.
    pub body: String,
    /// What it can be found by.
    pub keys: Vec<Key>,
}

/// Where `find` looks.
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
    /// Its place.
    pub hierarchy: String,
    /// How far from that place.
    pub scope: Scope,
    /// Keys that it must all have.
    pub equals: Vec<Key>,
}

impl Filter {
    /// Whether it can be asked at all: no document has a key as long as one of these may be, if what they
    /// were made of was read from storage.
    pub fn can_match(&self) -> bool {
        self.equals.iter().all(Key::fits)
    }
}

/// One page of what was found, ordered by pkid.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// What was found.
    pub documents: Vec<Document>,
    /// Continues behind this page; none: it was the last.
    pub next: Option<String>,
}

/// A condition that holds at the moment of the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The document has exactly this version.
    Version(Reference, u64),
    /// The document does not exist.
    Absent(Reference),
    /// Nothing matches, other than the document excepted.
    Unique(Filter, Option<Reference>),
}

/// What the host does with a commit while the store is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnavailable {
    /// Fails the commit.
    Fail,
    /// Retries the commit, then keeps it and applies it later. Needs a check of the record.
    Keep,
}

/// One step of a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Create or replace a document.
    Put(Document),
    /// Delete a document with its secrets and wakeups.
    Delete(Reference),
    /// Seal a secret of a document.
    PutSecret {
        /// The document it belongs to.
        owner: Reference,
        /// Its name there.
        name: String,
        /// The clear value.
        value: Secret,
    },
    /// Remove a secret.
    RemoveSecret(Reference, String),
    /// Create or move a wakeup.
    Schedule(Wakeup),
    /// Remove the wakeup of this subject and id.
    Cancel(Reference, String),
}

/// A call of `wake` that is to be made when its time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wakeup {
    /// Names it among those of its subject.
    pub id: String,
    /// The document it is for.
    pub subject: Reference,
    /// Not before this moment.
    pub due: Timestamp,
    /// What must not pass before it ran, such as the expiry that it prevents.
    pub deadline: Option<Timestamp>,
    /// The plugin's words to itself.
    pub payload: String,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// For whoever follows the call.
    Info,
    /// Something that a person may want to look at.
    Warning,
    /// Something that a person must look at.
    Error,
}

/// An HTTP request. Its Debug names method and target only: headers and body carry secrets.
pub type HttpRequest = http::Request<Vec<u8>>;
/// An HTTP answer, read to its end.
pub type HttpResponse = http::Response<Vec<u8>>;

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The host's policy forbids the target; the text names the rule and the setting.
    #[error("{0}")]
    Denied(String),
    /// A limit of the host was hit before anything was sent (size, number, or a lease too short to
    /// send safely).
    #[error("{0}")]
    Limit(String),
    /// No name, no connection, no TLS: a passing fault, and the request was certainly not sent.
    #[error("{0}")]
    Network(String),
    /// A time-out or an end in the middle: a passing fault, and the request may have been carried
    /// out.
    #[error("{0}")]
    Lost(String),
    /// The answer is beyond a limit of the host; the request was carried out.
    #[error("{0}")]
    TooLarge(String),
}

impl HttpError {
    /// Whether the request may have been received although no answer came.
    pub fn may_have_been_received(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::TooLarge(_))
    }
}

/// Documents, secrets and wakeups: `automate:platform/storage` and `scheduling`.
pub trait Storage {
    /// The document, or none.
    fn get(&self, reference: &Reference) -> Result<Option<Document>, Failure>;
    /// Several at once, in the order asked for.
    fn get_many(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, Failure>;
    /// One page of what matches.
    fn find(&self, filter: &Filter, cursor: Option<&str>, limit: u32) -> Result<Page, Failure>;
    /// Makes all of the changes if all of the checks hold, otherwise none.
    fn commit_with(
        &self,
        checks: Vec<Check>,
        changes: Vec<Change>,
        on_unavailable: OnUnavailable,
    ) -> Result<(), Failure>;
    /// Makes a commit that fails while the store is unavailable.
    fn commit(&self, checks: Vec<Check>, changes: Vec<Change>) -> Result<(), Failure> {
        self.commit_with(checks, changes, OnUnavailable::Fail)
    }
    /// All wakeups of a subject, the earliest first.
    fn wakeups(&self, subject: &Reference) -> Result<Vec<Wakeup>, Failure>;
}

/// Sealed values: `automate:platform/secrets`.
pub trait Secrets {
    /// The clear value of a sealed secret, or none.
    fn reveal(&self, owner: &Reference, name: &str) -> Result<Option<Secret>, Failure>;
    /// A secret of the installation, or none.
    fn reveal_setting(&self, name: &str) -> Result<Option<Secret>, Failure>;
}

/// The way out: `wasi:http/outgoing-handler` and `automate:platform/egress`.
pub trait Http {
    /// The proxies of this call from now on, for `http:` and for `https:` targets.
    fn use_proxies(&self, http: Option<&Secret>, https: Option<&Secret>) -> Result<(), Failure>;
    /// Sends a request and reads the whole answer.
    fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;
}

/// What a person sees: `automate:platform/transactions`.
pub trait Journal {
    /// A line for the transaction's log.
    fn log(&self, level: Level, message: &str);
    /// How far the call is: `[ done/total ] message`.
    fn progress(&self, done: u32, total: u32, message: &str);
    /// When an earlier call on this subject began that was cut off, unless one has ended since.
    fn interrupted(&self) -> Option<Timestamp>;
}

/// Clock, chance and plain settings: `wasi:clocks`, `wasi:random`, `automate:platform/settings`.
pub trait Environment {
    /// Now.
    fn now(&self) -> Timestamp;
    /// `count` random bytes of cryptographic quality.
    fn random(&self, count: usize) -> Vec<u8>;
    /// All plain settings.
    fn settings(&self) -> Result<Vec<(String, String)>, Failure>;
}

/// Everything a workflow may ask of the world.
pub trait Platform: Storage + Secrets + Http + Journal + Environment {}

impl<T: Storage + Secrets + Http + Journal + Environment> Platform for T {}
