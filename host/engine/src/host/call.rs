//! One call from its beginning to its result: record lock, lease, transaction, instance.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use secrecy::SecretString;
use tracing::{Instrument as _, Span};
use wasmtime::Store as Instance;

use super::calls_in_flight::CountedCall;
use super::outcome::CallSummary;
use super::queued_run::QueuedRun;
use super::stash_replay::ReplayStatus;
use super::{CallError, CallErrorKind, CallOutput, Host};
use crate::component::InstanceParams;
use crate::imports::bindings::automate::platform::types as platform;
use crate::imports::bindings::exports::automate::spark_customer::workflows::Guest;
use crate::imports::journal::Journal;
use crate::imports::{CommitMark, UnreportedEffects, convert as shared, lease_valid_until};
use crate::limits::Limit;
use crate::spans::{self, StoreSpan, call_span};
use crate::store::{BeginOutcome, CallStart, DueWakeup, Lease, StoreError};
use crate::transactions::{NewTransaction, Originator};
use crate::types::{Failure, Hierarchy, Pkid, Reference, Timestamp};

/// The wasmtime store in which a guest's exported functions run.
pub(super) type GuestStore = Instance<crate::component::CallState>;

/// A request to run a workflow.
pub(super) struct CallRequest {
    pub action: String,
    pub subject: Reference,
    pub name: String,
    pub wakeup: Option<DueWakeup>,
    /// The node of a record that does not exist yet.
    hierarchy: Option<Hierarchy>,
    /// The id of the transaction, if it is known before the call begins. The transaction that begins takes it.
    transaction: Mutex<Option<String>>,
    pub(super) originator: Option<Originator>,
    /// The queued call that runs.
    queued: Option<Arc<QueuedRun>>,
    /// The secrets in the plugin's input.
    pub input_secrets: Vec<SecretString>,
    /// The size of the caller's input in bytes.
    input_bytes: usize,
    /// The span of the call.
    pub(super) span: Span,
}

impl CallRequest {
    pub(super) fn for_record(action: &str, pkid: Pkid) -> Self {
        Self::new(action, Reference::record(pkid))
    }

    pub(super) fn new(action: &str, subject: Reference) -> Self {
        Self {
            action: action.to_owned(),
            span: call_span(action, &subject),
            subject,
            name: String::new(),
            wakeup: None,
            hierarchy: None,
            transaction: Mutex::default(),
            originator: None,
            queued: None,
            input_secrets: Vec::new(),
            input_bytes: 0,
        }
    }

    pub(super) fn with_input(mut self, parts: &[&str]) -> Self {
        self.input_bytes = parts.iter().map(|part| part.len()).sum();
        self
    }

    pub(super) fn with_secrets(mut self, secrets: Vec<SecretString>) -> Self {
        self.input_secrets = secrets;
        self
    }

    pub(super) fn at_node(mut self, node: &Hierarchy) -> Self {
        self.hierarchy = Some(node.clone());
        self
    }

    pub(super) fn with_name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }
}

/// A call that holds its lease and may run.
pub(super) struct StartedCall {
    pub(super) journal: Journal,
    pub(super) lease: Option<Lease>,
    /// The node of a record that does not exist yet.
    hierarchy: Option<Hierarchy>,
    input_secrets: Vec<SecretString>,
    pub(super) queued: Option<Arc<QueuedRun>>,
    /// The mark of a queued call that is bound to a version of its record.
    commit_mark: Option<CommitMark>,
    /// The effects that the call's result does not report.
    pub(super) effects: Arc<UnreportedEffects>,
    /// The call as logged: action, subject, and the subject's name if known.
    pub(super) label: (String, Reference, String),
    /// The monotonic time just before the lease was claimed.
    pub(super) claimed: Duration,
    /// Counts the call until it is dropped.
    _in_flight: CountedCall,
}

impl StartedCall {
    /// Returns the id of the call's transaction.
    pub(super) fn transaction(&self) -> &str {
        self.journal.id()
    }
}

/// The interval between attempts to claim a lease that another process holds.
pub(super) const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(25);

impl Host {
    /// Waits for the record, runs the workflow and stores the outcome, in the span of the call.
    pub(super) async fn transact<G, T>(
        &self,
        request: CallRequest,
        run: impl AsyncFnOnce(&Guest, &mut GuestStore) -> wasmtime::Result<Result<G, platform::Failure>>,
        convert: impl FnOnce(G) -> Result<T, Failure>,
        summary: impl FnOnce(&T) -> CallSummary,
    ) -> Result<CallOutput<T>, CallError> {
        let span = request.span.clone();
        self.transact_in_span(request, run, convert, summary)
            .instrument(span)
            .await
    }

