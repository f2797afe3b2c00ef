//! Idempotency keys: the request that each key was used for.
//!
//! A key belongs to its principal: the same text of another principal is another key. The store has only a hash of both.
//! The digest of the request is sealed, since it covers passwords, which could be guessed from it.
//!
//! A key is bound to its request while the add waits or runs, and as long as the added record exists. An add that failed
//! leaves the key free.

use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use relation_host::store::{Change, StoreError};
use relation_host::transactions::Status;
use relation_host::types::{Filter, Hierarchy, Key, Pkid, RECORD_MODEL, Scope, Timestamp};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::documents::{self, Entry, Stored, key};
use super::tokens::{TokenDigest, digest};
use super::{AccessParts, Principal};
use crate::WebError;

/// The name of the secret with the digest of the request.
const REQUEST: &str = "request";
/// The key by which the plugin's records are found.
const RECORD_KEY: &str = "idempotency_key";
/// How long a key is remembered.
const LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// How long the transaction of a claimed key may take to begin.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a claim is tried while other requests claim the same key.
const MAX_ATTEMPTS: u32 = 10;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeyBody {
    /// The key under which the plugin stores the record.
    key: Pkid,
    /// The transaction of the latest attempt.
    transaction: String,
    /// The time of the latest attempt.
    claimed: Timestamp,
}

impl Stored for KeyBody {
    const MODEL: &'static str = "host/IdempotencyKey";

    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }
}

/// The digest of a request that adds a record.
pub(crate) struct RequestDigest(TokenDigest);

impl RequestDigest {
    /// Calculates the digest of method, path, node and fields. The order of the fields does not matter.
    pub(crate) fn new(path: &str, node: &Hierarchy, fields: &Map<String, Value>) -> Self {
        let mut fields = Value::Object(fields.clone());
        fields.sort_all_objects();
        let request = SecretString::from(format!("POST {path}\n{node}\n{fields}"));
        Self(digest(&request))
    }
}

/// A key that a request may use.
pub(crate) struct ClaimedKey {
    /// The key under which the plugin stores the record.
    pub(crate) key: String,
    /// The earlier request that is the same, unless it failed.
    pub(crate) earlier: Option<Earlier>,
    claim: Entry<KeyBody>,
}

/// The transaction of an earlier request.
pub(crate) enum Earlier {
    /// The add waits or runs.
    Running(String),
    /// The record was added.
    Done(String),
}

/// The state of the add that a key was used for.
enum AddState {
    Running,
    /// The add succeeded, and its record still exists.
    Added,
    /// The record exists without a successful transaction, or the add may begin soon.
    Uncertain,
    Failed,
}

/// Claims a key for a request, whose transaction will have the given id.
///
/// # Errors
/// 422 if the key was used for a different request; the store cannot be read or written.
pub(crate) async fn claim(
    parts: &AccessParts,
    principal: &Principal,
    key: &str,
    (node, request, transaction): (&Hierarchy, &RequestDigest, &str),
) -> Result<ClaimedKey, WebError> {
    let owner = format!("{}\n{key}", principal.pkid);
    let pkid = TokenDigest::new(&owner).pkid();
    for _ in 0..MAX_ATTEMPTS {
        let body = KeyBody {
            key: Pkid::random(),
            transaction: transaction.to_owned(),
            claimed: parts.now(),
        };
        let mut claim = Entry::new(pkid.clone(), node.clone(), body);
        if let Some(earlier) = documents::get::<KeyBody>(parts.store(), &pkid).await? {
            let is_same = is_same(parts, &earlier, request).await?;
            let state = find_state(parts, &earlier).await?;
            if !is_same && !matches!(state, AddState::Failed) {
                return Err(reused());
            }
            if is_same {
                claim.body.key = earlier.body.key.clone();
                let known = earlier.body.transaction.clone();
                let known = match state {
                    AddState::Running => Some(Earlier::Running(known)),
                    AddState::Added => Some(Earlier::Done(known)),
                    AddState::Uncertain | AddState::Failed => None,
                };
                if known.is_some() {
                    return Ok(ClaimedKey {
                        key: earlier.body.key.to_string(),
                        earlier: known,
                        claim: earlier,
                    });
                }
            }
            claim.version = earlier.version;
        }
        let sealed = parts
            .sealer()?
            .seal(&claim.reference(), REQUEST, &request.0.to_secret())?;
        let secret = Change::PutSecret {
            owner: claim.reference(),
            name: REQUEST.to_owned(),
            sealed,
        };
        let changes = vec![claim.to_put()?, secret];
        match documents::commit(parts, vec![claim.to_check()], changes).await {
            Ok(()) => {
                claim.version += 1;
                return Ok(ClaimedKey {
                    key: claim.body.key.to_string(),
                    earlier: None,
                    claim,
                });
            }
            // Another request has claimed the key.
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let message = "other requests use the same Idempotency-Key concurrently";
    Err(AppError::new(ErrorKind::Conflict, message).into())
}

/// Frees a key whose request was refused before its transaction began.
pub(crate) async fn release(parts: &AccessParts, claimed: &ClaimedKey) {
    if claimed.earlier.is_some() {
        return;
    }
    let claim = &claimed.claim;
    let released = documents::commit(parts, vec![claim.to_check()], vec![claim.to_delete()]);
    if let Err(error) = released.await {
        tracing::debug!(%error, "an idempotency key stays claimed for a minute");
    }
}

fn reused() -> WebError {
    let message = "the Idempotency-Key was used for a different request";
    let hint = "send a new key with a new request, and the same fields with a repeated one";
    AppError::new(ErrorKind::KeyReused, message)
        .hint(hint)
        .into()
}

async fn is_same(
    parts: &AccessParts,
    earlier: &Entry<KeyBody>,
    request: &RequestDigest,
) -> Result<bool, WebError> {
    let sealer = parts.sealer()?;
    let reference = earlier.reference();
    let stored = sealer.reveal(parts.store(), &reference, REQUEST).await?;
    Ok(stored.is_some_and(|stored| TokenDigest::from_secret(&stored).is_same(&request.0)))
}

async fn find_state(parts: &AccessParts, earlier: &Entry<KeyBody>) -> Result<AddState, StoreError> {
    let transaction = parts.store().transaction(&earlier.body.transaction).await?;
    // The record is looked for after its transaction, so that none that is added meanwhile is missed.
    let filter = Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: Some((earlier.node.clone(), Scope::Node)),
        equals: vec![key(RECORD_KEY, earlier.body.key.as_str())],
    };
    let is_added = parts.store().count(&filter, 1).await? > 0;
    let age = parts.now().since(earlier.body.claimed);
    Ok(match transaction {
        Some(transaction) if !transaction.status.is_ended() => AddState::Running,
        Some(transaction) if is_added && transaction.status == Status::Success => AddState::Added,
        _ if is_added => AddState::Uncertain,
        None if age < BEGIN_TIMEOUT => AddState::Uncertain,
        _ => AddState::Failed,
    })
}

/// Removes keys that are not remembered any more. Returns their number.
pub(super) async fn remove_expired(parts: &AccessParts) -> Result<u64, StoreError> {
    let now = parts.now();
    let is_old = |entry: &Entry<KeyBody>| now.since(entry.body.claimed) > LIFETIME;
    documents::remove_all(parts, is_old).await
}
