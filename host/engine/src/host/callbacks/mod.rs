//! Callbacks: when a transaction has ended, the host posts its poll response to the address that the request named.
//!
//! A callback is a document of the host, with its address as a sealed secret and a wakeup. The document is stored before
//! or together with the transaction, and is removed with it. The end of the transaction makes the wakeup due. If the host
//! is killed in between, the wakeup itself finds the end. Each attempt runs in a task of its own, so that a slow receiver
//! holds no place of the dispatcher. The attempts are bounded, for each receiver and in total; more callbacks wait in the
//! store.

mod background;
mod credentials;
mod delivery;
mod poll;
mod secrets;
mod waiting;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::Uri;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

pub(super) use background::Callbacks;
pub use credentials::{CallbackCredentials, UseEvent};
pub use poll::{describe_progress, poll_entry, transaction_href};
pub use secrets::{CallbackSecrets, parse_signing_secret};

use super::queue::QueueError;
use super::{CallError, CallErrorKind, Host};
use crate::store::seal::Sealer;
use crate::store::{Change, Check, Commit, DueWakeup, StoreError};
use crate::transactions::{Transaction, parent_of, to_callback};
use crate::types::{Document, Failure, Hierarchy, Reference, Timestamp, Wakeup};
use crate::wakeup_kinds;

/// The model of the credentials of callbacks: the body is not secret, and [`CallbackSecrets`] are sealed.
pub const CALLBACK_AUTH_MODEL: &str = "host/ApiCallbackAuth";
/// How long after the first attempt the last one is made.
pub const DELIVERY_TIME: Duration = Duration::from_secs(24 * 3600);

/// The name of the secret that holds the address.
const URL: &str = "url";
/// The maximum length of an address, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// The shortest and the longest pause between two looks for the end of a transaction.
const LOOK_PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// How long a call may wait until its transaction begins. Afterwards, a callback without a transaction is removed.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(600);

/// An address that callbacks may be posted to.
#[derive(Clone)]
pub struct CallbackUrl {
    /// The address. Its path and query may have a secret of the receiver's.
    url: SecretString,
    /// The scheme, host and port.
    origin: String,
}

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackUrl({})", self.origin)
    }
}

/// A callback of calls: see [`Host::with_callback`].
#[derive(Clone, Debug)]
pub struct Callback {
    /// The address.
    pub url: CallbackUrl,
    /// The node of the request.
    pub node: Hierarchy,
    /// The credentials.
    pub credentials: Option<CallbackCredentials>,
}

/// The state of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallbackState {
    /// The transaction has not ended, or another attempt follows.
    Waiting,
    /// The receiver has accepted the callback.
    Delivered,
    /// The receiver accepted no attempt, and no further one is made.
    Failed,
}

/// The delivery of a callback so far, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackReport {
    /// The scheme, host and port of the receiver.
    pub origin: String,
    /// The state.
    pub state: CallbackState,
    /// The number of attempts.
    pub attempts: u32,
    /// When the first attempt began.
    pub first_attempt: Option<Timestamp>,
    /// When the latest attempt began.
    pub last_attempt: Option<Timestamp>,
    /// The reason why the latest attempt failed.
    pub last_error: Option<String>,
}

/// The body of a callback's document.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct CallbackBody {
    transaction: String,
    credentials: Option<CallbackCredentials>,
    created: Timestamp,
    #[serde(flatten)]
    report: CallbackReport,
}

/// A callback as it is stored.
#[derive(Clone)]
struct StoredCallback {
    document: Document,
    body: CallbackBody,
}

impl StoredCallback {
    fn parse(document: Document) -> Result<Self, StoreError> {
        let body = serde_json::from_str(&document.body).map_err(|_| {
            StoreError::Corrupt(format!("cannot read the body of {}", document.reference))
        })?;
        Ok(Self { document, body })
    }

    fn reference(&self) -> &Reference {
        &self.document.reference
    }