    async fn transact_in_span<G, T>(
        &self,
        mut request: CallRequest,
        run: impl AsyncFnOnce(&Guest, &mut GuestStore) -> wasmtime::Result<Result<G, platform::Failure>>,
        convert: impl FnOnce(G) -> Result<T, Failure>,
        summary: impl FnOnce(&T) -> CallSummary,
    ) -> Result<CallOutput<T>, CallError> {
        request.originator = self.originator.as_deref().cloned();
        if let Some(run) = &self.queued {
            request.wakeup = Some(run.due.clone());
            request.queued = Some(Arc::clone(run));
        }
        let limits = &self.parts.services.limits;
        if request.input_bytes > limits.input {
            let exceeded = limits.exceeded(Limit::Input).to_string();
            return Err(CallError {
                transaction: None,
                kind: CallErrorKind::Refused(Failure::LimitExceeded(exceeded)),
            });
        }
        let submitted = self.clock().now();
        let known = self.transaction.as_ref();
        let known = known.and_then(|known| known.lock().take());
        request.transaction = Mutex::new(self.store_callback(known, submitted).await?);
        let record_lock = self.parts.record_locks.acquire(&request.subject).await;
        let mut started = self.claim(&request, submitted).await?;
        let transaction = started.journal.id().to_owned();
        let result = match self.check_version(&request.subject).await {
            Ok(mark) => {
                started.commit_mark = mark;
                self.instance(Some(&started), run).await
            }
            Err(error) => Err(error),
        };
        let result = result.and_then(|output| convert(output).map_err(CallErrorKind::Refused));
        self.finish(&started, &result, summary, None).await;
        drop(record_lock);
        if self.queued.is_some() || self.callback.is_some() {
            self.wake_callbacks(&transaction).await;
        }
        match result {
            Ok(value) => Ok(CallOutput { transaction, value }),
            Err(kind) => Err(CallError {
                transaction: Some(transaction),
                kind,
            }),
        }
    }

    /// Checks the version of a record whose lease is held. A record that does not exist is an error of the workflow.
    ///
    /// Returns the mark for the commits of a queued call. A commit of an interrupted attempt is not a change by others.
    async fn check_version(
        &self,
        subject: &Reference,
    ) -> Result<Option<CommitMark>, CallErrorKind> {
        let Some(expected) = self.expected_version else {
            return Ok(None);
        };
        let queued = self.queued.as_deref();
        let wanted = [Some(subject), queued.map(|run| &run.due.wakeup.subject)];
        let wanted: Vec<Reference> = wanted.into_iter().flatten().cloned().collect();
        let found = self.store().get(&wanted).await;
        let mut found = found.map_err(CallErrorKind::Store)?.into_iter();
        let Some(record) = found.next().flatten() else {
            return Ok(None);
        };
        let queued = queued.zip(found.next().flatten());
        let committed = queued.as_ref();
        let committed = committed.and_then(|(run, call)| run.read_committed_version(call));
        let expected = committed.unwrap_or(expected);
        if record.version != expected {
            return Err(CallErrorKind::Changed {
                subject: subject.clone(),
                expected,
                found: record.version,
            });
        }
        Ok(queued.map(|(_, call)| CommitMark::new(&call, subject, expected)))
    }

    /// Claims the lease, and retries for at most the duration of a call.
    pub(super) async fn claim(
        &self,
        request: &CallRequest,
        submitted: Timestamp,
    ) -> Result<StartedCall, CallError> {
        let call_error = |kind| CallError {
            transaction: None,
            kind,
        };
        let timeout = self.parts.services.limits.time;
        let began = tokio::time::Instant::now();
        let mut waits = false;
        loop {
            match self.start(request, submitted).await {
                Ok(BeginOutcome::Started(started)) => return Ok(*started),
                Ok(BeginOutcome::Busy(until)) if began.elapsed() >= timeout => {
                    return Err(call_error(CallErrorKind::Busy {
                        subject: request.subject.clone(),
                        until,
                    }));
                }
                Ok(BeginOutcome::Busy(_)) => {
                    if !waits {
                        spans::note_busy();
                    }
                    waits = true;
                    let pause = self.sleep_unless_stopped(LEASE_POLL_INTERVAL);
                    pause.await.map_err(call_error)?;
                }
                Ok(BeginOutcome::Gone) if request.queued.is_some() => {
                    return Err(call_error(CallErrorKind::Canceled));
                }
                // Only a wakeup can be gone, and this call has no wakeup.
                Ok(BeginOutcome::Gone) => {
                    return Err(call_error(CallErrorKind::Store(StoreError::Corrupt(
                        "the store reported the wakeup as gone, but this call has none".into(),
                    ))));
                }
                Err(error) => return Err(call_error(CallErrorKind::Store(error))),
            }
        }
    }

