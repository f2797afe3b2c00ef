//! The inputs and results of activities, updates and signals, as JSON. All of them are in the history, so none has a
//! secret.

use relation_host::reports::{Grant, RefreshOutcome, State, SyncSelector};
use relation_host::types::{Hierarchy, Pkid, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The record that an activity is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The record's primary key.
    pub pkid: Pkid,
}

/// The input of `add`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Add {
    /// The node that the record belongs to.
    pub hierarchy: Hierarchy,
    /// The fields that are not secrets.
    #[serde(default)]
    pub fields: Map<String, Value>,
    /// A stored input with more fields or a token response: see [`Inputs`](crate::inputs::Inputs).
    #[serde(default)]
    pub input: Option<Pkid>,
    /// A second add with the same key at the same node creates nothing. Required, because Temporal may repeat an activity.
    pub idempotency_key: String,
}

/// The input of `modify`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Modify {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The changed fields.
    #[serde(flatten)]
    pub change: Change,
}

/// A change of fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Change {
    /// The fields that are not secrets.
    #[serde(default)]
    pub fields: Map<String, Value>,
    /// A stored input with more fields or a token response: see [`Inputs`](crate::inputs::Inputs).
    #[serde(default)]
    pub input: Option<Pkid>,
}

/// The input of `connect`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connect {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The consent to ask for.
    #[serde(flatten)]
    pub consent: ConsentRequest,
}

/// The consent to ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsentRequest {
    /// The grant.
    #[serde(default)]
    pub grant: Grant,
    /// The address to which Webex returns the browser.
    pub redirect_uri: String,
}

/// The input of `complete-connect`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompleteConnect {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The stored callback: see [`Inputs`](crate::inputs::Inputs).
    pub input: Pkid,
}

/// The input of `refresh` and `check-expiry`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfGrant {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The grant.
    #[serde(default)]
    pub grant: Grant,
}

/// The input of `sync`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncInput {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The data sync.
    pub sync: SyncSelector,
    /// Whether to remove what has vanished at Webex even if that is most of what is stored.
    #[serde(default)]
    pub accept_removals: bool,
}

/// The input of `delete`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delete {
    /// The record's primary key.
    pub pkid: Pkid,
    /// Whether only to report what would be removed.
    #[serde(default)]
    pub dry_run: bool,
}

/// The input of `invoke`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invoke {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The name of the action.
    pub action: String,
    /// The action's arguments.
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

/// The input of `count-imported`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CountImported {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The model of the imported documents, such as `device/spark/User`.
    pub model: String,
}

/// The state of a record after a call, as the workflow and its queries have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The customer's name.
    pub name: String,
    /// The customer's node in the hierarchy.
    pub hierarchy: Hierarchy,
    /// The connection's state.
    pub state: State,
    /// A text for the administrator; may be empty.
    pub notes: String,
    /// The time when the organization's next refresh is due.
    pub next_refresh: Option<Timestamp>,
    /// The time when the record's next wakeup is due, by the host's clock.
    pub next_wakeup: Option<Timestamp>,
    /// The milliseconds until then, so that a workflow needs no clock that agrees with the host's.
    pub next_wakeup_in_ms: Option<u64>,
}

/// The result of an activity: the report of the call, and the state of its record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome<T> {
    /// The id of the call's transaction, which has the log.
    pub transaction: String,
    /// The report of the call.
    pub report: T,
    /// The record after the call; `None`: the record does not exist.
    pub record: Option<Snapshot>,
}

/// The report of `add`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Added {
    /// The record's primary key.
    pub pkid: Pkid,
    /// Whether an earlier add with this idempotency key had created the record.
    pub replayed: bool,
}

/// The report of `modify`: its result is the state of the record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Modified {}

/// The report of `connect`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsentLink {
    /// The grant to consent to.
    pub grant: Grant,
    /// The stored link to the consent page: `relation-temporal link` prints it. Whoever has the link can consent.
    pub link: Pkid,
    /// The requested scopes.
    pub scopes: Vec<String>,
    /// The time until which the callback is accepted.
    pub expires: Timestamp,
}

/// The report of `complete-connect`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connected {
    /// The grant that was consented to.
    pub grant: Grant,
    /// The organization that consented: its bare UUID.
    pub organization: String,
    /// The time when the sync of roles and licenses begins, if this consent starts one.
    pub sync_due: Option<Timestamp>,
    /// A text for the administrator.
    pub message: String,
}

/// The report of `refresh`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refreshed {
    /// The grant that was refreshed.
    pub grant: Grant,
    /// The outcome.
    pub outcome: RefreshOutcome,
    /// A text for the administrator.
    pub message: String,
    /// Webex's tracking id of the failed request.
    pub tracking_id: Option<String>,
    /// Whether another attempt had already refreshed the tokens, so this call sent no request.
    pub joined: bool,
}

/// The report of `check-expiry`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checked {
    /// The grant that was checked.
    pub grant: Grant,
    /// Remaining lifetime of the access token, in milliseconds.
    pub access_token_remaining_ms: Option<u64>,
    /// Remaining lifetime of the refresh token, in milliseconds.
    pub refresh_token_remaining_ms: Option<u64>,
    /// The code of the active alert.
    pub alert: Option<String>,
}

/// The report of `delete`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deleted {
    /// The number of documents that were removed, or would be.
    pub documents: usize,
    /// The number of wakeups that were removed, or would be.
    pub wakeups: usize,
    /// The outcome of revoking the tokens at Webex, for an administrator.
    pub revocation: String,
}

/// The report of `wake`: the wakeups that were due, in the order of their runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Woken {
    /// The wakeups that ran.
    pub ran: Vec<RanWakeup>,
}

/// A wakeup that ran.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RanWakeup {
    /// The wakeup's id, such as `refresh`.
    pub id: String,
    /// The id of the call's transaction.
    pub transaction: Option<String>,
    /// Why the call failed. The store has moved its wakeup to the next attempt.
    pub error: Option<String>,
}

/// The progress of a call, as heartbeats show it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The host's time when the call was first requested. A repeated refresh joins an attempt since then.
    pub requested_at: Timestamp,
    /// The call's transaction.
    pub transaction: Option<String>,
    /// The progress that the call has reported.
    pub progress: Option<String>,
}
