//! Queued calls: their requests are stored, for callers that do not wait, and the dispatcher runs them.
//!
//! One commit stores the request as a sealed secret of a document of its own, a wakeup that is due, and the
//! transaction as queued. [`run`](super::queue_run) executes the call under the id of that transaction.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::records::check_action_name;
use super::{AddRequest, CallError, CallErrorKind, Host};
use crate::limits::Limit;
use crate::reports::{Grant, SyncSelector};
use crate::store::seal::SealError;
use crate::store::{Change, Check, Commit, StoreError};
use crate::transactions::{NewTransaction, Status, Transaction, TransactionFilter, part_id};
use crate::types::{
    Document, Failure, Hierarchy, Key, Pkid, QUEUED_CALL_MODEL, RECORD_KEY, Reference, Timestamp,
    Wakeup,
};
use crate::wakeup_kinds;

/// The name of the secret that holds the request.
const REQUEST: &str = "request";
/// The maximum number of calls in a bulk: their numbers have four digits.
const MAX_BULK: usize = 9999;
/// A call to run later: see [`Host::submit`].
///
/// Its JSON has the secrets in clear text; the host stores the JSON only sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum QueuedCall {
    /// [`Host::add`]. Without an idempotency key, the id of the transaction is the key.
    Add(AddRequest),
    /// [`Host::modify`].
    Modify {
        /// The record's primary key.
        pkid: Pkid,
        /// The new values of fields, by name.
        fields: Map<String, Value>,
        /// The JSON response of the token endpoint, if tokens were obtained elsewhere.
        #[serde(with = "super::clear_text")]
        token_response: Option<SecretString>,
    },
    /// [`Host::delete`]. Succeeds if the record does not exist any more.
    Delete {
        /// The record's primary key.
        pkid: Pkid,
    },
    /// [`Host::refresh_grant`].
    Refresh {
        /// The record's primary key.
        pkid: Pkid,
        /// The grant to refresh.
        grant: Grant,
    },
    /// [`Host::check_grant`].
    CheckExpiry {
        /// The record's primary key.
        pkid: Pkid,
        /// The grant to check.
        grant: Grant,
    },
    /// [`Host::sync`].
    Sync {
        /// The record's primary key.
        pkid: Pkid,
        /// The data sync to execute.
        sync: SyncSelector,
        /// Whether to remove what has vanished at Webex even if that is most of what is stored.
        accept_removals: bool,
    },
    /// [`Host::invoke`].
    Invoke {
        /// The record's primary key.
        pkid: Pkid,
        /// The action's name.
        action: String,
        /// The action's arguments.
        arguments: Map<String, Value>,
    },
}

impl QueuedCall {
    /// Returns the action of the call's transaction.
    pub fn action(&self) -> &str {
        match self {
            Self::Add(_) => "add",
            Self::Modify { .. } => "modify",
            Self::Delete { .. } => "delete",
            Self::Refresh { .. } => "refresh",
            Self::CheckExpiry { .. } => "check-expiry",
            Self::Sync { .. } => "sync",
            Self::Invoke { action, .. } => action,
        }
    }

    /// Returns the primary key of the record; `None`: the call adds one.
    pub fn pkid(&self) -> Option<&Pkid> {
        match self {
            Self::Add(_) => None,
            Self::Modify { pkid, .. }
            | Self::Delete { pkid }
            | Self::Refresh { pkid, .. }
            | Self::CheckExpiry { pkid, .. }
            | Self::Sync { pkid, .. }
            | Self::Invoke { pkid, .. } => Some(pkid),
        }
    }

    /// Returns the call that repeats `transaction`, if its action needs no arguments.
    fn without_arguments(transaction: &Transaction) -> Option<Self> {
        let pkid = transaction.subject.as_ref()?.pkid.clone();
        let grant = Grant::Organization;
        Some(match transaction.action.as_str() {
            "delete" => Self::Delete { pkid },
            "refresh" => Self::Refresh { pkid, grant },
            "check-expiry" => Self::CheckExpiry { pkid, grant },
            "sync" => Self::Sync {
                pkid,
                sync: SyncSelector::ALL,
                accept_removals: false,
            },
            _ => return None,
        })
    }
}

