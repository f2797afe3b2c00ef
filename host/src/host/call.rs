//! One call from its beginning to its end: turn, lease, transaction, instance, outcome.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use wasmtime::Store as Instance;

use super::kept::Settled;
use super::outcome::Ending;
use super::{CallError, CallErrorKind, Called, Host};
use crate::component::{GuestError, GuestErrorKind, Opening};
use crate::imports::bindings::automate::platform::types as platform;
use crate::imports::bindings::exports::automate::spark_customer::workflows::Guest;
use crate::imports::{Traces, convert as shared, lease_deadline};
use crate::store::{Begin, BeginOutcome, DueWakeup, End, Lease, StoreError, WakeupSettlement};
use crate::transactions::journal::Journal;
use crate::transactions::{Level, NewTransaction, TransactionOutcome};
use crate::types::{Failure, Pkid, Reference, Timestamp};

/// The state that a guest's exported functions are called on.
pub(super) type Guarded = Instance<crate::component::CallState>;

/// What somebody asks the host to do.
pub(super) struct Ask {
    pub action: String,
    pub subject: Reference,
    pub name: String,
    pub wakeup: Option<DueWakeup>,
    /// The secrets in what the plugin is handed.
    pub given: Vec<SecretString>,
}

impl Ask {
    pub(super) fn of(action: &str, pkid: Pkid) -> Self {
        Self::on(action, Reference::record(pkid))
    }

    pub(super) fn on(action: &str, subject: Reference) -> Self {
        Self {
            action: action.to_owned(),
            subject,
            name: String::new(),
            wakeup: None,
            given: Vec::new(),
        }
    }

    pub(super) fn given(mut self, secrets: Vec<SecretString>) -> Self {
        self.given = secrets;
        self
    }

    pub(super) fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }
}

/// A call that may run.
pub(super) struct Started {
    pub(super) journal: Journal,
    pub(super) lease: Option<Lease>,
    given: Vec<SecretString>,
    /// The effects of the call that its result does not report.
    traces: Arc<Traces>,
    /// The call in log lines: action, subject, and the subject's name where the name is known.
    called: (String, Reference, String),
    /// The monotonic moment just before the lease was claimed.
    claimed: Duration,
}

impl Started {
    /// The id of the call's transaction.
    pub(super) fn transaction(&self) -> &str {
        self.journal.id()
    }
}

/// Whether a call may run.
pub(super) enum Start {
    Started(Box<Started>),
    Busy(Timestamp),
    Gone,
}

/// The longest message of a transaction, in bytes; what is more is cut.
const MESSAGE: usize = 4096;

/// How long to wait before asking again for a lease that another process holds.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(25);

impl Host {
    /// Waits for the record, runs the workflow, records what came of it.
    pub(super) async fn transact<G, T>(
        &self,
        ask: Ask,
        run: impl AsyncFnOnce(&Guest, &mut Guarded) -> wasmtime::Result<Result<G, platform::Failure>>,
        convert: impl FnOnce(G) -> Result<T, Failure>,
        ending: impl FnOnce(&T) -> Ending,
    ) -> Result<Called<T>, CallError> {
        let submitted = self.clock().now();
        let turn = self.parts.turns.take(&ask.subject).await;
        let started = self.claim(&ask, submitted).await?;
        let transaction = started.journal.id().to_owned();
        let result = self
            .instance(Some(&started), run)
            .await
            .and_then(|answer| convert(answer).map_err(CallErrorKind::Refused));
        self.finish(&started, &result, ending, None).await;
        drop(turn);
        match result {
            Ok(value) => Ok(Called { transaction, value }),
            Err(kind) => Err(CallError {
                transaction: Some(transaction),
                kind,
            }),
        }
    }