    /// Returns the commit that writes the body, if the document is as it was read, and schedules the wakeup.
    fn to_commit(&self, due: Option<Timestamp>, now: Timestamp) -> Result<Commit, StoreError> {
        let body = serde_json::to_string(&self.body)
            .map_err(|error| StoreError::Invalid(error.to_string()))?;
        let subject = self.reference().clone();
        let mut changes = vec![Change::Put(Document {
            body,
            ..self.document.clone()
        })];
        match due {
            Some(due) => changes.push(to_wakeup(&subject, &self.body.transaction, due)),
            None => changes.extend([
                Change::Cancel(subject.clone(), wakeup_kinds::CALLBACK.to_owned()),
                Change::RemoveSecret(subject.clone(), URL.to_owned()),
            ]),
        }
        Ok(Commit {
            checks: vec![Check::Version(subject, self.document.version)],
            changes,
            now,
            ..Commit::default()
        })
    }
}

fn to_wakeup(subject: &Reference, transaction: &str, due: Timestamp) -> Change {
    Change::Schedule(Wakeup {
        id: wakeup_kinds::CALLBACK.to_owned(),
        subject: subject.clone(),
        due,
        // Work with a deadline comes first.
        deadline: None,
        payload: transaction.to_owned(),
    })
}

fn has_ended(transaction: Option<&Transaction>) -> bool {
    transaction.is_some_and(|transaction| transaction.status.is_ended())
}

/// Returns an address in ASCII, as browsers send it: a host in punycode, a path and a query in percent-encoding.
fn encode(text: &str) -> Option<Cow<'_, str>> {
    if text.is_ascii() {
        return Some(text.into());
    }
    let url: Url = text.parse().ok()?;
    Some(String::from(url).into())
}

impl Host {
    /// Returns this host for calls whose ends are posted to an address. A bulk has one callback, at its end.
    #[must_use]
    pub fn with_callback(&self, callback: Callback) -> Self {
        Self {
            callback: Some(callback.into()),
            ..self.clone()
        }
    }

    /// Returns the sealer of the secrets in the host's store.
    pub fn sealer(&self) -> &std::sync::Arc<Sealer> {
        &self.parts.services.sealer
    }

    /// Checks the address of a callback, as far as that is possible before its name is resolved.
    ///
    /// # Errors
    /// The text is not an address, or the policy does not permit it. The error names the setting, and has no path or query.
    pub fn check_callback_url(&self, text: &str) -> Result<CallbackUrl, String> {
        let expected =
            "must be an absolute http or https address without user name, password and fragment";
        let text = encode(text).ok_or_else(|| expected.to_owned())?;
        if text.len() > MAX_URL_BYTES {
            return Err(format!("must have at most {MAX_URL_BYTES} bytes"));
        }
        let uri: Uri = text.parse().map_err(|_| expected.to_owned())?;
        if text.contains('#') || uri.scheme().is_none() {
            return Err(expected.to_owned());
        }
        let target = self.parts.callbacks.policy().check_target_as_written(&uri);
        let target = target.map_err(|denial| denial.to_string())?;
        Ok(CallbackUrl {
            url: SecretString::from(text.into_owned()),
            origin: target.origin().to_string(),
        })
    }