/// A queued call as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredCall {
    /// The primary key of the record, also of one that the call adds.
    pub pkid: Pkid,
    pub call: QueuedCall,
    /// The version that the record must have.
    #[serde(default)]
    pub expected_version: Option<u64>,
}

/// The reason why a queued call cannot be submitted, canceled or replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The transaction does not exist.
    #[error("no transaction has the id {0:?}: old transactions are removed")]
    NotFound(String),
    /// A transaction that has ended cannot be canceled.
    #[error("the transaction {id} has ended with {:?}: there is nothing to cancel", status.as_str())]
    Ended {
        /// The transaction's id.
        id: String,
        /// Its status.
        status: Status,
    },
    /// A call that runs cannot be stopped, unless it is an import.
    #[error("the transaction {0} runs already and cannot be stopped: wait for its end")]
    Running(String),
    /// A transaction that has not ended cannot be replayed.
    #[error("the transaction {0} has not ended: wait for its end or cancel it, then replay it")]
    NotEnded(String),
    /// The request of the transaction is not known.
    #[error("the transaction {id} cannot be replayed: {reason}")]
    NotReplayable {
        /// The transaction's id.
        id: String,
        /// The reason, and the alternative.
        reason: String,
    },
    /// The call was refused, or the store could not be reached.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<CallErrorKind> for QueueError {
    fn from(kind: CallErrorKind) -> Self {
        Self::Call(CallError {
            transaction: None,
            kind,
        })
    }
}

impl From<StoreError> for QueueError {
    fn from(error: StoreError) -> Self {
        Self::from(CallErrorKind::Store(error))
    }
}

impl From<Failure> for QueueError {
    fn from(failure: Failure) -> Self {
        Self::from(CallErrorKind::Refused(failure))
    }
}

impl From<SealError> for QueueError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Store(error) => Self::from(error),
            error => Self::from(Failure::Internal(error.to_string())),
        }
    }
}

impl Host {
    /// Stores a call for the dispatcher, and returns the id of its transaction, which is `Queued` until the call
    /// begins. After this returns, the call is neither lost nor done twice, also if hosts are killed.
    ///
    /// # Errors
    /// The record does not exist, the input exceeds a limit, or the store could not be reached.
    pub async fn submit(&self, call: QueuedCall) -> Result<String, QueueError> {
        let id = self.known_transaction_id();
        self.submit_as(&id, call, None).await?;
        Ok(id)
    }

    /// Stores several calls together, as the parts of one transaction, a bulk. Returns the bulk's id; its calls are
    /// listed by [`TransactionFilter::parent`]. The bulk is `Queued` until its last call has ended. It then has
    /// `Success`, `Success With Async Failures` or `Fail`.
    ///
    /// # Errors
    /// One of the calls is refused: none is stored. There are no calls, or more than 9999.
    pub async fn submit_all(
        &self,
        action: &str,
        hierarchy: &Hierarchy,
        calls: Vec<QueuedCall>,
    ) -> Result<String, QueueError> {
        if calls.is_empty() || calls.len() > MAX_BULK {
            let count = calls.len();
            let reason = format!("a bulk has 1 to {MAX_BULK} calls, not {count}: submit several");
            return Err(Failure::LimitExceeded(reason).into());
        }
        let now = self.clock().now();
        let id = self.new_transaction_id(now);
        let bulk = NewTransaction {
            id: id.clone(),
            action: action.to_owned(),
            hierarchy: Some(hierarchy.clone()),
            originator: self.originator.as_deref().cloned(),
            submitted: now,
            started: now,
            ..NewTransaction::default()
        };
        let mut commit = Commit {
            queued: vec![bulk],
            ..Commit::default()
        };
        for (number, call) in (1..).zip(calls) {
            self.add_call(&mut commit, &part_id(&id, number), call, None)
                .await?;
        }
        self.add_callback(&mut commit, &id, now)?;
        self.enqueue(commit, now).await?;
        Ok(id)
    }