    /// Asks for the lease until it is granted, or as long as a call may last.
    async fn claim(&self, ask: &Ask, submitted: Timestamp) -> Result<Started, CallError> {
        let untold = |kind| CallError {
            transaction: None,
            kind,
        };
        let patience = self.parts.services.limits.time;
        let asked = tokio::time::Instant::now();
        loop {
            match self.start(ask, submitted).await {
                Ok(Start::Started(started)) => return Ok(*started),
                Ok(Start::Busy(until)) if asked.elapsed() >= patience => {
                    return Err(untold(CallErrorKind::Busy {
                        subject: ask.subject.clone(),
                        until,
                    }));
                }
                Ok(Start::Busy(_)) => tokio::time::sleep(ASK_AGAIN).await,
                // Only a wakeup can be gone, and this is none.
                Ok(Start::Gone) => {
                    return Err(untold(CallErrorKind::Store(StoreError::Corrupt(
                        "a call without a wakeup was answered as one".into(),
                    ))));
                }
                Err(error) => return Err(untold(CallErrorKind::Store(error))),
            }
        }
    }

    /// Begins a call, once nothing is kept for its subject any more.
    pub(super) async fn start(&self, ask: &Ask, submitted: Timestamp) -> Result<Start, StoreError> {
        // What was kept comes first: without it the call would begin with tokens that are used up.
        if let Settled::Busy(until) = self.settle(&ask.subject).await? {
            return Ok(Start::Busy(until));
        }
        let start = self.begin(ask, submitted).await?;
        if let Start::Started(started) = &start
            && self.is_kept(&ask.subject)?
        {
            // Kept just now, by a host that was stopped for longer than its lease.
            let text = "an answer that was kept meanwhile is applied first".to_owned();
            let gave_way = Err::<(), _>(CallErrorKind::Refused(Failure::Conflict(text)));
            self.finish(
                started,
                &gave_way,
                |()| Ending::success(String::new()),
                None,
            )
            .await;
            return Ok(Start::Busy(self.clock().now()));
        }
        Ok(start)
    }

    /// Claims the subject and records the transaction.
    pub(super) async fn begin(&self, ask: &Ask, submitted: Timestamp) -> Result<Start, StoreError> {
        let services = &self.parts.services;
        let claimed = services.clock.monotonic();
        let now = services.clock.now();
        let id = self.new_transaction(now);
        let begin = Begin {
            transaction: NewTransaction {
                id: id.clone(),
                action: ask.action.clone(),
                subject: Some(ask.subject.clone()),
                subject_name: ask.name.clone(),
                submitted,
                started: now,
            },
            subject: Some(ask.subject.clone()),
            lease: services.limits.lease(),
            now,
            wakeup: ask.wakeup.clone(),
        };
        Ok(match services.store.begin(begin).await? {
            BeginOutcome::Started(lease) => {
                tracing::debug!(transaction = id, action = ask.action, subject = %ask.subject, "call started");
                Start::Started(Box::new(Started {
                    journal: Journal::new(&id, services.limits.log),
                    lease,
                    given: ask.given.clone(),
                    traces: Arc::default(),
                    called: (ask.action.clone(), ask.subject.clone(), ask.name.clone()),
                    claimed,
                }))
            }
            BeginOutcome::Busy(until) => Start::Busy(until),
            BeginOutcome::Gone => Start::Gone,
        })
    }

