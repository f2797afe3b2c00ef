//! The attempts to deliver a callback.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::background::NoPlace;
use super::secrets::to_seconds;
use super::{
    BEGIN_TIMEOUT, CallbackSecrets, CallbackState, DELIVERY_TIME, LOOK_PAUSES, StoredCallback, URL,
    has_ended, poll_entry,
};
use crate::egress::{EgressError, Proxies};
use crate::host::{Host, WakeupOutcome};
use crate::store::{Change, Commit, DueWakeup, StoreError};
use crate::transactions::Transaction;
use crate::types::{Reference, Timestamp};
use crate::wakeup_kinds;

/// How long a receiver may take to respond.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time after which a delivery that has begun is begun again, unless it has ended.
const RECLAIM: Duration = Duration::from_secs(60);
/// The pause after the first attempt. Each further one is three times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(2 * 3600);

/// The reason why an attempt failed, in words without secrets.
struct AttemptError {
    reason: String,
    /// Whether the receiver refuses further attempts.
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

/// A delivery in progress. Dropping the delivery frees its place.
struct DeliveryInProgress {
    host: Host,
    subject: Reference,
    /// The receiver; `None`: the place is free already.
    origin: Option<String>,
}

impl DeliveryInProgress {
    /// Frees the place, and gives it to callbacks that wait for one.
    async fn free_place(&mut self) {
        if let Some(origin) = self.origin.take() {
            self.host.parts.callbacks.free(&origin);
            self.host.wake_waiting(&origin).await;
        }
    }
}

impl Drop for DeliveryInProgress {
    fn drop(&mut self) {
        let callbacks = &self.host.parts.callbacks;
        if let Some(origin) = &self.origin {
            callbacks.free(origin);
        }
        callbacks.end(&self.subject.pkid);
    }
}

/// Returns the pause after an attempt, counted from 1.
fn pause_after(attempt: u32) -> Duration {
    let factor = 3_u32.saturating_pow(attempt.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(factor).min(MAX_PAUSE)
}

/// Explains why a request failed. A callback has a time of its own, so the setting of other requests is not named.
fn explain(error: &EgressError) -> String {
    match error {
        EgressError::Timeout { peer, phase } => {
            let seconds = ATTEMPT_TIMEOUT.as_secs();
            format!("{peer} took too long: the {seconds} s of a callback were up while {phase}")
        }
        error => error.to_string(),
    }
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
        let origin = stored.body.report.origin.clone();
        match self.parts.callbacks.begin(&subject.pkid, &origin) {
            Ok(()) => {}
            Err(NoPlace::Running) => {
                self.postpone(due, now.after(RECLAIM)).await?;
                return Ok(WakeupOutcome::Gone);
            }
            Err(full) => {
                self.store_waiting(stored, full, now).await?;
                return Ok(WakeupOutcome::Gone);
            }
        }
        let mut running = DeliveryInProgress {
            host: self.clone(),
            subject,
            origin: Some(origin),
        };
        let begun = self.begin_attempt(&mut stored, now).await;
        if !matches!(begun, Ok(true)) {
            running.free_place().await;
            return begun.map(|_| WakeupOutcome::Gone);
        }
        tokio::spawn(async move {
            running
                .host
                .clone()
                .deliver(stored, &transaction, &mut running)
                .await;
        });
        Ok(WakeupOutcome::Gone)
    }

    /// Stores that an attempt begins, and that the person behind it lets credentials be used. Returns false if another
    /// host has begun the attempt.
    async fn begin_attempt(
        &self,
        stored: &mut StoredCallback,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let report = &mut stored.body.report;
        report.attempts = report.attempts.saturating_add(1);
        report.first_attempt.get_or_insert(now);
        report.last_attempt = Some(now);
        stored.set_waiting(None);
        let mut begun = stored.to_commit(Some(now.after(RECLAIM)), now)?;
        if let Some(credentials) = &stored.body.credentials {
            let found = self.store().get(&[credentials.reference()]).await?;
            if found.iter().any(Option::is_some) {
                let event = credentials.to_event(&stored.body.transaction, now)?;
                begun.changes.push(event);
            }
        }
        match self.store().commit(begun).await {
            Ok(()) => {
                stored.document.version += 1;
                Ok(true)
            }
            Err(StoreError::Conflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes an attempt, and stores its result.
    async fn deliver(
        &self,
        mut stored: StoredCallback,
        transaction: &Transaction,
        running: &mut DeliveryInProgress,
    ) {
        let result = self.post(&stored, transaction).await;
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
        running.free_place().await;
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
            Err(error) => return Err(AttemptError::new(explain(&error))),
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
            Some(credentials) => {
                let owner = credentials.reference();
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
    use crate::egress::{Origin, Peer, RequestPhase};

    #[test]
    fn late_response_names_the_time_of_callbacks() {
        let origin = Origin::from_uri(&"https://crm.example.com/".parse().unwrap());
        let late = EgressError::Timeout {
            peer: Peer::Target(origin.unwrap()),
            phase: RequestPhase::Response,
        };
        let text = explain(&late);
        assert!(text.contains("the 10 s of a callback"), "{text}");
        assert!(!text.contains("limits."), "{text}");
    }

    #[test]
    fn pauses_grow_to_two_hours() {
        let seconds: Vec<u64> = (1..=8)
            .map(|attempt| pause_after(attempt).as_secs())
            .collect();
        assert_eq!(seconds, [5, 15, 45, 135, 405, 1215, 3645, 7200]);
        assert_eq!(pause_after(u32::MAX), MAX_PAUSE);
    }
}
