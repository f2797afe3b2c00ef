//! A scenario as it was read: where it begins, what happens step by step, what must come of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use relation_host::Limits;
use relation_host::reports::Grant;
use relation_host::types::{Failure, Hierarchy, Reference, Timestamp, Wakeup};
use secrecy::SecretString;
use serde_json::{Map, Value};
use webex_emulator::{ErrorStyle, Fault, License, Listing, Mode, Paging, Role};

use super::format::source::Place;
use super::pattern::Pattern;
use super::template::Template;

/// One file: a behaviour, and how it is shown.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file.
    pub path: PathBuf,
    /// The behaviour, in one sentence.
    pub about: String,
    /// Where it is said that it is so.
    pub source: Option<String>,
    /// Where it begins.
    pub given: Given,
    /// Settings of the plugin beside the usual ones; none: there is no such setting.
    pub settings: BTreeMap<String, Option<String>>,
    /// Secrets of the installation beside the usual ones; none: there is no such secret.
    pub secrets: BTreeMap<String, Option<SecretString>>,
    /// What a call may use.
    pub limits: Limits,
    /// The emulated Webex; none: the steps script what is answered.
    pub webex: Option<Webex>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// Where a scenario begins.
#[derive(Clone, Debug)]
pub struct Given {
    /// What time it is.
    pub clock: Timestamp,
    /// What everything random follows from.
    pub seed: u64,
    /// Where documents are kept.
    pub store: StoreKind,
    /// Whether a call holds a lease on its record.
    pub leases: bool,
    /// Documents that are there.
    pub documents: Vec<GivenDocument>,
    /// Secrets that are there.
    pub secrets: Vec<GivenSecret>,
    /// Wakeups that are there.
    pub wakeups: Vec<GivenWakeup>,
}

/// Which store holds what a scenario stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// One in memory.
    Memory,
    /// SQLite in a file of its own.
    Sqlite,
}

/// A document that is there when a scenario begins.
#[derive(Clone, Debug)]
pub struct GivenDocument {
    /// Which one.
    pub reference: Reference,
    /// The node where it belongs.
    pub hierarchy: Hierarchy,
    /// Its content.
    pub content: Content,
    /// What it can be found by.
    pub keys: Vec<(String, Template)>,
}

/// The content of a document.
#[derive(Clone, Debug)]
pub enum Content {
    /// An object, in whose texts names are put in.
    Object(Map<String, Value>),
    /// Any text, also what is no JSON.
    Text(Template),
}

/// A wakeup that is there when a scenario begins.
#[derive(Clone, Debug)]
pub struct GivenWakeup {
    /// The wakeup, with a payload still to come.
    pub wakeup: Wakeup,
    /// The plugin's words to itself.
    pub payload: Template,
}

/// A secret that is there when a scenario begins.
#[derive(Clone, Debug)]
pub struct GivenSecret {
    /// The document that it belongs to.
    pub owner: Reference,
    /// Its name there.
    pub name: String,
    /// The clear value, as it is written: names in it are still to be put in.
    pub value: SecretString,
}

/// The emulated Webex.
#[derive(Clone, Debug)]
pub struct Webex {
    /// What a refresh does.
    pub mode: Mode,
    /// Whether the use of a rotated-out token ends the whole grant.
    pub reuse_detection: bool,
    /// Life of an access token.
    pub access_life: Duration,
    /// Life of a refresh token.
    pub refresh_life: Duration,
    /// Life of an authorization code.
    pub code_life: Option<Duration>,
    /// The body of refusals at the token endpoint.
    pub error_style: ErrorStyle,
    /// Whether token answers lack `scope` and `token_type`.
    pub bare_answers: bool,
    /// Whether a consent without PKCE is refused.
    pub require_pkce: bool,
    /// Whether the second use of a code ends what the first one gave.
    pub code_reuse_revokes: bool,
    /// How long a revoked access token still works.
    pub revocation_lag: Option<Duration>,
    /// Whether what no client may do fails the scenario.
    pub violations: Violations,
    /// Who is there.
    pub organizations: Vec<Organization>,
    /// What they have granted.
    pub grants: Vec<NewGrant>,
    /// What will go wrong.
    pub faults: Vec<Fault>,
}

