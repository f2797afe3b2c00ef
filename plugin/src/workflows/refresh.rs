//! Refreshes the access token.
//!
//! One request, one commit. A passing fault leaves the tokens as they are; only a refusal, of a
//! token that is still the stored one, ends the connection; an answer is not given up because
//! something else about the record changed while Webex was asked.

mod keep;

use crate::alerts::Standing;
use crate::ending::{Ending, end};
use crate::grant::Grant;
use crate::installation;
use crate::model::derived;
use crate::parts::{self, Stored};
use crate::platform::{Change, Failure, Level, Platform, Reference, Secret, Timestamp};
use crate::record::{Record, Retry, State};
use crate::reports::{Connection, RefreshOutcome, RefreshReport};
use crate::settings::{ClientCredentials, Settings};
use crate::timing::{self, CLOCKS_APART, Ends, ROUNDING, Spread};
use crate::tokens::refresh_wakeup;
use crate::webex::answer::TokenResponse;
use crate::webex::client::{Proxies, Webex};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::oauth;

/// One refresh while it runs.
struct Attempt<'a, P: ?Sized> {
    platform: &'a P,
    grant: Grant,
    settings: Settings,
    proxies: Proxies,
    owner: Reference,
    refresh_token: Secret,
    // Just before the request: lives count from here.
    begun: Timestamp,
}

/// What is written with new tokens besides the record. Read before Webex is asked: between its
/// answer and the commit nothing is read that could fail, so that a store which is down then costs
/// a commit, which the host keeps, and not the answer.
struct Surroundings {
    alerts: Standing,
    refresh_schedule: Stored,
    expiry_schedule: Stored,
}

impl Surroundings {
    fn read<P: Platform + ?Sized>(
        platform: &P,
        record: &Record,
        grant: Grant,
    ) -> Result<Self, Failure> {
        Ok(Self {
            alerts: Standing::of(platform, record)?,
            refresh_schedule: Stored::read(platform, record, grant.refresh_schedule())?,
            expiry_schedule: Stored::read(platform, record, grant.expiry_schedule())?,
        })
    }
}

/// Refreshes the access token of `grant` of `pkid` now, whatever its schedule or backoff says, unless an
/// attempt that began at or after `requested_at` has answered the caller already.
///
/// # Errors
/// `not-found`; `conflict` when the record changed so that the answer does not fit any more, or
/// the lease was lost; `reauthorize` when the record has no refresh token; `unavailable` of the
/// storage. What Webex answers is an outcome.
pub fn refresh<P: Platform + ?Sized>(
    platform: &P,
    pkid: &str,
    grant: Grant,
    requested_at: Timestamp,
) -> Result<RefreshReport, Failure> {
    let record = Record::load(platform, pkid)?;
    record.must_have(grant)?;
    if let Some(report) = joined(&record, grant, requested_at, platform.now()) {
        return Ok(report);
    }
    if let Some(report) = expired(&record, grant) {
        return Ok(report);
    }
    let settings = Settings::load(platform)?;
    let Some(refresh_token) = platform.reveal(&record.reference(), grant.refresh_token())? else {
        return Err(Failure::Reauthorize(format!(
            "{} has no refresh token: connect this customer to Webex",
            record.called(grant)
        )));
    };
    let attempt = Attempt {
        platform,
        grant,
        proxies: Proxies::of(&record, platform)?,
        settings,
        owner: record.reference(),
        refresh_token,
        begun: platform.now(),
    };
    let around = Surroundings::read(platform, &record, grant)?;
    platform.progress(1, 3, "asking Webex for new tokens");
    let answer = attempt.ask()?;
    platform.progress(2, 3, "storing what Webex answered");
    let report = match answer {
        Ok(answer) => attempt.keep(record, around, &answer),
        Err(error) if error.kind == ErrorKind::Refused => attempt.accept_refusal(record, &error),
        Err(error) => attempt.try_later(record, &error),
    }?;
    platform.progress(3, 3, &report.message);
    Ok(report)
}

