//! Refreshes the access token.
//!
//! One request, one commit. A passing fault leaves the tokens as they are; only a refusal, of a
//! token that is still the stored one, ends the connection; an answer is not given up because
//! something else about the record changed while Webex was asked.

mod keep;

use crate::alerts::Standing;
use crate::ending::{Ending, end};
use crate::grant::Grant;
use crate::model::derived;
use crate::parts::{self, EXPIRY_SCHEDULE, REFRESH_SCHEDULE, Stored};
use crate::platform::{Change, Failure, Level, Platform, Reference, Secret, Timestamp};
use crate::record::{Record, Retry, State, secret};
use crate::reports::{Connection, RefreshOutcome, RefreshReport};
use crate::settings::{ClientCredentials, Settings};
use crate::timing::{self, ROUNDING, Spread};
use crate::tokens::refresh_wakeup;
use crate::webex::answer::TokenAnswer;
use crate::webex::client::{Proxies, Webex};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::oauth;

/// How far the clocks of two hosts may be apart, in milliseconds.
const CLOCKS_APART: u64 = 60_000;

/// One refresh while it runs.
struct Attempt<'a, P: ?Sized> {
    platform: &'a P,
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
    fn read<P: Platform + ?Sized>(platform: &P, record: &Record) -> Result<Self, Failure> {
        Ok(Self {
            alerts: Standing::of(platform, record)?,
            refresh_schedule: Stored::read(platform, record, REFRESH_SCHEDULE)?,
            expiry_schedule: Stored::read(platform, record, EXPIRY_SCHEDULE)?,
        })
    }
}

/// Refreshes the access token of `pkid` now, whatever its schedule or backoff says, unless an
/// attempt that began at or after `requested_at` has answered the caller already.
///
/// # Errors
/// `not-found`; `conflict` when the record changed so that the answer does not fit any more, or
/// the lease was lost; `reauthorize` when the record has no refresh token; `unavailable` of the
/// storage. What Webex answers is an outcome.
pub fn refresh<P: Platform + ?Sized>(
    platform: &P,
    pkid: &str,
    requested_at: Timestamp,
) -> Result<RefreshReport, Failure> {
    let record = Record::load(platform, pkid)?;
    if let Some(report) = joined(&record, requested_at, platform.now()) {
        return Ok(report);
    }
    let settings = Settings::load(platform)?;
    let Some(refresh_token) = platform.reveal(&record.reference(), secret::REFRESH_TOKEN)? else {
        return Err(Failure::Reauthorize(format!(
            "{} has no refresh token: connect this customer to Webex",
            record.name()
        )));
    };
    let attempt = Attempt {
        platform,
        proxies: Proxies::of(&record, platform)?,
        settings,
        owner: record.reference(),
        refresh_token,
        begun: platform.now(),
    };
    if is_over(&record, attempt.begun) {
        return attempt.expire(record);
    }
    let around = Surroundings::read(platform, &record)?;
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
fn joined(record: &Record, requested_at: Timestamp, now: Timestamp) -> Option<RefreshReport> {
    let connection = &record.body.connection;
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
        grant: Grant::Organization,
        outcome,
        connection: Connection::of(record),
        message,
        tracking_id: said.and_then(|said| said.tracking_id.clone()),
        joined: true,
    })
}

/// Whether the refresh token's time is known to be over. An expiry that is only assumed is no
/// reason not to ask.
fn is_over(record: &Record, now: Timestamp) -> bool {
    record
        .body
        .connection
        .refresh
        .is_some_and(|refresh| refresh.at <= now && !refresh.assumed)
}

