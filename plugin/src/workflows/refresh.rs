//! Refreshes the access token.
//!
//! A refresh is one request and one commit:
//! - A temporary error leaves the tokens unchanged.
//! - Only a refusal of the token that is still stored ends the connection.
//! - A response is stored even if something else in the record changed during the request.

mod storage_steps;

use crate::alerts::ActiveAlerts;
use crate::disconnect::{Disconnection, disconnect};
use crate::grant::Grant;
use crate::installation_alert;
use crate::model::derived;
use crate::owned_documents::{self, StoredSchedule};
use crate::platform::{Change, Failure, Level, Platform, Reference, Secret, UnixMillis};
use crate::record::{GrantState, Record, Retry, State};
use crate::reports::{ConnectionReport, RefreshOutcome, RefreshReport};
use crate::settings::{ClientCredentials, Settings};
use crate::timing::{self, EXPIRY_TOLERANCE, Expiries, JitterSeed, MAX_CLOCK_SKEW};
use crate::tokens::refresh_wakeup;
use crate::webex::client::{Proxies, Webex};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::oauth;
use crate::webex::token_response::TokenResponse;

/// One running refresh.
struct Attempt<'a> {
    platform: &'a dyn Platform,
    grant: Grant,
    settings: Settings,
    proxies: Proxies,
    owner: Reference,
    refresh_token: Secret,
    // Set just before the request; lifetimes count from this time.
    begun: UnixMillis,
}

/// Data that is written with new tokens besides the record, read before the request. Between response
/// and commit, no read can fail: if the store is down then, only the commit fails, and the host keeps
/// the commit.
struct Prefetched {
    alerts: ActiveAlerts,
    refresh_schedule: StoredSchedule,
    expiry_schedule: StoredSchedule,
}

impl Prefetched {
    fn read(platform: &dyn Platform, record: &Record, grant: Grant) -> Result<Self, Failure> {
        let alerts = ActiveAlerts::load(platform, record)?;
        let [refresh_schedule, expiry_schedule] =
            StoredSchedule::read_both(platform, record, grant)?;
        Ok(Self {
            alerts,
            refresh_schedule,
            expiry_schedule,
        })
    }
}

/// Refreshes the access token of `grant` of `pkid` now, whatever its schedule or backoff says. Joins an
/// attempt that began at or after `requested_at` instead of starting another.
///
/// # Errors
/// `not-found`. `conflict` when the record changed so that the response no longer applies, or the lease was lost.
/// `reauthorize` when the record has no refresh token. `unavailable` when the storage is. An error response of Webex is
/// an outcome, not an error.
pub fn refresh(
    platform: &dyn Platform,
    pkid: &str,
    grant: Grant,
    requested_at: UnixMillis,
) -> Result<RefreshReport, Failure> {
    refresh_record(platform, Record::load(platform, pkid)?, grant, requested_at)
}

/// Works like [`refresh`] on a record that was just read.
pub(super) fn refresh_record(
    platform: &dyn Platform,
    record: Record,
    grant: Grant,
    requested_at: UnixMillis,
) -> Result<RefreshReport, Failure> {
    record.require_grant(grant)?;
    if let Some(report) = join_attempt(&record, grant, requested_at, platform.now()) {
        return Ok(report);
    }
    if let Some(report) = report_expired(&record, grant) {
        return Ok(report);
    }
    let settings = Settings::load(platform)?;
    let Some(refresh_token) = platform.reveal(&record.reference(), grant.refresh_token())? else {
        return Err(Failure::Reauthorize(format!(
            "{} has no refresh token: connect this customer to Webex",
            record.display_name(grant)
        )));
    };
    let attempt = Attempt {
        platform,
        grant,
        proxies: Proxies::reveal(&record, platform)?,
        settings,
        owner: record.reference(),
        refresh_token,
        begun: platform.now(),
    };
    let prefetched = Prefetched::read(platform, &record, grant)?;
    platform.progress(1, 3, "asking Webex for new tokens");
    let response = attempt.request_tokens()?;
    platform.progress(2, 3, "storing Webex's response");
    let report = match response {
        Ok(response) => attempt.store_tokens(record, prefetched, &response),
        Err(error) if error.kind == ErrorKind::Refused => attempt.record_refusal(record, &error),
        Err(error) => attempt.schedule_retry(record, &prefetched.alerts, &error),
    }?;
    platform.progress(3, 3, &report.message);
    Ok(report)
}