impl Webex {
    /// The names that are known of it when a scenario begins.
    pub fn names(&self) -> Vec<String> {
        let organizations = self.organizations.iter();
        let organizations = organizations
            .flat_map(|one| ORGANIZATION_NAMES.map(|part| format!("{}.{part}", one.name)));
        let grants = self.grants.iter();
        let grants = grants.flat_map(|one| GRANT_NAMES.map(|part| format!("{}.{part}", one.name)));
        organizations.chain(grants).collect()
    }
}

/// What is known of an organisation, behind its name.
const ORGANIZATION_NAMES: [&str; 2] = ["uuid", "id"];

/// What is known of a grant, behind its name.
const GRANT_NAMES: [&str; 3] = ["tokens", "access-token", "refresh-token"];

/// What becomes of a scenario in which the plugin does what no client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violations {
    /// It fails.
    Forbidden,
    /// Nothing.
    Allowed,
}

/// An organisation.
#[derive(Clone, Debug)]
pub struct Organization {
    /// What the scenario calls it: `{name.uuid}` and `{name.id}` are its ids.
    pub name: String,
    /// What Webex calls it.
    pub display_name: String,
    /// Its roles in place of the usual ones.
    pub roles: Option<Vec<Role>>,
    /// Its licences in place of the usual ones.
    pub licenses: Option<Vec<License>>,
}

/// Tokens that an organisation grants without a consent page.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// Where it is written.
    pub place: Place,
    /// What the scenario calls them: `{name.tokens}`, `{name.access-token}`, `{name.refresh-token}`.
    pub name: String,
    /// The organisation.
    pub organization: String,
    /// The scopes; none: the usual ones.
    pub scopes: Option<Vec<String>>,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it is written.
    pub place: Place,
    /// What it is for.
    pub about: Option<String>,
    /// What happens.
    pub action: Action,
    /// What Webex is asked and answers meanwhile, where there is no emulator.
    pub http: Vec<Exchange>,
    /// What goes wrong between plugin and host meanwhile.
    pub disturbances: Vec<Disturbance>,
    /// What must come of it.
    pub expect: Expect,
}

/// What happens in a step.
#[derive(Clone, Debug)]
pub enum Action {
    /// A workflow is called.
    Call(Call),
    /// Time passes, and what is due is done.
    Advance(Duration),
    /// Time passes until a moment.
    At(Timestamp),
    /// Something happens at Webex.
    Webex(WebexAction),
    /// The host stops and starts again.
    Restart,
}

impl Action {
    /// A few words for a report.
    pub fn words(&self) -> String {
        match self {
            Self::Call(call) => format!("call {}", call.name()),
            Self::Advance(duration) => {
                format!("advance {}", humantime::format_duration(*duration))
            }
            Self::At(moment) => format!("at {moment}"),
            Self::Webex(action) => format!("webex {}", action.name()),
            Self::Restart => "host restart".to_owned(),
        }
    }
}

/// A workflow with its inputs.
#[derive(Clone, Debug)]
#[expect(
    missing_docs,
    reason = "the inputs are those of the contract's workflows"
)]
pub enum Call {
    Add {
        /// The name under which the record's pkid is known afterwards.
        name: Option<String>,
        hierarchy: Hierarchy,
        fields: Map<String, Value>,
        tokens: Option<Value>,
        idempotency_key: Option<Template>,
    },
    Modify {
        record: Template,
        fields: Map<String, Value>,
        tokens: Option<Value>,
    },
    Delete {
        record: Template,
        dry_run: bool,
    },
    Connect {
        record: Template,
        grant: Grant,
        redirect_uri: String,
    },
    CompleteConnect {
        record: Template,
        callback: Template,
    },
    Refresh {
        record: Template,
        grant: Grant,
    },
    CheckExpiry {
        record: Template,
        grant: Grant,
    },
    Sync {
        record: Template,
    },
    Wake {
        record: Template,
        wakeup: String,
        payload: Option<String>,
        due: Option<Timestamp>,
        deadline: Option<Timestamp>,
    },
    Describe,
}

