//! The activities: one for each export of the plugin's contract that may be in a history.
//!
//! There is none for `access-token`: its result is a secret. A workflow that needs the token calls
//! [`Host::access_token`] in an activity of its own.

use std::sync::Arc;

use relation_host::reports::{Finding, Model, RecordDetails, Revocation, SyncReport};
use relation_host::types::{Failure, FieldError, Pkid, Reference};
use relation_host::{AddRequest, CallError, CallErrorKind, CallOutput, Host, WakeupOutcome};
use secrecy::SecretString;
use serde_json::{Map, Value};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::attempt::Attempt;
use crate::calls::{
    Add, Added, Checked, CompleteConnect, Connect, Connected, ConsentLink, CountImported, Delete,
    Deleted, Invoke, Modified, Modify, OfGrant, Outcome, RanWakeup, Record, Refreshed, Snapshot,
    SyncInput, Woken,
};
use crate::failure;
use crate::inputs::{Inputs, Purpose, SecretFields, find_secrets};
use crate::snapshot;

/// The most wakeups that one activity runs. More are left to the next one.
const MAX_WAKEUPS: usize = 16;

/// The activities of one host.
pub struct Activities {
    host: Host,
    inputs: Inputs,
}

#[activities]
impl Activities {
    /// Adds a record. A repetition returns the record of the first attempt.
    #[activity(name = "relation.add")]
    pub async fn add(
        self: Arc<Self>,
        context: ActivityContext,
        input: Add,
    ) -> Result<Outcome<Added>, ActivityError> {
        let attempt = Attempt::begin(&self.host, &context).await?;
        let secrets = self
            .open_fields(&input.fields, input.input.as_ref())
            .await?;
        let request = AddRequest {
            hierarchy: input.hierarchy,
            fields: secrets.fields,
            token_response: secrets.token_response.map(to_secret),
            idempotency_key: Some(input.idempotency_key),
        };
        let called = self.done(attempt.host.add(request).await)?;
        self.note_used(input.input.as_ref()).await?;
        let report = Added {
            pkid: called.value.connection.pkid.clone(),
            replayed: called.value.replayed,
        };
        let pkid = report.pkid.clone();
        self.outcome(&pkid, called.transaction, report).await
    }

    /// Changes fields of a record.
    #[activity(name = "relation.modify")]
    pub async fn modify(
        self: Arc<Self>,
        context: ActivityContext,
        input: Modify,
    ) -> Result<Outcome<Modified>, ActivityError> {
        let attempt = Attempt::begin(&self.host, &context).await?;
        let stored = input.change.input.as_ref();
        let secrets = self.open_fields(&input.change.fields, stored).await?;
        let tokens = secrets.token_response.map(to_secret);
        let called = attempt.host.modify(&input.pkid, secrets.fields, tokens);
        let called = self.done(called.await)?;
        self.note_used(stored).await?;
        let transaction = called.transaction;
        self.outcome(&input.pkid, transaction, Modified {}).await
    }

    /// Deletes a record. A repetition succeeds if the record does not exist any more.
    #[activity(name = "relation.delete")]
    pub async fn delete(
        self: Arc<Self>,
        context: ActivityContext,
        input: Delete,
    ) -> Result<Outcome<Deleted>, ActivityError> {
        let attempt = Attempt::begin(&self.host, &context).await?;
        let called = attempt.host.delete(&input.pkid, input.dry_run).await;
        let is_repetition = context.info().attempt > 1 && !input.dry_run;
        let (transaction, report) = match called {
            Err(error) if is_repetition && is_missing(&error) => {
                let report = Deleted {
                    documents: 0,
                    wakeups: 0,
                    revocation: "an earlier attempt has deleted the record".to_owned(),
                };
                (error.transaction.unwrap_or_default(), report)
            }
            called => {
                let CallOutput { transaction, value } = self.done(called)?;
                let report = Deleted {
                    documents: value.documents.len(),
                    wakeups: value.wakeups.len(),
                    revocation: match value.revocation {
                        Revocation::Revoked => "revoked".to_owned(),
                        Revocation::Skipped(reason) => format!("skipped: {reason}"),
                        Revocation::Failed(reason) => format!("failed: {reason}"),
                    },
                };
                (transaction, report)
            }
        };
        self.outcome(&input.pkid, transaction, report).await
    }

    /// Begins a consent. The link is stored, and the result has its key.
    #[activity(name = "relation.connect")]
    pub async fn connect(
        self: Arc<Self>,
        context: ActivityContext,
        input: Connect,
    ) -> Result<Outcome<ConsentLink>, ActivityError> {
        let attempt = Attempt::begin(&self.host, &context).await?;
        let Connect { pkid, consent } = input;
        let called = attempt
            .host
            .connect(&pkid, consent.grant, &consent.redirect_uri);
        let CallOutput { transaction, value } = self.done(called.await)?;
        let Some(document) = snapshot::read_document(&self.host, &pkid).await? else {
            return Err(failure::from_error(Failure::NotFound(Reference::record(
                pkid,
            ))));
        };
        let link = SecretString::from(value.url);
        let link = self.inputs.put(&document.hierarchy, Purpose::Link, &link);
        let report = ConsentLink {
            grant: value.grant,
            link: link.await.map_err(failure::from_input)?,
            scopes: value.scopes,
            expires: value.expires,
        };
        self.outcome(&pkid, transaction, report).await
    }