/// Returns the report of an attempt that began after the caller's request.
fn join_attempt(
    record: &Record,
    grant: Grant,
    requested_at: UnixMillis,
    now: UnixMillis,
) -> Option<RefreshReport> {
    let connection = record.grant_state(grant);
    // The clock was set back since an attempt that is dated in the future: do not join the attempt.
    let latest = now + MAX_CLOCK_SKEW;
    let attempted = connection
        .attempted
        .filter(|at| (requested_at..=latest).contains(at))?;
    let (outcome, failure) = match connection.state {
        State::Connected | State::Expiring | State::MissingScope => {
            (RefreshOutcome::Connected, None)
        }
        State::Retrying => (RefreshOutcome::Retrying, connection.retry.as_ref()),
        State::Reauthorize => (RefreshOutcome::Reauthorize, connection.refusal.as_ref()),
        State::Expired => (RefreshOutcome::Expired, connection.refusal.as_ref()),
        State::NotConnected => return None,
    };
    let mut message = format!(
        "this call joined the attempt that began at {}",
        derived::format_timestamp(attempted)
    );
    if let Some(failure) = failure {
        message.push_str(&format!(": {}", failure.reason));
    }
    Some(RefreshReport {
        grant,
        outcome,
        connection: ConnectionReport::from_record(record),
        message,
        tracking_id: failure.and_then(|failure| failure.tracking_id.clone()),
        joined: true,
    })
}

/// Returns the report for a refresh token that has expired and that Webex has refused: Webex is not asked
/// again. Expiry by the clock alone does not prevent a refresh, because the clock may be wrong.
fn report_expired(record: &Record, grant: Grant) -> Option<RefreshReport> {
    let connection = record.grant_state(grant);
    (connection.state == State::Expired && connection.is_refused()).then(|| RefreshReport {
        grant,
        outcome: RefreshOutcome::Expired,
        connection: ConnectionReport::from_record(record),
        message: derived::note(connection),
        tracking_id: None,
        joined: false,
    })
}

