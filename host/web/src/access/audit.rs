//! The audit log: who did what, from where, on what, and with which result. Events are only ever added; housekeeping
//! removes them after [`WebOptions::audit_retention`](crate::WebOptions::audit_retention).

use relation_app::{AppError, ErrorKind};
use relation_host::callbacks::UseEvent;
use relation_host::store::{Change, StoreError};
use relation_host::types::{Hierarchy, InvalidHierarchy, Key, Page, Pkid, Reference, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::documents::{self, Entry, Listed, Stored};
use super::nodes::node_pkid;
use super::tokens::fill_random;
use super::{AccessParts, Allowed, ClientAddress, Principal, PrincipalKind, permission};
use crate::WebError;

/// The kind of who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorKind {
    /// A person with a session.
    User,
    /// A program with an API key.
    ApiKey,
    /// The operator of the command line.
    Operator,
    /// Somebody who is not logged in, such as at a failed log-in.
    Anonymous,
}

/// The originator of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The kind.
    pub kind: ActorKind,
    /// The name; empty for somebody who is not logged in.
    pub name: String,
    /// The pkid of the user or the API key.
    pub pkid: Option<Pkid>,
}

impl Actor {
    /// Returns a principal as an actor.
    pub fn from_principal(principal: &Principal) -> Self {
        Self {
            kind: match principal.kind {
                PrincipalKind::User => ActorKind::User,
                PrincipalKind::ApiKey => ActorKind::ApiKey,
            },
            name: principal.name.clone(),
            pkid: Some(principal.pkid.clone()),
        }
    }

    /// Returns somebody who is not logged in.
    pub fn anonymous() -> Self {
        Self {
            kind: ActorKind::Anonymous,
            name: String::new(),
            pkid: None,
        }
    }
}

/// The result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditResult {
    /// The operation was performed.
    Success,
    /// The call of the operation is queued. Its transaction has the end.
    Queued,
    /// The operation was refused.
    Refused,
    /// The operation failed.
    Failed,
}

/// The object of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditObject {
    /// The model, such as `host/User` or `relation/SparkCustomer`.
    pub model: String,
    /// The pkid.
    pub pkid: Pkid,
    /// The name, if it has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl AuditObject {
    /// Creates the object of a document.
    pub fn new(reference: Reference, name: impl Into<String>) -> Self {
        Self {
            model: reference.model,
            pkid: reference.pkid,
            name: name.into(),
        }
    }
}

/// The change of one field. A secret field has neither value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The name of the field.
    pub field: String,
    /// The value before the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value after the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl FieldChange {
    /// Creates the change of a field that is not a secret.
    pub fn new(field: &str, before: impl Into<Value>, after: impl Into<Value>) -> Self {
        Self {
            field: field.to_owned(),
            before: Some(before.into()),
            after: Some(after.into()),
        }
    }

    /// Creates the change of a secret field, without its values.
    pub fn secret(field: &str) -> Self {
        Self {
            field: field.to_owned(),
            before: None,
            after: None,
        }
    }
}

/// An operation to record. It must not contain a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAuditEvent {
    /// The originator.
    pub actor: Actor,
    /// The address that the request came from, if it is known.
    pub address: Option<std::net::IpAddr>,
    /// The operation, such as `add-user`.
    pub operation: String,
    /// The object.
    pub object: Option<AuditObject>,
    /// The node, at and above which the event is visible.
    pub node: Hierarchy,
    /// The result.
    pub result: AuditResult,
    /// The id of the transaction with the details.
    pub transaction: Option<String>,
    /// The changed fields.
    pub changes: Vec<FieldChange>,
}

impl NewAuditEvent {
    /// Creates the event of a successful operation without an object.
    pub fn new(actor: Actor, address: ClientAddress, operation: &str, node: &Hierarchy) -> Self {
        Self {
            actor,
            address: address.0,
            operation: operation.to_owned(),
            object: None,
            node: node.clone(),
            result: AuditResult::Success,
            transaction: None,
            changes: Vec::new(),
        }
    }