    /// Completes a consent with a stored callback.
    #[activity(name = "relation.complete-connect")]
    pub async fn complete_connect(
        self: Arc<Self>,
        context: ActivityContext,
        input: CompleteConnect,
    ) -> Result<Outcome<Connected>, ActivityError> {
        let attempt = Attempt::begin(&self.host, &context).await?;
        let callback = self.inputs.open(&input.input, Purpose::Callback).await;
        let callback = callback.map_err(failure::from_input)?;
        let called = attempt.host.complete_connect(&input.pkid, &callback);
        let CallOutput { transaction, value } = self.done(called.await)?;
        self.note_used(Some(&input.input)).await?;
        let report = Connected {
            grant: value.grant,
            organization: value.organization,
            sync_due: value.sync_due,
            message: value.message,
        };
        self.outcome(&input.pkid, transaction, report).await
    }

    /// Refreshes the tokens of a grant. A repetition joins a refresh of an earlier attempt.
    #[activity(name = "relation.refresh")]
    pub async fn refresh(
        self: Arc<Self>,
        context: ActivityContext,
        input: OfGrant,
    ) -> Result<Outcome<Refreshed>, ActivityError> {
        let attempt = Attempt::begin(&self.host, &context).await?;
        let requested = attempt.requested_at;
        let called = attempt
            .host
            .refresh_since(&input.pkid, input.grant, requested);
        let CallOutput { transaction, value } = self.done(called.await)?;
        let report = Refreshed {
            grant: value.grant,
            outcome: value.outcome,
            message: value.message,
            tracking_id: value.tracking_id,
            joined: value.joined,
        };
        self.outcome(&input.pkid, transaction, report).await
    }

    /// Checks both expiries of a grant.
    #[activity(name = "relation.check-expiry")]
    pub async fn check_expiry(
        self: Arc<Self>,
        context: ActivityContext,
        input: OfGrant,
    ) -> Result<Outcome<Checked>, ActivityError> {
        let attempt = Attempt::begin(&self.host, &context).await?;
        let called = attempt.host.check_grant(&input.pkid, input.grant).await;
        let CallOutput { transaction, value } = self.done(called)?;
        let report = Checked {
            grant: value.grant,
            access_token_remaining_ms: value.access_token_remaining_ms,
            refresh_token_remaining_ms: value.refresh_token_remaining_ms,
            alert: value.alert.map(|alert| alert.code),
        };
        self.outcome(&input.pkid, transaction, report).await
    }

    /// Runs the due wakeups of a record. A failed call is no failure here: the store has the time of its next attempt.
    #[activity(name = "relation.wake")]
    pub async fn wake(
        self: Arc<Self>,
        context: ActivityContext,
        input: Record,
    ) -> Result<Outcome<Woken>, ActivityError> {
        let attempt = Attempt::begin(&self.host, &context).await?;
        let mut ran: Vec<RanWakeup> = Vec::new();
        for _ in 0..MAX_WAKEUPS {
            let Some(due) = snapshot::next_due(&self.host, &input.pkid).await? else {
                break;
            };
            let id = due.wakeup.id.clone();
            let outcome = attempt.host.run_wakeup(due).await;
            match outcome.map_err(failure::from_error)? {
                WakeupOutcome::Finished(result) => ran.push(match *result {
                    Ok(CallOutput { transaction, .. }) => RanWakeup {
                        id,
                        transaction: Some(transaction),
                        error: None,
                    },
                    Err(CallError {
                        kind: CallErrorKind::Stopped,
                        ..
                    }) => return Err(ActivityError::cancelled()),
                    Err(CallError { transaction, kind }) => RanWakeup {
                        id,
                        transaction,
                        error: Some(kind.to_string()),
                    },
                }),
                WakeupOutcome::Busy(_) if ran.is_empty() => {
                    let subject = Reference::record(input.pkid);
                    return Err(failure::busy(&subject, context.info().attempt));
                }
                WakeupOutcome::Busy(_) => break,
                _ => {}
            }
        }
        let transactions = ran.iter().rev();
        let transaction = transactions
            .filter_map(|ran| ran.transaction.clone())
            .next();
        let report = Woken { ran };
        self.outcome(&input.pkid, transaction.unwrap_or_default(), report)
            .await
    }

    /// Executes a data sync, or its first part. The record's wakeups continue it.
    #[activity(name = "relation.sync")]
    pub async fn run_sync(
        self: Arc<Self>,
        context: ActivityContext,
        input: SyncInput,
    ) -> Result<Outcome<SyncReport>, ActivityError> {
        let attempt = Attempt::begin(&self.host, &context).await?;
        let called = attempt
            .host
            .sync(&input.pkid, input.sync, input.accept_removals);
        let CallOutput { transaction, value } = self.done(called.await)?;
        self.outcome(&input.pkid, transaction, value).await
    }