impl Attempt<'_> {
    /// Requests new tokens. If the request cannot be sent, the operator must act; the reason is recorded
    /// like a response. The outer result fails only if the platform does.
    fn request_tokens(&self) -> Result<Result<TokenResponse, WebexError>, Failure> {
        let unsent =
            |kind, why: String| WebexError::new(kind, "the request for new tokens", Some(why));
        let client = match ClientCredentials::reveal(&self.settings, self.platform)? {
            Ok(client) => client,
            Err(missing) => return Ok(Err(unsent(ErrorKind::Client, missing.to_owned()))),
        };
        match Webex::new(self.platform, &self.settings, &self.proxies) {
            Ok(webex) => {
                // Needed to redact the token from error texts. A token that cannot be revealed is not needed.
                let access_token = || {
                    let held = self.platform.reveal(&self.owner, self.grant.access_token());
                    held.ok().flatten()
                };
                Ok(oauth::refresh(
                    &webex,
                    &client,
                    &self.refresh_token,
                    access_token,
                ))
            }
            Err(failure @ (Failure::Invalid(_) | Failure::LimitExceeded(_))) => {
                let why = format!("the proxy cannot be used: {failure}");
                Ok(Err(unsent(ErrorKind::Denied, why)))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Ends the connection because Webex refused its refresh token, after checking that the refused token
    /// is still the stored one.
    fn record_refusal(&self, record: Record, error: &WebexError) -> Result<RefreshReport, Failure> {
        let fresh = Record::load(self.platform, &record.pkid)?;
        let held = self.reveal_refresh_token(&fresh)?;
        if fresh.version != record.version || held.as_ref() != Some(&self.refresh_token) {
            return Err(Failure::Conflict(format!(
                "{} changed while Webex refused its earlier refresh token: run the refresh again",
                fresh.display_name(self.grant)
            )));
        }
        let reason = self.explain_refusal(&fresh, error);
        let failure = Retry {
            attempts: 1,
            reason: reason.clone(),
            tracking_id: error.tracking_id.clone(),
            ..Retry::default()
        };
        // Webex's clock decides, and the local clock may be slightly behind.
        let moment = self.platform.now() + EXPIRY_TOLERANCE;
        let over = fresh
            .grant_state(self.grant)
            .refresh
            .is_some_and(|refresh| refresh.at <= moment);
        let (outcome, ending) = if over {
            (
                RefreshOutcome::Expired,
                Disconnection::Expired(Some(failure)),
            )
        } else {
            (RefreshOutcome::Reauthorize, Disconnection::Refused(failure))
        };
        let message = format!("{reason}; {}", error.advice());
        self.end_connection(fresh, outcome, ending, message, error.tracking_id.clone())
    }

    /// Returns Webex's reason, preceded by a note if an earlier response was lost. A new refresh token may
    /// have been lost with that response.
    fn explain_refusal(&self, record: &Record, error: &WebexError) -> String {
        let reason = error.reason();
        let uncertain = record.grant_state(self.grant).uncertain;
        if !uncertain && self.platform.interrupted().is_none() {
            return reason;
        }
        format!(
            "possibly lost rotation: an earlier request was cut off before its response was stored, \
             and Webex may have replaced the refresh token in it; {reason}"
        )
    }

    fn end_connection(
        &self,
        mut record: Record,
        outcome: RefreshOutcome,
        ending: Disconnection,
        message: String,
        tracking_id: Option<String>,
    ) -> Result<RefreshReport, Failure> {
        let check = record.version_check();
        let alerts = ActiveAlerts::load(self.platform, &record)?;
        let now = self.platform.now();
        let ended = disconnect(
            self.platform,
            &mut record,
            self.grant,
            ending,
            &alerts,
            &self.settings,
            now,
        )?;
        record.grant_state_mut(self.grant).attempted = Some(self.begun);
        let mut changes = vec![Change::Put(record.to_document()?)];
        changes.extend(ended.changes);
        changes.extend(alerts.clear_resolved(&record, now));
        self.platform.commit(vec![check], changes)?;
        self.platform.log(Level::Warning, &message);
        Ok(RefreshReport {
            grant: self.grant,
            outcome,
            connection: ConnectionReport::from_record(&record),
            message,
            tracking_id,
            joined: false,
        })
    }

    /// Records a temporary error and schedules the next attempt; the tokens stay unchanged. Raises an alert if refreshes
    /// have failed for a long time.
    fn schedule_retry(
        &self,
        mut record: Record,
        alerts: &ActiveAlerts,
        error: &WebexError,
    ) -> Result<RefreshReport, Failure> {
        let check = record.version_check();
        record.note_interruption(self.platform);
        let now = self.platform.now();
        let spread = JitterSeed::from_pkid(&record.pkid);
        let connection = record.grant_state_mut(self.grant);
        // An attempt that a person made before its time leaves the backoff as it is.
        let scheduled = connection.next_refresh.filter(|next| *next > now);
        let scheduled = connection
            .retry
            .as_ref()
            .filter(|retry| retry.client == error.is_about_client())
            .and_then(|retry| Some((retry.attempts, scheduled?)));
        let ends = Expiries {
            access: connection.access,
            refresh: connection.refresh,
        };
        // Webex rejects the integration itself: a longer backoff keeps many customers from asking often.
        let base = if error.is_about_client() {
            timing::CLIENT_BACKOFF_BASE
        } else {
            timing::BACKOFF_BASE
        };
        let (attempts, pause) = match scheduled {
            Some((attempts, next)) => (attempts, next - now),
            None => {
                let failed = connection.retry.as_ref().map_or(0, |retry| retry.attempts);
                let attempts = failed.saturating_add(1);
                let jitter = self.settings.refresh.jitter;
                (attempts, timing::backoff(base, attempts, jitter, spread))
            }
        };
        let since = self.find_first_failure(connection);
        let client =
            error.is_about_client() || connection.retry.as_ref().is_some_and(|retry| retry.client);
        let next = timing::retry_at(now, ends, pause, error.retry_after);
        let reason = match error.advice() {
            "" => error.reason(),
            advice => format!("{}; {advice}", error.reason()),
        };
        let outlook = match error.needs_change() {
            true => ", and fails too until the cause is corrected",
            false => "",
        };
        let message = format!(
            "{reason}; the tokens are kept, the next attempt is at {}{outlook}",
            derived::format_timestamp(next)
        );
        connection.state = State::Retrying;
        connection.attempted = Some(self.begun);
        connection.uncertain |= error.lost;
        connection.next_refresh = Some(next);
        connection.refusal = None;
        connection.retry = Some(Retry {
            attempts,
            since: Some(since),
            reason,
            tracking_id: error.tracking_id.clone(),
            client,
            needs_change: error.needs_change(),
            before_webex: error.is_before_webex(),
        });
        let mut changes = vec![
            Change::Put(record.to_document()?),
            refresh_wakeup(
                &record.reference(),
                self.grant,
                next,
                record.grant_state(self.grant).refresh,
            ),
        ];
        changes.extend(owned_documents::reschedule(
            self.platform,
            &record,
            self.grant.refresh_schedule(),
            Some(self.begun),
            Some(next),
        )?);
        if error.is_about_client() {
            changes.extend(installation_alert::raise(
                self.platform,
                &record,
                error,
                now,
            )?);
        }
        let failing_after = self.settings.refresh.failing_after;
        changes.extend(alerts.raise_failing(
            self.platform,
            &record,
            self.grant,
            failing_after,
            now,
        )?);
        self.platform.commit(vec![check], changes)?;
        self.platform.log(Level::Warning, &message);
        Ok(RefreshReport {
            grant: self.grant,
            outcome: RefreshOutcome::Retrying,
            connection: ConnectionReport::from_record(&record),
            message,
            tracking_id: error.tracking_id.clone(),
            joined: false,
        })
    }

    /// Returns the beginning of the failures that this attempt continues. Records of older releases only have the time
    /// of the last one.
    fn find_first_failure(&self, connection: &GrantState) -> UnixMillis {
        let retry = connection.retry.as_ref();
        let earlier = retry.and_then(|retry| retry.since.or(connection.attempted));
        // A time in the future comes from a wrong clock.
        let earlier = earlier.filter(|since| *since <= self.begun);
        earlier.unwrap_or(self.begun)
    }

    fn reveal_refresh_token(&self, record: &Record) -> Result<Option<Secret>, Failure> {
        self.platform
            .reveal(&record.reference(), self.grant.refresh_token())
    }
}

#[cfg(test)]
mod tests;