/// The report of an attempt that began when the caller had already asked.
fn joined(
    record: &Record,
    grant: Grant,
    requested_at: Timestamp,
    now: Timestamp,
) -> Option<RefreshReport> {
    let connection = record.connection(grant);
    // An attempt of the future answers nobody: the clock was set back since.
    let latest = now.saturating_add(CLOCKS_APART);
    let attempted = connection
        .attempted
        .filter(|at| (requested_at..=latest).contains(at))?;
    let (outcome, said) = match connection.state {
        State::Connected | State::Expiring | State::MissingScope => {
            (RefreshOutcome::Connected, None)
        }
        State::Retrying => (RefreshOutcome::Retrying, connection.retry.as_ref()),
        State::Reauthorize => (RefreshOutcome::Reauthorize, connection.refusal.as_ref()),
        State::Expired => (RefreshOutcome::Expired, connection.refusal.as_ref()),
        State::NotConnected => return None,
    };
    let mut message = format!(
        "the attempt that began at {} answers this call too",
        derived::date_time(attempted)
    );
    if let Some(said) = said {
        message.push_str(&format!(": {}", said.reason));
    }
    Some(RefreshReport {
        grant,
        outcome,
        connection: Connection::of(record),
        message,
        tracking_id: said.and_then(|said| said.tracking_id.clone()),
        joined: true,
    })
}

/// The report of a refresh token that Webex has refused and whose time is over: Webex is not asked
/// again. An expiry that the clock alone says is over is no reason not to ask: the clock may be wrong.
fn expired(record: &Record, grant: Grant) -> Option<RefreshReport> {
    let connection = record.connection(grant);
    (connection.state == State::Expired && connection.is_refused()).then(|| RefreshReport {
        grant,
        outcome: RefreshOutcome::Expired,
        connection: Connection::of(record),
        message: derived::note(connection),
        tracking_id: None,
        joined: false,
    })
}