impl<P: Platform + ?Sized> Attempt<'_, P> {
    /// Asks Webex. What keeps the request from being made is the operator's matter and, like an
    /// answer, recorded: the outer result fails only when the platform does.
    fn ask(&self) -> Result<Result<TokenAnswer, WebexError>, Failure> {
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
                    let held = self.platform.reveal(&self.owner, secret::ACCESS_TOKEN);
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
                fresh.name()
            )));
        }
        let said = Retry {
            attempts: 1,
            reason: error.reason(),
            tracking_id: error.tracking_id.clone(),
        };
        // Webex's own clock decides, and ours may be a moment behind it.
        let moment = self.platform.now().saturating_add(ROUNDING);
        let over = fresh
            .body
            .connection
            .refresh
            .is_some_and(|refresh| refresh.at <= moment);
        let (outcome, ending) = if over {
            (RefreshOutcome::Expired, Ending::Expired(Some(said)))
        } else {
            (RefreshOutcome::Reauthorize, Ending::Refused(said))
        };
        let message = format!("{}; {}", error.reason(), error.advice());
        self.finish(fresh, outcome, ending, message, error.tracking_id.clone())
    }

    /// Ends the connection because the refresh token's time is over; nothing was asked.
    fn expire(&self, record: Record) -> Result<RefreshReport, Failure> {
        let message = derived::notes(&crate::record::Connection {
            state: State::Expired,
            ..record.body.connection.clone()
        });
        if record.body.connection.state == State::Expired {
            return Ok(RefreshReport {
                grant: Grant::Organization,
                outcome: RefreshOutcome::Expired,
                connection: Connection::of(&record),
                message,
                tracking_id: None,
                joined: false,
            });
        }
        let ending = Ending::Expired(None);
        self.finish(record, RefreshOutcome::Expired, ending, message, None)
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
        let asked = !matches!(ending, Ending::Expired(None));
        let alerts = Standing::of(self.platform, &record)?;
        let now = self.platform.now();
        let ended = end(
            self.platform,
            &mut record,
            ending,
            &alerts,
            &self.settings,
            now,
        )?;
        if asked {
            record.body.connection.attempted = Some(self.begun);
        }
        let mut changes = vec![Change::Put(record.to_document()?)];
        changes.extend(ended.changes);
        self.platform.commit(vec![check], changes)?;
        self.platform.log(Level::Warning, &message);
        Ok(RefreshReport {
            grant: Grant::Organization,
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
        let now = self.platform.now();
        let connection = &mut record.body.connection;
        let attempts = connection
            .retry
            .as_ref()
            .map_or(0, |retry| retry.attempts)
            .saturating_add(1);
        // An assumed end that has passed was wrong, or Webex will say so.
        let left = connection
            .refresh
            .map(|refresh| (refresh.assumed, timing::left(refresh.at, now)))
            .filter(|(assumed, left)| !assumed || *left > 0)
            .map(|(_, left)| left);
        let pause = timing::backoff(
            attempts,
            left,
            self.settings.refresh.jitter,
            Spread::of(&record.pkid),
        );
        let next = timing::retry_at(now, pause, error.retry_after);
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
        connection.next_refresh = Some(next);
        connection.refusal = None;
        connection.retry = Some(Retry {
            attempts,
            reason,
            tracking_id: error.tracking_id.clone(),
        });
        let mut changes = vec![
            Change::Put(record.to_document()?),
            refresh_wakeup(
                &record.reference(),
                Grant::Organization,
                next,
                record.body.connection.refresh,
            ),
        ];
        changes.extend(parts::reschedule(
            self.platform,
            &record,
            REFRESH_SCHEDULE,
            Some(self.begun),
            Some(next),
        )?);
        self.platform.commit(vec![check], changes)?;
        self.platform.log(Level::Warning, &message);
        Ok(RefreshReport {
            grant: Grant::Organization,
            outcome: RefreshOutcome::Retrying,
            connection: Connection::of(&record),
            message,
            tracking_id: error.tracking_id.clone(),
            joined: false,
        })
    }

    fn held_by(&self, record: &Record) -> Result<Option<Secret>, Failure> {
        self.platform
            .reveal(&record.reference(), secret::REFRESH_TOKEN)
    }
}

#[cfg(test)]
mod tests;
