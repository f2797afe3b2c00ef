//! Calls of the host that a request asks for. Each runs in a task of its own, so that a client that leaves stops none,
//! and is recorded in the audit log.

use std::time::Duration;

use relation_app::records::StoredRecord;
use relation_app::{AppError, ErrorKind};
use relation_host::reports::{AddReport, Field, FieldKind, Model};
use relation_host::transactions::{Status, Transaction};
use relation_host::types::{Failure, Hierarchy, Pkid, Reference};
use relation_host::{CallError, CallErrorKind, CallOutput, Cancellation, Host, QueueError};
use serde_json::{Map, Value};

use crate::access::audit::{
    self, Actor, AuditObject, AuditResult, FieldChange, NewAuditEvent, record_all,
};
use crate::access::{ClientAddress, Principal};
use crate::{Web, WebError};

/// The model of records in the audit log, which is the one that callers see.
const MODEL: &str = "relation/SparkCustomer";
/// The maximum length of a field's name in the audit log, in characters.
const MAX_NAME_CHARS: usize = 100;
/// The time between two looks for a transaction that has not begun, or has not ended.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The sender of a request and its address, for the audit log.
#[derive(Clone, Debug)]
pub(crate) struct Requester {
    actor: Actor,
    address: ClientAddress,
}

impl Requester {
    /// Creates the requester of a principal.
    pub(crate) fn new(principal: &Principal, address: ClientAddress) -> Self {
        let actor = Actor::from_principal(principal);
        Self { actor, address }
    }

    /// Creates a requester whom nobody knows, such as the person with a link.
    pub(crate) fn anonymous(address: ClientAddress) -> Self {
        let actor = Actor::anonymous();
        Self { actor, address }
    }

    /// Returns the event of a new record at a node.
    pub(crate) fn add(&self, node: &Hierarchy) -> NewAuditEvent {
        NewAuditEvent::new(self.actor.clone(), self.address, "add-record", node)
    }

    /// Returns the event of an operation on a record.
    pub(crate) fn on(&self, operation: &str, record: &StoredRecord) -> NewAuditEvent {
        let actor = self.actor.clone();
        NewAuditEvent::new(actor, self.address, operation, &record.hierarchy)
            .on(to_object(&record.pkid, record.name()))
    }

    /// Returns the event of an operation on a transaction.
    pub(crate) fn on_transaction(
        &self,
        operation: &str,
        transaction: &Transaction,
    ) -> Option<NewAuditEvent> {
        let node = transaction.hierarchy.as_ref()?;
        let event = NewAuditEvent::new(self.actor.clone(), self.address, operation, node);
        let subject = transaction.subject.as_ref();
        let event = match subject {
            Some(subject) => event.on(to_object(&subject.pkid, &transaction.subject_name)),
            None => event,
        };
        Some(event.with_transaction(&transaction.id))
    }
}

fn to_object(pkid: &Pkid, name: &str) -> AuditObject {
    AuditObject::new(Reference::new(MODEL, pkid.clone()), name)
}

/// Returns the object of the event of an added record. A repeated add, which adds nothing, has no event.
pub(crate) fn added_object(report: &AddReport) -> Option<AuditObject> {
    let connection = &report.connection;
    (!report.replayed).then(|| to_object(&connection.pkid, &connection.name))
}

/// Returns the fields of a request that change a record, with their values before and after. A password, a proxy, which
/// may contain one, and a field that does not exist have no values.
pub(crate) fn find_changes(
    model: &Model,
    before: Option<&Map<String, Value>>,
    requested: &Map<String, Value>,
) -> Vec<FieldChange> {
    let is_open = |field: &&Field| !field.password && field.kind != FieldKind::Uri;
    let changes = requested.iter().filter_map(|(name, after)| {
        let field = model.fields.iter().find(|field| field.name == *name);
        if field.filter(is_open).is_none() {
            let name: String = name.chars().take(MAX_NAME_CHARS).collect();
            return Some(FieldChange::secret(&name));
        }
        let before = before.and_then(|fields| fields.get(name));
        let before = before.cloned().unwrap_or_default();
        (before != *after).then(|| FieldChange::new(name, before, after.clone()))
    });
    changes.collect()
}

/// Returns the arguments of an action, without their values: only the action knows which are secrets.
pub(crate) fn find_arguments(arguments: &Map<String, Value>) -> Vec<FieldChange> {
    let names = arguments.keys();
    let names = names.map(|name| name.chars().take(MAX_NAME_CHARS).collect::<String>());
    names.map(|name| FieldChange::secret(&name)).collect()
}

fn to_result(error: &CallErrorKind) -> AuditResult {
    match error {
        CallErrorKind::Refused(
            Failure::Invalid(_)
            | Failure::NotFound(_)
            | Failure::Conflict(_)
            | Failure::Reauthorize(_)
            | Failure::LimitExceeded(_),
        )
        | CallErrorKind::Changed { .. }
        | CallErrorKind::Busy { .. } => AuditResult::Refused,
        _ => AuditResult::Failed,
    }
}

/// Completes the event of a call with the call's end. `None`: the call has repeated an earlier one, and changed nothing.
fn complete<T>(
    event: NewAuditEvent,
    object: Option<FindObject<T>>,
    result: &Result<CallOutput<T>, CallError>,
) -> Option<NewAuditEvent> {
    Some(match result {
        Ok(output) => {
            let event = event.with_transaction(&output.transaction);
            match object {
                Some(find) => event.on(find(&output.value)?),
                None => event,
            }
        }
        Err(error) => {
            // A value that was refused may be a secret in the wrong field.
            let names = event.changes.iter();
            let names = names.map(|change| FieldChange::secret(&change.field));
            let names = names.collect();
            let event = event
                .with_changes(names)
                .with_result(to_result(&error.kind));
            match &error.transaction {
                Some(transaction) => event.with_transaction(transaction),
                None => event,
            }
        }
    })
}