impl<P: Platform + ?Sized> Attempt<'_, P> {
    /// Asks Webex. What keeps the request from being made is the operator's matter and, like an
    /// answer, recorded: the outer result fails only when the platform does.
    fn ask(&self) -> Result<Result<TokenResponse, WebexError>, Failure> {
        let not_made =
            |kind, why: String| WebexError::new(kind, "asking Webex for new tokens", Some(why));
        let client = match ClientCredentials::reveal(&self.settings, self.platform)? {
            Ok(client) => client,
            Err(key) => {
                let why = format!("`{key}` is not configured");
                return Ok(Err(not_made(ErrorKind::Client, why)));
            }
        };
        match Webex::new(self.platform, &self.settings, &self.proxies) {
            Ok(webex) => {
                // An error text may repeat it; one that cannot be opened hides by itself.
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
                Ok(Err(not_made(ErrorKind::Denied, why)))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Ends the connection because Webex refused its refresh token, once it is certain that the
    /// one refused is still the one stored.
    fn accept_refusal(&self, record: Record, error: &WebexError) -> Result<RefreshReport, Failure> {
        let fresh = Record::load(self.platform, &record.pkid)?;
        let held = self.held_by(&fresh)?;
        if fresh.version != record.version || held.as_ref() != Some(&self.refresh_token) {
            return Err(Failure::Conflict(format!(
                "{} changed while Webex refused its earlier refresh token: run the refresh again",
                fresh.called(self.grant)
            )));
        }
        let reason = self.reason_of_refusal(&fresh, error);
        let said = Retry {
            attempts: 1,
            reason: reason.clone(),
            tracking_id: error.tracking_id.clone(),
            client: false,
        };
        // Webex's own clock decides, and ours may be a moment behind it.
        let moment = self.platform.now().saturating_add(ROUNDING);
        let over = fresh
            .connection(self.grant)
            .refresh
            .is_some_and(|refresh| refresh.at <= moment);
        let (outcome, ending) = if over {
            (RefreshOutcome::Expired, Ending::Expired(Some(said)))
        } else {
            (RefreshOutcome::Reauthorize, Ending::Refused(said))
        };
        let message = format!("{reason}; {}", error.advice());
        self.finish(fresh, outcome, ending, message, error.tracking_id.clone())
    }

    /// Webex's words, and before them what an earlier request has to do with it: when its answer
    /// was lost, a new refresh token may have been lost with it.
    fn reason_of_refusal(&self, record: &Record, error: &WebexError) -> String {
        let reason = error.reason();
        let uncertain = record.connection(self.grant).uncertain;
        if !uncertain && self.platform.interrupted().is_none() {
            return reason;
        }
        format!(
            "possibly lost rotation: an earlier request was cut off before its answer was stored, \
             and Webex may have replaced the refresh token in it; {reason}"
        )
    }

    fn finish(
        &self,
        mut record: Record,
        outcome: RefreshOutcome,
        ending: Ending,
        message: String,
        tracking_id: Option<String>,
    ) -> Result<RefreshReport, Failure> {
        let check = record.unchanged();
        let alerts = Standing::of(self.platform, &record)?;
        let now = self.platform.now();
        let ended = end(
            self.platform,
            &mut record,
            self.grant,
            ending,
            &alerts,
            &self.settings,
            now,
        )?;
        record.connection_mut(self.grant).attempted = Some(self.begun);
        let mut changes = vec![Change::Put(record.to_document()?)];
        changes.extend(ended.changes);
        self.platform.commit(vec![check], changes)?;
        self.platform.log(Level::Warning, &message);
        Ok(RefreshReport {
            grant: self.grant,
            outcome,
            connection: Connection::of(&record),
            message,
            tracking_id,
            joined: false,
        })
    }

    /// Notes a passing fault and when to try again; the tokens stay as they are.
    fn try_later(&self, mut record: Record, error: &WebexError) -> Result<RefreshReport, Failure> {
        let check = record.unchanged();
        record.note_interruption(self.platform);
        let now = self.platform.now();
        let spread = Spread::of(&record.pkid);
        let connection = record.connection_mut(self.grant);
        let attempts = connection
            .retry
            .as_ref()
            .map_or(0, |retry| retry.attempts)
            .saturating_add(1);
        let ends = Ends {
            access: connection.access,
            refresh: connection.refresh,
        };
        // Webex does not accept the integration: many customers need not ask many times.
        let base = if error.is_about_client() {
            timing::CLIENT_BACKOFF_BASE
        } else {
            timing::BACKOFF_BASE
        };
        let pause = timing::backoff(base, attempts, self.settings.refresh.jitter, spread);
        let client =
            error.is_about_client() || connection.retry.as_ref().is_some_and(|retry| retry.client);
        let next = timing::retry_at(now, ends, pause, error.retry_after);
        let reason = match error.advice() {
            "" => error.reason(),
            advice => format!("{}; {advice}", error.reason()),
        };
        let message = format!(
            "{reason}; the tokens are kept, the next attempt is at {}",
            derived::date_time(next)
        );
        connection.state = State::Retrying;
        connection.attempted = Some(self.begun);
        connection.uncertain |= error.lost;
        connection.next_refresh = Some(next);
        connection.refusal = None;
        connection.retry = Some(Retry {
            attempts,
            reason,
            tracking_id: error.tracking_id.clone(),
            client,
        });
        let mut changes = vec![
            Change::Put(record.to_document()?),
            refresh_wakeup(
                &record.reference(),
                self.grant,
                next,
                record.connection(self.grant).refresh,
            ),
        ];
        changes.extend(parts::reschedule(
            self.platform,
            &record,
            self.grant.refresh_schedule(),
            Some(self.begun),
            Some(next),
        )?);
        if error.is_about_client() {
            changes.extend(installation::raise(self.platform, &record, error, now)?);
        }
        self.platform.commit(vec![check], changes)?;
        self.platform.log(Level::Warning, &message);
        Ok(RefreshReport {
            grant: self.grant,
            outcome: RefreshOutcome::Retrying,
            connection: Connection::of(&record),
            message,
            tracking_id: error.tracking_id.clone(),
            joined: false,
        })
    }

    fn held_by(&self, record: &Record) -> Result<Option<Secret>, Failure> {
        self.platform
            .reveal(&record.reference(), self.grant.refresh_token())
    }
}

#[cfg(test)]
mod tests;