    /// Returns the delivery of a transaction's callback; `None`: it has none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn callback(&self, transaction: &str) -> Result<Option<CallbackReport>, StoreError> {
        let Some(reference) = to_callback(transaction) else {
            return Ok(None);
        };
        let found = self.read_callback(&reference).await?;
        Ok(found.map(|stored| stored.body.report))
    }

    async fn read_callback(
        &self,
        reference: &Reference,
    ) -> Result<Option<StoredCallback>, StoreError> {
        let found = self.store().get(std::slice::from_ref(reference)).await?;
        let document = found.into_iter().flatten().next();
        document.map(StoredCallback::parse).transpose()
    }

    /// Adds the host's callback to the commit that stores a queued transaction.
    pub(super) fn add_callback(
        &self,
        commit: &mut Commit,
        id: &str,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        let Some(callback) = self.callback.as_deref() else {
            return Ok(());
        };
        let Some(owner) = to_callback(id) else {
            let text = format!("the transaction id {id} cannot have a callback");
            return Err(Failure::Internal(text).into());
        };
        let body = CallbackBody {
            transaction: id.to_owned(),
            credentials: callback.credentials.clone(),
            created: now,
            report: CallbackReport {
                origin: callback.url.origin.clone(),
                state: CallbackState::Waiting,
                attempts: 0,
                first_attempt: None,
                last_attempt: None,
                last_error: None,
            },
        };
        let document = Document {
            reference: owner.clone(),
            hierarchy: callback.node.clone(),
            version: 0,
            body: serde_json::to_string(&body)
                .map_err(|error| Failure::Internal(error.to_string()))?,
            keys: Vec::new(),
        };
        let sealer = &self.parts.services.sealer;
        let sealed = sealer.seal(&owner, URL, &callback.url.url)?;
        commit.checks.push(Check::Absent(owner.clone()));
        commit.changes.extend([
            Change::Put(document),
            Change::PutSecret {
                owner: owner.clone(),
                name: URL.to_owned(),
                sealed,
            },
            to_wakeup(&owner, id, now.after(LOOK_PAUSES.0)),
        ]);
        Ok(())
    }

    /// Stores the host's callback before a call begins, and returns the id of the transaction to begin. `known` is that
    /// id, if the caller has it already.
    pub(super) async fn store_callback(
        &self,
        known: Option<String>,
        now: Timestamp,
    ) -> Result<Option<String>, CallError> {
        if self.callback.is_none() {
            return Ok(known);
        }
        let id = known.unwrap_or_else(|| self.new_transaction_id(now));
        let mut commit = Commit {
            now,
            ..Commit::default()
        };
        let stored = async {
            self.add_callback(&mut commit, &id, now)?;
            let services = &self.parts.services;
            let committed = services.sealer.commit(services.store.as_ref(), commit);
            committed.await.map_err(QueueError::from)
        };
        match stored.await {
            Ok(()) => Ok(Some(id)),
            Err(QueueError::Call(error)) => Err(error),
            Err(error) => Err(CallError {
                transaction: None,
                kind: CallErrorKind::Refused(Failure::Internal(error.to_string())),
            }),
        }
    }

    /// Makes the callbacks of a transaction and of its bulk due, if the transaction or the bulk has ended. If this fails,
    /// the wakeups find the end later.
    pub(super) async fn wake_callbacks(&self, id: &str) {
        for id in [Some(id), parent_of(id)].into_iter().flatten() {
            if let Err(error) = self.wake_callback(id).await {
                tracing::warn!(transaction = id, %error, "a callback will be late");
            }
        }
    }

    async fn wake_callback(&self, id: &str) -> Result<(), StoreError> {
        let Some(reference) = to_callback(id) else {
            return Ok(());
        };
        let Some(stored) = self.read_callback(&reference).await? else {
            return Ok(());
        };
        let is_begun = stored.body.report.attempts > 0;
        if is_begun || !has_ended(self.store().transaction(id).await?.as_ref()) {
            return Ok(());
        }
        let now = self.clock().now();
        let version = stored.document.version;
        let commit = Commit {
            checks: vec![Check::Version(reference.clone(), version)],
            changes: vec![to_wakeup(&reference, id, now)],
            now,
            ..Commit::default()
        };
        match self.store().commit(commit).await {
            // The first attempt has begun.
            Err(StoreError::Conflict(_)) => Ok(()),
            done => {
                self.parts.services.scheduled.notify_one();
                done
            }
        }
    }

    /// Postpones the wakeup of a callback.
    async fn postpone(&self, due: &DueWakeup, until: Timestamp) -> Result<(), StoreError> {
        let commit = Commit {
            changes: vec![to_wakeup(&due.wakeup.subject, &due.wakeup.payload, until)],
            now: self.clock().now(),
            ..Commit::default()
        };
        self.store().commit(commit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded_as_browsers_do() {
        for (text, expected) in [
            (
                "https://crm.example.com/a?b=c",
                Some("https://crm.example.com/a?b=c"),
            ),
            (
                "https://crm.example.com/Zürich?ort=Köln",
                Some("https://crm.example.com/Z%C3%BCrich?ort=K%C3%B6ln"),
            ),
            (
                "https://münchen.example/",
                Some("https://xn--mnchen-3ya.example/"),
            ),
            ("/Zürich", None),
        ] {
            assert_eq!(encode(text).as_deref(), expected);
        }
    }
}