    /// Runs a fresh instance and tells a refusal from a failure of the guest.
    pub(super) async fn instance<G>(
        &self,
        started: Option<&Started>,
        run: impl AsyncFnOnce(&Guest, &mut Guarded) -> wasmtime::Result<Result<G, platform::Failure>>,
    ) -> Result<G, CallErrorKind> {
        let services = &self.parts.services;
        let opening = Opening {
            services: services.clone(),
            client: self.parts.client.clone(),
            lease: started.and_then(|started| started.lease.clone()),
            given: started.map_or_else(Vec::new, |started| started.given.clone()),
            traces: started.map_or_else(Arc::default, |started| Arc::clone(&started.traces)),
            lease_until: started.map(|started| lease_deadline(started.claimed, &services.limits)),
            journal: started.map_or_else(
                || Journal::new("", services.limits.log),
                |started| started.journal.clone(),
            ),
        };
        // The text of a refusal is the guest's own: it leaves without the secrets it was shown.
        let answer = self
            .parts
            .plugin
            .call(opening, async |plugin, store| {
                let answer = run(plugin.automate_spark_customer_workflows(), store).await?;
                let scrubber = store.data_mut().call().scrubber.clone();
                Ok(answer.map_err(|failure| scrubber.scrub_failure(shared::failure(failure))))
            })
            .await;
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(CallErrorKind::Refused(failure)),
            Err(error) => Err(CallErrorKind::Guest(error)),
        }
    }

    /// Closes the transaction, releases the lease and settles the wakeup. When the store cannot do
    /// that now, the lease expires by itself and the wakeup stays due: nothing is lost.
    pub(super) async fn finish<T>(
        &self,
        started: &Started,
        result: &Result<T, CallErrorKind>,
        ending: impl FnOnce(&T) -> Ending,
        wakeup: Option<WakeupSettlement>,
    ) {
        let services = &self.parts.services;
        let now = services.clock.now();
        let journal = &started.journal;
        let mut ending = match result {
            Ok(value) => ending(value),
            Err(kind) => {
                if let CallErrorKind::Guest(error) = kind {
                    note_stderr(journal, now, error);
                }
                Ending::error(kind)
            }
        };
        ending.message = shortened(ending.message);
        let end = End {
            transaction: journal.close(TransactionOutcome {
                status: ending.status,
                message: ending.message.clone(),
                completed: now,
            }),
            lease: started.lease.clone(),
            wakeup,
            interrupted: was_interrupted(started, result),
        };
        if let Err(error) = services.store.end(end).await {
            tracing::error!(transaction = journal.id(), %error, "the end of a call could not be written");
        }
        // Afterwards: the name may have to be read, and nobody is to wait for that.
        self.log_ending(started, &ending).await;
    }
}

/// Whether the next call is to know that this one may have used a token without storing the response:
/// an instance that was stopped cannot say so itself.
fn was_interrupted<T>(started: &Started, result: &Result<T, CallErrorKind>) -> bool {
    let told = || {
        let lease = started.lease.as_ref();
        lease.is_some_and(|lease| lease.interrupted.is_some())
    };
    match result {
        Err(CallErrorKind::Guest(_)) => started.traces.sent() || told(),
        _ => started.traces.lost(),
    }
}

impl Host {
    /// Logs how a call has ended, and whose it was.
    async fn log_ending(&self, started: &Started, ending: &Ending) {
        if !ending.is_logged() {
            return;
        }
        let (action, subject, asked) = &started.called;
        let name = match &ending.name {
            Some(name) => name.clone(),
            None if !asked.is_empty() => asked.clone(),
            None => self.name_of(subject).await,
        };
        ending.log(&name, subject.pkid.as_str(), action, started.transaction());
    }

    /// Returns the name of a record; empty if the name is unknown.
    async fn name_of(&self, subject: &Reference) -> String {
        let found = self.store().get(std::slice::from_ref(subject)).await;
        let document = found
            .ok()
            .and_then(|found| found.into_iter().flatten().next());
        let mut keys = document.into_iter().flat_map(|document| document.keys);
        keys.find(|key| key.name == "name")
            .map(|key| key.value)
            .unwrap_or_default()
    }
}

/// A message as it is kept: the words of a plugin may be endless.
fn shortened(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MESSAGE));
    message
}

/// What an instance wrote before it failed goes into the transaction's log.
fn note_stderr(journal: &Journal, now: Timestamp, error: &GuestError) {
    let panicked = matches!(error.kind, GuestErrorKind::Panic { .. });
    if !error.stderr.is_empty() && !panicked {
        journal.log(now, Level::Error, format!("stderr: {}", error.stderr));
    }
}