impl Call {
    /// The workflow's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add { .. } => "add",
            Self::Modify { .. } => "modify",
            Self::Delete { .. } => "delete",
            Self::Connect { .. } => "connect",
            Self::CompleteConnect { .. } => "complete-connect",
            Self::Refresh { .. } => "refresh",
            Self::CheckExpiry { .. } => "check-expiry",
            Self::Sync { .. } => "sync",
            Self::Wake { .. } => "wake",
            Self::Describe => "describe",
        }
    }
}

/// What happens at the emulated Webex.
#[derive(Clone, Debug)]
pub enum WebexAction {
    /// A person opens a link and accepts.
    Consent {
        /// Whose administrator it is.
        organization: String,
        /// The link.
        link: Template,
        /// The only scopes that are granted.
        only: Option<Vec<String>>,
        /// Scopes that are not granted.
        without: Vec<String>,
    },
    /// A person opens a link and declines.
    Decline {
        /// The link.
        link: Template,
    },
    /// A person opens a link, and Webex fails.
    FailConsent {
        /// The link.
        link: Template,
        /// OAuth's word for it.
        error: String,
        /// More words.
        description: String,
    },
    /// An organisation grants tokens.
    Grant(NewGrant),
    /// What an organisation granted ends.
    RevokeOrganization(String),
    /// A token ends.
    RevokeToken(Template),
    /// Refreshes answer otherwise.
    Mode {
        /// How.
        mode: Option<Mode>,
        /// Whether the use of a rotated-out token ends the grant.
        reuse_detection: Option<bool>,
    },
    /// Something will go wrong.
    Fault(Fault),
    /// Nothing goes wrong any more.
    ClearFaults,
    /// An organisation has these roles.
    Roles {
        /// Which one.
        organization: String,
        /// All of them.
        roles: Vec<Role>,
    },
    /// An organisation has these licences.
    Licenses {
        /// Which one.
        organization: String,
        /// All of them.
        licenses: Vec<License>,
    },
    /// A listing comes in pages.
    Paging {
        /// Which one.
        listing: Listing,
        /// How; none: in one.
        paging: Option<Paging>,
    },
}

impl WebexAction {
    /// Its name in a scenario.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Consent { .. } => "consent",
            Self::Decline { .. } => "decline",
            Self::FailConsent { .. } => "fail-consent",
            Self::Grant(_) => "grant",
            Self::RevokeOrganization(_) | Self::RevokeToken(_) => "revoke",
            Self::Mode { .. } => "mode",
            Self::Fault(_) => "fault",
            Self::ClearFaults => "clear-faults",
            Self::Roles { .. } => "roles",
            Self::Licenses { .. } => "licenses",
            Self::Paging { .. } => "paging",
        }
    }
}

/// A request that a script awaits, and what it answers.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Where it is written.
    pub place: Place,
    /// What is asked.
    pub request: RequestPattern,
    /// What is answered.
    pub answer: Answer,
}

/// What a request must be like; what is not named does not matter.
#[derive(Clone, Debug)]
pub struct RequestPattern {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// The address; without a query any query fits.
    pub url: Template,
    /// Parameters of the query.
    pub query: BTreeMap<String, Pattern>,
    /// Header fields, by lower-case name.
    pub headers: BTreeMap<String, Pattern>,
    /// Fields of a form.
    pub form: Option<Pattern>,
    /// A body in JSON.
    pub json: Option<Pattern>,
    /// Any other body.
    pub body: Option<Pattern>,
}