    /// Submits the request of an ended transaction again, and returns the id of the new transaction.
    ///
    /// The request of a queued call is kept until the call succeeds, or as long as its failed transaction. Any other
    /// call can be replayed if its action needs no arguments: `refresh`, `check-expiry`, `sync` and `delete`, then with
    /// the default arguments.
    ///
    /// # Errors
    /// The transaction does not exist, has not ended, or has a request that is not known.
    pub async fn replay(&self, id: &str) -> Result<String, QueueError> {
        let transaction = self.read_transaction(id).await?;
        if !transaction.status.is_ended() {
            return Err(QueueError::NotEnded(transaction.id));
        }
        let kept = match &transaction.request {
            Some(pkid) => self.open_call(&queued_call(pkid.clone())).await?,
            None => None,
        };
        let repeated = || QueuedCall::without_arguments(&transaction);
        let (call, pkid, version) = match kept {
            Some(StoredCall {
                pkid,
                call,
                expected_version,
            }) => (Some(call), Some(pkid), expected_version),
            None => (repeated(), None, None),
        };
        let Some(call) = call else {
            let reason = match &transaction.request {
                Some(_) => {
                    "the request of a call that succeeded, or whose record was deleted, is not kept: submit a new call"
                }
                None if self.is_bulk(id).await? => {
                    "it is a bulk, whose requests are those of its parts: replay the parts that failed"
                }
                None => "its request is not kept, since the call was not queued: submit a new call",
            };
            return Err(QueueError::NotReplayable {
                id: transaction.id,
                reason: reason.to_owned(),
            });
        };
        let new = self.new_transaction_id(self.clock().now());
        self.for_version(version)
            .submit_as(&new, call, pkid)
            .await?;
        Ok(new)
    }

    /// Returns whether the parts of a transaction are queued calls.
    async fn is_bulk(&self, id: &str) -> Result<bool, QueueError> {
        let filter = TransactionFilter {
            parent: Some(id.to_owned()),
            ..TransactionFilter::default()
        };
        let parts = self.store().transactions(&filter, None, 1).await?.items;
        Ok(parts.iter().any(|part| part.request.is_some()))
    }

    async fn submit_as(
        &self,
        id: &str,
        call: QueuedCall,
        pkid: Option<Pkid>,
    ) -> Result<(), QueueError> {
        let mut commit = Commit::default();
        self.add_call(&mut commit, id, call, pkid).await?;
        let now = self.clock().now();
        self.add_callback(&mut commit, id, now)?;
        self.enqueue(commit, now).await
    }