    /// Sets the object.
    #[must_use]
    pub fn on(mut self, object: AuditObject) -> Self {
        self.object = Some(object);
        self
    }

    /// Sets the result.
    #[must_use]
    pub fn with_result(mut self, result: AuditResult) -> Self {
        self.result = result;
        self
    }

    /// Sets the transaction.
    #[must_use]
    pub fn with_transaction(mut self, transaction: &str) -> Self {
        self.transaction = Some(transaction.to_owned());
        self
    }

    /// Returns the event of each use of credentials by a callback, which has its own time and transaction.
    pub(crate) fn to_use_event(&self) -> Result<UseEvent, WebError> {
        let event = serde_json::to_value(self).ok();
        let Some(Value::Object(body)) = event else {
            return Err(AppError::new(ErrorKind::Internal, "an event is not a JSON object").into());
        };
        Ok(UseEvent {
            model: AuditBody::MODEL.to_owned(),
            node: self.node.clone(),
            body,
        })
    }

    /// Sets the changed fields.
    #[must_use]
    pub fn with_changes(mut self, changes: Vec<FieldChange>) -> Self {
        self.changes = changes;
        self
    }
}

/// A recorded operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// The pkid. Pkids sort by time.
    pub pkid: Pkid,
    /// When it was recorded.
    pub at: Timestamp,
    /// The operation.
    #[serde(flatten)]
    pub event: NewAuditEvent,
    /// The pkid of the operation's node.
    pub node_pkid: Pkid,
}

impl From<Entry<AuditBody>> for AuditEvent {
    fn from(entry: Entry<AuditBody>) -> Self {
        Self {
            pkid: entry.pkid,
            at: entry.body.at,
            node_pkid: node_pkid(&entry.body.event.node),
            event: entry.body.event,
        }
    }
}

impl Listed for AuditEvent {
    type Body = AuditBody;
    type Permission = permission::Audit;
    const DESCENDING: bool = true;
}

#[derive(Serialize, Deserialize)]
pub(super) struct AuditBody {
    at: Timestamp,
    #[serde(flatten)]
    event: NewAuditEvent,
}

impl Stored for AuditBody {
    const MODEL: &'static str = "host/AuditEvent";

    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }
}

/// The latest pkid of this process: milliseconds, and the number within the millisecond.
#[derive(Debug, Default)]
pub(super) struct PkidSequence(u64, u16);

impl PkidSequence {
    /// Creates a pkid: 48 bits of time, 16 bits that count, 32 random bits.
    fn create(&mut self, now: Timestamp) -> Result<Pkid, WebError> {
        match now.0 == self.0 {
            true => self.1 = self.1.saturating_add(1),
            false => *self = Self(now.0, 0),
        }
        let mut bytes = [0; 12];
        let (head, random) = bytes.split_at_mut(8);
        head.copy_from_slice(&((self.0 << 16) | u64::from(self.1)).to_be_bytes());
        fill_random(random)?;
        Ok(Pkid::from_bytes(bytes))
    }
}

/// Records an operation.
///
/// # Errors
/// The store cannot be written.
pub async fn record(parts: &AccessParts, event: NewAuditEvent) -> Result<(), WebError> {
    let change = to_change(parts, event)?;
    documents::commit(parts, Vec::new(), vec![change]).await?;
    Ok(())
}

/// Records several operations.
///
/// # Errors
/// The store cannot be written.
pub async fn record_all(parts: &AccessParts, events: Vec<NewAuditEvent>) -> Result<(), WebError> {
    let changes = events.into_iter().map(|event| to_change(parts, event));
    let changes = changes.collect::<Result<Vec<_>, _>>()?;
    documents::commit(parts, Vec::new(), changes).await?;
    Ok(())
}