/// What a script answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header fields.
    pub headers: BTreeMap<String, Template>,
    /// The body.
    pub body: AnswerBody,
    /// What goes wrong with it.
    pub fault: Option<AnswerFault>,
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub enum AnswerBody {
    /// None.
    Empty,
    /// JSON, in which names are put in.
    Json(Value),
    /// A form.
    Form(BTreeMap<String, Template>),
    /// A text.
    Text(Template),
}

/// Why a request has no answer, or no whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// The answer never came.
    Timeout,
    /// The connection was refused: the request was not sent.
    Refused,
    /// The connection was cut when the request was sent.
    Reset,
    /// The connection was cut in the middle of the body.
    Cut,
}

/// Something that goes wrong between plugin and host.
#[derive(Clone, Debug, PartialEq)]
pub struct Disturbance {
    /// Which import, such as `storage.commit`.
    pub import: String,
    /// Which of its calls, counted from 1.
    pub nth: u32,
    /// Before or after it was carried out.
    pub when: When,
    /// What goes wrong.
    pub with: Trouble,
}

/// On which side of an import something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It is not carried out.
    Before,
    /// It was carried out.
    After,
}

/// What goes wrong with an import.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The call ends there, as in a crash of the host.
    Crash,
    /// It answers with this failure.
    Failure(Failure),
}

/// What must come of a step. What is not named does not matter, save that a call must not fail.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// What the call answers.
    pub result: Option<Pattern>,
    /// How the call fails: an object of `case`, `fields`, `text`.
    pub error: Option<Pattern>,
    /// What was answered while time passed.
    pub fired: Option<Happened>,
    /// Which requests were made.
    pub http: Option<Happened>,
    /// What changed in the store.
    pub storage: Option<Storage>,
    /// Documents that are there afterwards, by model.
    pub documents: BTreeMap<String, Amount>,
    /// Wakeups that are there afterwards, by id.
    pub wakeups: Option<Wakeups>,
    /// Alerts that stand afterwards, in any order.
    pub alerts: Option<Amount>,
    /// Lines that were logged, in this order, others between them.
    pub log: Vec<Pattern>,
    /// Progress that was told, in this order, other words between them.
    pub progress: Vec<Pattern>,
    /// The status of the transaction.
    pub transaction: Option<Pattern>,
    /// What must not occur in anything that can be seen.
    pub nowhere: Vec<(Place, Template)>,
}

/// Things that happened, in order, or how often each.
#[derive(Clone, Debug)]
pub enum Happened {
    /// Just these in this order: a list of patterns.
    Listed(Pattern),
    /// How often each; others do not matter.
    Counted(Vec<Often>),
}

/// How often something happens.
#[derive(Clone, Debug)]
pub struct Often {
    /// What, as it is written.
    pub written: String,
    /// What it is like.
    pub what: Pattern,
    /// How often.
    pub times: Pattern,
}

/// How many things there are, or which.
#[derive(Clone, Debug)]
pub enum Amount {
    /// So many.
    Count(Pattern),
    /// Just these in any order.
    Listed {
        /// Where.
        place: Place,
        /// Which.
        items: Vec<Pattern>,
        /// Whether there may be others.
        open: bool,
    },
}

/// What changed in the store.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Nothing.
    Unchanged(Place),
    /// This; what is not named does not matter.
    Changed(Box<Changes>),
}

/// What changed in the store, as far as it matters.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Documents that were made, by model.
    pub added: BTreeMap<String, Amount>,
    /// Documents that were changed, by model, as they are now.
    pub changed: BTreeMap<String, Amount>,
    /// Documents that were removed, by model, as they were.
    pub removed: BTreeMap<String, Amount>,
    /// Secrets that were sealed for the first time, by name.
    pub secrets_set: Option<Amount>,
    /// Secrets that have another value.
    pub secrets_changed: Option<Amount>,
    /// Secrets that are gone.
    pub secrets_unset: Option<Amount>,
}

/// Which wakeups there are.
#[derive(Clone, Debug)]
pub enum Wakeups {
    /// None at all.
    None(Place),
    /// These, by id, with when they are due; others do not matter.
    Due(BTreeMap<String, Pattern>),
}