    /// Runs an action of the plugin. Its arguments and its result are in the history.
    #[activity(name = "relation.invoke")]
    pub async fn invoke(
        self: Arc<Self>,
        context: ActivityContext,
        input: Invoke,
    ) -> Result<Outcome<Value>, ActivityError> {
        let attempt = Attempt::begin(&self.host, &context).await?;
        refuse_secrets(&input.arguments)?;
        let called = attempt
            .host
            .invoke(&input.action, &input.pkid, input.arguments);
        let CallOutput { transaction, value } = self.done(called.await)?;
        self.outcome(&input.pkid, transaction, value).await
    }

    /// Reads a record. The plugin shows no secrets.
    #[activity(name = "relation.show")]
    pub async fn show(
        self: Arc<Self>,
        _context: ActivityContext,
        input: Record,
    ) -> Result<Option<RecordDetails>, ActivityError> {
        let Some(document) = snapshot::read_document(&self.host, &input.pkid).await? else {
            return Ok(None);
        };
        let shown = self.host.show(std::slice::from_ref(&document)).await;
        let details = self.done(shown)?.into_iter().next().transpose();
        details.map_err(failure::from_error)
    }

    /// Reads the state of a record, as the other activities return it.
    #[activity(name = "relation.state")]
    pub async fn state(
        self: Arc<Self>,
        _context: ActivityContext,
        input: Record,
    ) -> Result<Option<Snapshot>, ActivityError> {
        snapshot::read(&self.host, &input.pkid).await
    }

    /// Counts the documents of a model that imports of a record have stored.
    #[activity(name = "relation.count-imported")]
    pub async fn count_imported(
        self: Arc<Self>,
        _context: ActivityContext,
        input: CountImported,
    ) -> Result<u64, ActivityError> {
        let counted = snapshot::count_imported(&self.host, &input);
        counted.await.map_err(failure::from_error)
    }

    /// Returns the model that the plugin describes.
    #[activity(name = "relation.describe")]
    pub async fn describe(
        self: Arc<Self>,
        _context: ActivityContext,
    ) -> Result<Model, ActivityError> {
        self.done(self.host.describe().await)
    }

    /// Checks the plugin's settings.
    #[activity(name = "relation.check-settings")]
    pub async fn check_settings(
        self: Arc<Self>,
        _context: ActivityContext,
    ) -> Result<(), ActivityError> {
        self.done(self.host.check_settings().await)
    }

    /// Asks Webex whether the installation's settings work.
    #[activity(name = "relation.check-integration")]
    pub async fn check_integration(
        self: Arc<Self>,
        _context: ActivityContext,
    ) -> Result<Vec<Finding>, ActivityError> {
        self.done(self.host.check_integration().await)
    }
}

impl Activities {
    /// Creates the activities of a host.
    pub fn new(host: Host, inputs: Inputs) -> Self {
        Self { host, inputs }
    }

    fn done<T>(&self, result: Result<T, CallError>) -> Result<T, ActivityError> {
        result.map_err(|error| failure::from_call(error, self.host.clock().now()))
    }

    /// Joins plain fields with those of a stored input.
    async fn open_fields(
        &self,
        plain: &Map<String, Value>,
        stored: Option<&Pkid>,
    ) -> Result<SecretFields, ActivityError> {
        refuse_secrets(plain)?;
        let mut opened = match stored {
            Some(stored) => {
                let opened = self.inputs.open_fields(stored).await;
                opened.map_err(failure::from_input)?
            }
            None => SecretFields::default(),
        };
        for (name, value) in plain {
            if opened.fields.insert(name.clone(), value.clone()).is_some() {
                let message = "is also in the stored input: give it once".to_owned();
                let field = name.clone();
                return Err(failure::invalid(vec![FieldError { field, message }]));
            }
        }
        Ok(opened)
    }

    /// Shortens the time for which a used input is kept.
    async fn note_used(&self, input: Option<&Pkid>) -> Result<(), ActivityError> {
        match input {
            Some(input) => {
                let noted = self.inputs.note_used(input).await;
                noted.map_err(failure::from_error)
            }
            None => Ok(()),
        }
    }

    async fn outcome<T>(
        &self,
        pkid: &Pkid,
        transaction: String,
        report: T,
    ) -> Result<Outcome<T>, ActivityError> {
        Ok(Outcome {
            transaction,
            report,
            record: snapshot::read(&self.host, pkid).await?,
        })
    }
}

fn refuse_secrets(fields: &Map<String, Value>) -> Result<(), ActivityError> {
    match find_secrets(fields) {
        errors if errors.is_empty() => Ok(()),
        errors => Err(failure::invalid(errors)),
    }
}

fn is_missing(error: &CallError) -> bool {
    matches!(error.kind, CallErrorKind::Refused(Failure::NotFound(_)))
}

/// Returns a token response as the text that the contract takes.
fn to_secret(response: Value) -> SecretString {
    match response {
        Value::String(text) => SecretString::from(text),
        response => SecretString::from(response.to_string()),
    }
}