    /// Begins a call after the stash has been replayed for its subject.
    pub(super) async fn start(
        &self,
        request: &CallRequest,
        submitted: Timestamp,
    ) -> Result<BeginOutcome<Box<StartedCall>>, StoreError> {
        // Stashed commits come first: without them the call would begin with tokens that were
        // already used.
        if let ReplayStatus::Busy(until) = self.replay_record(&request.subject).await? {
            return Ok(BeginOutcome::Busy(until));
        }
        let start = self.begin(request, submitted).await?;
        if let BeginOutcome::Started(started) = &start
            && self.has_stashed_commits(&request.subject)?
        {
            // Stashed just now, by a host that was paused for longer than its lease.
            let text = "a response that was stashed meanwhile is applied first".to_owned();
            let superseded = Err::<(), _>(CallErrorKind::Refused(Failure::Conflict(text)));
            self.finish(
                started,
                &superseded,
                |()| CallSummary::success(String::new()),
                None,
            )
            .await;
            return Ok(BeginOutcome::Busy(self.clock().now()));
        }
        Ok(start)
    }

    /// Claims the subject and stores the transaction.
    pub(super) async fn begin(
        &self,
        request: &CallRequest,
        submitted: Timestamp,
    ) -> Result<BeginOutcome<Box<StartedCall>>, StoreError> {
        let services = &self.parts.services;
        let claimed = services.clock.monotonic();
        let now = services.clock.now();
        // The stash may end a first transaction, and then a second one begins, which needs its own id.
        let known = request.transaction.lock().clone();
        let id = match &request.queued {
            Some(run) => run.transaction.clone(),
            None => known.unwrap_or_else(|| self.new_transaction_id(now)),
        };
        let begin = CallStart {
            transaction: NewTransaction {
                id: id.clone(),
                action: request.action.clone(),
                subject: Some(request.subject.clone()),
                subject_name: request.name.clone(),
                hierarchy: request.hierarchy.clone(),
                originator: request.originator.clone(),
                request: None,
                submitted,
                started: now,
            },
            subject: Some(request.subject.clone()),
            lease: services.limits.lease(),
            now,
            wakeup: request.wakeup.clone(),
        };
        let begun = StoreSpan::Begin.run_operation(services.store.begin(begin));
        Ok(match begun.await? {
            BeginOutcome::Started(lease) => {
                request.transaction.lock().take();
                request.span.record("relation.transaction", id.as_str());
                tracing::debug!(transaction = id, action = request.action, subject = %request.subject, "call started");
                let journal = Journal::new(&id, services.limits.log);
                let journal = journal.with_span(request.span.clone());
                if let Some(node) = &request.hierarchy {
                    journal.note_node(node);
                }
                BeginOutcome::Started(Box::new(StartedCall {
                    journal,
                    lease,
                    hierarchy: request.hierarchy.clone(),
                    input_secrets: request.input_secrets.clone(),
                    queued: request.queued.clone(),
                    commit_mark: None,
                    effects: Arc::default(),
                    label: (
                        request.action.clone(),
                        request.subject.clone(),
                        request.name.clone(),
                    ),
                    claimed,
                    _in_flight: self.parts.calls_in_flight.count(),
                }))
            }
            BeginOutcome::Busy(until) => BeginOutcome::Busy(until),
            BeginOutcome::Gone => BeginOutcome::Gone,
        })
    }

    /// Runs a fresh instance and separates refusals from guest errors.
    pub(super) async fn instance<G>(
        &self,
        started: Option<&StartedCall>,
        run: impl AsyncFnOnce(&Guest, &mut GuestStore) -> wasmtime::Result<Result<G, platform::Failure>>,
    ) -> Result<G, CallErrorKind> {
        let services = &self.parts.services;
        let params = InstanceParams {
            services: services.clone(),
            client: self.parts.client.clone(),
            lease: started.and_then(|started| started.lease.clone()),
            node: started.and_then(|started| started.hierarchy.clone()),
            input_secrets: started.map_or_else(Vec::new, |started| started.input_secrets.clone()),
            effects: started.map_or_else(Arc::default, |started| Arc::clone(&started.effects)),
            commit_mark: started.and_then(|started| started.commit_mark.clone()),
            lease_until: started
                .map(|started| lease_valid_until(started.claimed, &services.limits)),
            journal: started.map_or_else(
                || Journal::new("", services.limits.log),
                |started| started.journal.clone(),
            ),
        };
        let span = started.map_or_else(Span::none, |_| spans::instance_span());
        let effects = Arc::clone(&params.effects);
        // The text of a refusal comes from the guest, so known secrets are redacted.
        let call = self.parts.plugin.call(params, async |plugin, store| {
            let output = run(plugin.automate_spark_customer_workflows(), store).await?;
            let redactor = store.data_mut().call().redactor.clone();
            Ok(output.map_err(|failure| redactor.redact_failure(shared::failure(failure))))
        });
        let call = call.instrument(span.clone());
        match self.run_unless_stopped(call, &effects).await? {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(CallErrorKind::Refused(failure)),
            Err(error) => {
                spans::record_error(&span, error.kind.code());
                Err(CallErrorKind::Guest(error))
            }
        }
    }
}
