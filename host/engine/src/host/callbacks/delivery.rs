//! The attempts to deliver a callback.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::secrets::to_seconds;
use super::{
    BEGIN_TIMEOUT, CALLBACK_AUTH_MODEL, CallbackSecrets, CallbackState, DELIVERY_TIME, LOOK_PAUSES,
    StoredCallback, URL, has_ended, poll_entry,
};
use crate::egress::Proxies;
use crate::host::{Host, WakeupOutcome};
use crate::store::{Change, Commit, DueWakeup, StoreError};
use crate::transactions::Transaction;
use crate::types::{Reference, Timestamp};
use crate::wakeup_kinds;

/// How long a receiver may take to respond.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// When a delivery that has begun is begun again, unless it has ended by then.
const RECLAIM: Duration = Duration::from_secs(60);
/// The pause after the first attempt. Each further one is three times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(2 * 3600);

/// The reason why an attempt failed, in words without secrets.
struct AttemptError {
    reason: String,
    /// Whether the receiver wants no further attempt.
    is_final: bool,
}

impl AttemptError {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_final: false,
        }
    }
}

/// The mark of a delivery in progress, which ends with it.
struct DeliveryInProgress {
    host: Host,
    subject: Reference,
}

impl Drop for DeliveryInProgress {
    fn drop(&mut self) {
        self.host.parts.callbacks.end(&self.subject.pkid);
    }
}