    /// Adds a call to the commit that stores it. `pkid` is that of a record to add; `None`: a new one.
    async fn add_call(
        &self,
        commit: &mut Commit,
        id: &str,
        call: QueuedCall,
        pkid: Option<Pkid>,
    ) -> Result<(), QueueError> {
        let now = self.clock().now();
        let services = &self.parts.services;
        let (subject, node, name) = match &call {
            QueuedCall::Add(request) => {
                let name = request.fields.get("name").and_then(Value::as_str);
                let pkid = pkid.unwrap_or_else(|| self.new_pkid());
                let name = name.unwrap_or_default().to_owned();
                (Reference::record(pkid), request.hierarchy.clone(), name)
            }
            call => self.find_subject(call).await?,
        };
        if let QueuedCall::Invoke { action, .. } = &call {
            check_action_name(action)?;
        }
        let action = call.action().to_owned();
        let stored = StoredCall {
            pkid: subject.pkid.clone(),
            call,
            expected_version: self.expected_version,
        };
        let clear = serde_json::to_string(&stored).map(SecretString::from);
        let clear = clear.map_err(|error| Failure::Internal(error.to_string()))?;
        if clear.expose_secret().len() > services.limits.input {
            let exceeded = services.limits.exceeded(Limit::Input).to_string();
            return Err(Failure::LimitExceeded(exceeded).into());
        }
        let request = self.new_pkid();
        let owner = queued_call(request.clone());
        let sealed = services.sealer.seal(&owner, REQUEST, &clear)?;
        let document = Document {
            reference: owner.clone(),
            hierarchy: node.clone(),
            version: 0,
            body: json!({ "transaction": id, "action": action, "record": subject.pkid })
                .to_string(),
            keys: vec![Key {
                name: RECORD_KEY.to_owned(),
                value: subject.pkid.to_string(),
            }],
        };
        commit.checks.push(Check::Absent(owner.clone()));
        commit.changes.extend([
            Change::Put(document),
            Change::PutSecret {
                owner: owner.clone(),
                name: REQUEST.to_owned(),
                sealed,
            },
            Change::Schedule(Wakeup {
                id: wakeup_kinds::QUEUED_CALL.to_owned(),
                subject: owner,
                due: now,
                // Queued calls run before wakeups that have more time, in the order of their submission.
                deadline: Some(now),
                payload: id.to_owned(),
            }),
        ]);
        commit.queued.push(NewTransaction {
            id: id.to_owned(),
            action,
            subject: Some(subject),
            subject_name: name,
            hierarchy: Some(node),
            originator: self.originator.as_deref().cloned(),
            request: Some(request),
            submitted: now,
            started: now,
        });
        Ok(())
    }

    /// Returns the record of a call, its node and its name.
    async fn find_subject(
        &self,
        call: &QueuedCall,
    ) -> Result<(Reference, Hierarchy, String), QueueError> {
        let Some(pkid) = call.pkid() else {
            let text = "a queued call has no record".to_owned();
            return Err(Failure::Internal(text).into());
        };
        let subject = Reference::record(pkid.clone());
        let found = self.store().get(std::slice::from_ref(&subject)).await?;
        let Some(document) = found.into_iter().flatten().next() else {
            return Err(Failure::NotFound(subject).into());
        };
        let name = document.keys.iter().find(|key| key.name == "name");
        let name = name.map(|key| key.value.clone()).unwrap_or_default();
        Ok((subject, document.hierarchy, name))
    }

    async fn enqueue(&self, mut commit: Commit, now: Timestamp) -> Result<(), QueueError> {
        let services = &self.parts.services;
        commit.now = now;
        services
            .sealer
            .commit(services.store.as_ref(), commit)
            .await?;
        services.scheduled.notify_one();
        Ok(())
    }

    /// Opens the request that a document holds; `None`: it is not kept.
    pub(super) async fn open_call(
        &self,
        owner: &Reference,
    ) -> Result<Option<StoredCall>, SealError> {
        let services = &self.parts.services;
        let store = services.store.as_ref();
        let Some(clear) = services.sealer.reveal(store, owner, REQUEST).await? else {
            return Ok(None);
        };
        let call = serde_json::from_str(clear.expose_secret());
        // The error of the JSON could quote a secret.
        call.map(Some).map_err(|_| {
            let text = format!("the request of {owner} is of another release of this host");
            SealError::Store(StoreError::Corrupt(text))
        })
    }

    pub(super) async fn read_transaction(&self, id: &str) -> Result<Transaction, QueueError> {
        let found = self.store().transaction(id).await?;
        found.ok_or_else(|| QueueError::NotFound(id.to_owned()))
    }
}

/// Returns the reference to the document of a queued call.
pub(super) fn queued_call(pkid: Pkid) -> Reference {
    Reference::new(QUEUED_CALL_MODEL, pkid)
}