/// Returns the change that records an operation together with others.
pub(super) fn to_change(parts: &AccessParts, event: NewAuditEvent) -> Result<Change, WebError> {
    let at = parts.now();
    let pkid = parts.audit_pkids().lock().create(at)?;
    let node = event.node.clone();
    Ok(Entry::new(pkid, node, AuditBody { at, event }).to_put()?)
}

/// Returns the node of events that belong to no tenant: the top of the platform's hierarchy.
pub(super) fn top_node() -> Result<Hierarchy, WebError> {
    let node = "sys".parse();
    node.map_err(|error: InvalidHierarchy| {
        AppError::new(ErrorKind::Internal, error.to_string()).into()
    })
}

/// Lists events at or below a node, the latest first. Without a node, those at the principal's own node.
///
/// # Errors
/// Errors of [`Allowed::range`]; the cursor belongs to another list, or the store cannot be read.
pub async fn list(
    parts: &AccessParts,
    allowed: &Allowed<permission::Audit>,
    requested: Option<&Hierarchy>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<AuditEvent>, WebError> {
    let range = Some(allowed.range(requested)?);
    Ok(documents::list_objects(parts, &range, cursor, limit).await?)
}

/// Removes events that are older than the retention. Returns their number.
pub(super) async fn remove_old(parts: &AccessParts) -> Result<u64, StoreError> {
    const PAGE_SIZE: u32 = 500;
    let retention = parts.options().audit_retention;
    let filter = documents::filter::<AuditBody>(&None, Vec::new());
    let mut removed = 0;
    loop {
        let page =
            documents::list::<AuditBody>(parts.store(), &filter, false, None, PAGE_SIZE).await?;
        let is_old = |entry: &&Entry<AuditBody>| parts.now().since(entry.body.at) > retention;
        let old = page.items.iter().take_while(is_old);
        let changes: Vec<Change> = old.map(Entry::to_delete).collect();
        let done = changes.len() < PAGE_SIZE as usize;
        removed += changes.len() as u64;
        if !changes.is_empty() {
            documents::commit(parts, Vec::new(), changes).await?;
        }
        if done {
            return Ok(removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use relation_host::types::Scope;

    use super::*;
    use crate::access::testing::{World, address, node};

    fn event(operation: &str, at: &str) -> NewAuditEvent {
        NewAuditEvent::new(Actor::anonymous(), address(), operation, &node(at))
    }

    async fn list_at(world: &World, at: &str) -> Vec<String> {
        let range = Some((node(at), Scope::Subtree));
        let page = documents::list_objects::<AuditEvent>(&world.parts, &range, None, 50).await;
        let events = page.unwrap().items.into_iter();
        events.map(|event| event.event.operation).collect()
    }

    #[tokio::test]
    async fn events_are_listed_latest_first_by_node() {
        let world = World::new();
        for number in 0..10 {
            let at = if number % 2 == 0 { "sys.A" } else { "sys.AB" };
            record(&world.parts, event(&number.to_string(), at))
                .await
                .unwrap();
            if number == 4 {
                world.clock.advance(Duration::from_millis(1));
            }
        }
        let all = ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"];
        assert_eq!(list_at(&world, "sys").await, all);
        assert_eq!(list_at(&world, "sys.A").await, ["8", "6", "4", "2", "0"]);
    }

    #[tokio::test]
    async fn events_are_removed_after_the_retention() {
        let world = World::new();
        const DAY: Duration = Duration::from_secs(86_400);
        for number in 0..1200 {
            record(&world.parts, event(&format!("old{number}"), "sys"))
                .await
                .unwrap();
        }
        world.clock.advance(DAY);
        record(&world.parts, event("new", "sys")).await.unwrap();
        world.clock.advance(DAY * 364);
        assert_eq!(remove_old(&world.parts).await.unwrap(), 0);
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(remove_old(&world.parts).await.unwrap(), 1200);
        assert_eq!(list_at(&world, "sys").await, ["new"]);
    }
}