/// Returns the pause after an attempt, counted from 1.
fn pause_after(attempt: u32) -> Duration {
    let factor = 3_u32.saturating_pow(attempt.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(factor).min(MAX_PAUSE)
}

impl StoredCallback {
    /// Records the result of an attempt. Returns when the next one is due; `None`: the delivery has ended.
    fn record(&mut self, result: Result<(), AttemptError>, now: Timestamp) -> Option<Timestamp> {
        let report = &mut self.body.report;
        let Err(error) = result else {
            report.state = CallbackState::Delivered;
            report.last_error = None;
            return None;
        };
        report.last_error = Some(error.reason);
        let next = now.after(pause_after(report.attempts));
        let end = report.first_attempt.unwrap_or(now).after(DELIVERY_TIME);
        if error.is_final || next > end {
            report.state = CallbackState::Failed;
            return None;
        }
        Some(next)
    }
}

impl Host {
    /// Runs the wakeup of a callback: begins an attempt if the transaction has ended, otherwise looks again later.
    pub(in crate::host) async fn run_callback(
        &self,
        due: &DueWakeup,
    ) -> Result<WakeupOutcome, StoreError> {
        let subject = due.wakeup.subject.clone();
        let now = self.clock().now();
        if !self.parts.callbacks.begin(&subject.pkid) {
            // The attempt waits for its receiver.
            self.postpone(due, now.after(RECLAIM)).await?;
            return Ok(WakeupOutcome::Gone);
        }
        let running = DeliveryInProgress {
            host: self.clone(),
            subject: subject.clone(),
        };
        let mut stored = match self.read_callback(&subject).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(WakeupOutcome::Gone),
            Err(StoreError::Corrupt(reason)) => {
                tracing::error!(
                    transaction = due.wakeup.payload,
                    reason,
                    "a callback is lost"
                );
                let kind = wakeup_kinds::CALLBACK.to_owned();
                self.apply_change(Change::Cancel(subject, kind), now)
                    .await?;
                return Ok(WakeupOutcome::Gone);
            }
            Err(error) => return Err(error),
        };
        let id = stored.body.transaction.clone();
        let mut transaction = self.store().transaction(&id).await?;
        if !has_ended(transaction.as_ref()) {
            let age = now.since(stored.body.created);
            if transaction.is_none() && age >= BEGIN_TIMEOUT {
                self.apply_change(Change::Delete(subject), now).await?;
                return Ok(WakeupOutcome::Gone);
            }
            let pause = age.clamp(LOOK_PAUSES.0, LOOK_PAUSES.1);
            self.postpone(due, now.after(pause)).await?;
            // The end may have come just before the wakeup was postponed.
            transaction = self.store().transaction(&id).await?;
        }
        let Some(transaction) = transaction.filter(|each| has_ended(Some(each))) else {
            return Ok(WakeupOutcome::Gone);
        };
        let report = &mut stored.body.report;
        report.attempts = report.attempts.saturating_add(1);
        report.first_attempt.get_or_insert(now);
        report.last_attempt = Some(now);
        let begun = stored.to_commit(Some(now.after(RECLAIM)), now)?;
        match self.store().commit(begun).await {
            Ok(()) => {}
            // Another host has begun this attempt.
            Err(StoreError::Conflict(_)) => return Ok(WakeupOutcome::Gone),
            Err(error) => return Err(error),
        }
        stored.document.version += 1;
        tokio::spawn(async move {
            let running = running;
            running.host.deliver(stored, &transaction).await;
        });
        Ok(WakeupOutcome::Gone)
    }

    /// Makes an attempt, and stores its result.
    async fn deliver(&self, mut stored: StoredCallback, transaction: &Transaction) {
        let callbacks = &self.parts.callbacks;
        let place = callbacks.wait_for_receiver(&stored.body.report.origin);
        let place = place.await;
        let result = self.post(&stored, transaction).await;
        drop(place);
        let id = &transaction.id;
        match &result {
            Ok(()) => tracing::debug!(transaction = id, "callback delivered"),
            Err(error) => tracing::warn!(
                transaction = id,
                attempt = stored.body.report.attempts,
                "a callback was not accepted: {}",
                error.reason
            ),
        }
        let now = self.clock().now();
        let next = stored.record(result, now);
        let written = match stored.to_commit(next, now) {
            Ok(commit) => self.store().commit(commit).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(transaction = id, %error, "the result of a callback was not stored: it is delivered again");
        }
        self.parts.services.scheduled.notify_one();
    }

    /// Posts the poll response.
    async fn post(
        &self,
        stored: &StoredCallback,
        transaction: &Transaction,
    ) -> Result<(), AttemptError> {
        let Some(client) = self.parts.callbacks.client() else {
            return Err(AttemptError::new("`web.callback-origins` is empty"));
        };
        let request = self.to_request(stored, transaction).await?;
        let deadline = tokio::time::Instant::now() + ATTEMPT_TIMEOUT;
        let sent = client.send(request, &Proxies::default(), deadline).await;
        let status = match sent {
            Ok(response) => response.status(),
            Err(error) => return Err(AttemptError::new(error.to_string())),
        };
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(AttemptError::new(format!(
                "the receiver responded with {status}, and redirects are not followed"
            ))),
            status => Err(AttemptError {
                reason: format!("the receiver responded with {status}"),
                is_final: status == StatusCode::GONE,
            }),
        }
    }

    async fn to_request(
        &self,
        stored: &StoredCallback,
        transaction: &Transaction,
    ) -> Result<Request<Full<bytes::Bytes>>, AttemptError> {
        let services = &self.parts.services;
        let (sealer, store) = (&services.sealer, services.store.as_ref());
        let unreadable = |what: &str| AttemptError::new(format!("{what} cannot be read"));
        let url = sealer.reveal(store, stored.reference(), URL).await;
        let url = url.ok().flatten();
        let url = url.ok_or_else(|| unreadable("the address of the callback"))?;
        let secrets = match &stored.body.credentials {
            None => CallbackSecrets::default(),
            Some(pkid) => {
                let owner = Reference::new(CALLBACK_AUTH_MODEL, pkid.clone());
                let read = CallbackSecrets::read(sealer, store, &owner).await;
                let read = read.map_err(|_| unreadable("the credentials of the callback"))?;
                read.ok_or_else(|| AttemptError::new("the credentials were deleted"))?
            }
        };
        let mut body = Map::new();
        body.insert(transaction.id.clone(), poll_entry(transaction));
        let body = Value::Object(body).to_string();
        let message = format!("msg_{}", transaction.id);
        let now = self.clock().now();
        let mut request = Request::post(url.expose_secret())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &message)
            .header("webhook-timestamp", to_seconds(now));
        if let Some(signature) = secrets.sign(&message, now, &body) {
            request = request.header("webhook-signature", signature);
        }
        if let Some(authorization) = &secrets.authorization {
            let value = HeaderValue::from_str(authorization.expose_secret());
            let mut value = value.map_err(|_| unreadable("the credentials of the callback"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(body.into()));
        request.map_err(|_| unreadable("the address of the callback"))
    }

    /// Applies one change.
    async fn apply_change(&self, change: Change, now: Timestamp) -> Result<(), StoreError> {
        let commit = Commit {
            changes: vec![change],
            now,
            ..Commit::default()
        };
        self.store().commit(commit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_two_hours() {
        let seconds: Vec<u64> = (1..=8)
            .map(|attempt| pause_after(attempt).as_secs())
            .collect();
        assert_eq!(seconds, [5, 15, 45, 135, 405, 1215, 3645, 7200]);
        assert_eq!(pause_after(u32::MAX), MAX_PAUSE);
    }
}