/// Records operations whose calls are queued.
pub(crate) async fn record_queued(web: &Web, events: impl IntoIterator<Item = NewAuditEvent>) {
    let events = events.into_iter();
    record_done(
        web,
        events.map(|event| event.with_result(AuditResult::Queued)),
    )
    .await;
}

/// Records operations that are done.
async fn record_done(web: &Web, events: impl Iterator<Item = NewAuditEvent>) {
    let events: Vec<NewAuditEvent> = events.collect();
    if !events.is_empty() {
        log_error(record_all(web.access(), events).await);
    }
}

/// Cancels a transaction in a task of its own. Waits for the end of a running import for as long as the options say.
/// `None`: the import was asked to end, and has not ended yet.
///
/// # Errors
/// Errors of [`Host::cancel`].
pub(crate) async fn cancel(
    web: &Web,
    requester: &Requester,
    transaction: &Transaction,
) -> Result<Option<Cancellation>, QueueError> {
    let (shared, id) = (web.clone(), transaction.id.clone());
    let event = requester.on_transaction("cancel-transaction", transaction);
    let task = tokio::spawn(async move {
        let canceled = shared.host().cancel(&id).await;
        if canceled.is_ok() {
            record_done(&shared, event.into_iter()).await;
        }
        canceled
    });
    let is_running = transaction.status == Status::Processing;
    let wait = match is_running && transaction.is_import() {
        true => web.options().call_wait,
        false => Duration::MAX,
    };
    match tokio::time::timeout(wait, task).await {
        Ok(Ok(canceled)) => canceled.map(Some),
        Ok(Err(error)) => Err(Failure::Internal(error.to_string()).into()),
        Err(_) => Ok(None),
    }
}

/// Logs an error of the store. The work that the event is about is done or stored, so that the request does not fail.
fn log_error(recorded: Result<(), WebError>) {
    if let Err(error) = recorded {
        tracing::error!(error = error.error.message, "an audit event was not stored");
    }
}

/// A function that returns the object of a call's event from its result. `None` if the call has changed nothing.
type FindObject<T> = fn(&T) -> Option<AuditObject>;

/// A call that a request starts.
pub(crate) struct Call<T> {
    /// The event of the audit log; `None`: the call changes nothing.
    event: Option<NewAuditEvent>,
    /// Returns the object of the event from the call's result, if only that has it.
    object: Option<FindObject<T>>,
}

impl<T: Send + 'static> Call<T> {
    /// Creates a call with the event that records it.
    pub(crate) fn new(event: Option<NewAuditEvent>) -> Self {
        Self {
            event,
            object: None,
        }
    }

    /// Takes the object of the event from the call's result.
    pub(crate) fn with_object(self, object: FindObject<T>) -> Self {
        Self {
            object: Some(object),
            ..self
        }
    }

    /// Returns the event of a call that is queued in place of being run.
    pub(crate) fn into_event(self) -> Option<NewAuditEvent> {
        self.event
    }

    /// Runs the call in a task of its own, and waits for its end.
    pub(crate) async fn run(
        self,
        web: &Web,
        call: impl Future<Output = Result<CallOutput<T>, CallError>> + Send + 'static,
    ) -> Result<CallOutput<T>, WebError> {
        join(self.spawn(web, call)).await
    }

    /// Runs the call in a task of its own.
    pub(crate) fn spawn(
        self,
        web: &Web,
        call: impl Future<Output = Result<CallOutput<T>, CallError>> + Send + 'static,
    ) -> tokio::task::JoinHandle<Result<CallOutput<T>, CallError>> {
        let web = web.clone();
        tokio::spawn(async move {
            let result = call.await;
            let event = self.event;
            if let Some(event) = event.and_then(|event| complete(event, self.object, &result)) {
                log_error(audit::record(web.access(), event).await);
            }
            result
        })
    }

    /// Runs the call in a task of its own, and waits for its end for as long as the options say. A call that takes
    /// longer continues, and its transaction is returned as soon as it is stored.
    pub(crate) async fn run_for_a_while<F>(
        self,
        web: &Web,
        host: &Host,
        call: impl FnOnce(Host) -> F,
    ) -> Result<Waited<T>, WebError>
    where
        F: Future<Output = Result<CallOutput<T>, CallError>> + Send + 'static,
    {
        let (host, transaction) = host.for_transaction();
        let mut ended = std::pin::pin!(join(self.spawn(web, call(host))));
        if let Ok(output) = tokio::time::timeout(web.options().call_wait, &mut ended).await {
            return output.map(Waited::Ended);
        }
        // A call that waits for another one on the record has no transaction yet.
        let begun = async {
            while !matches!(web.store().transaction(&transaction).await, Ok(Some(_))) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::select! {
            output = ended => output.map(Waited::Ended),
            () = begun => Ok(Waited::Running(transaction.clone())),
        }
    }
}

/// The end of a call, or its transaction.
pub(crate) enum Waited<T> {
    Ended(CallOutput<T>),
    Running(String),
}

/// Waits for the end of a call.
pub(crate) async fn join<T>(
    task: impl Future<Output = Result<Result<CallOutput<T>, CallError>, tokio::task::JoinError>>,
) -> Result<CallOutput<T>, WebError> {
    match task.await {
        Ok(result) => result.map_err(WebError::from),
        Err(error) => Err(AppError::new(ErrorKind::Internal, error.to_string()).into()),
    }
}
