//! Checks both expiries: sets states, and raises one alert per threshold and refresh-token generation.

use crate::alerts::{ActiveAlerts, Notice, Severity, code};
use crate::disconnect::{Disconnection, disconnect};
use crate::grant::Grant;
use crate::model::derived;
use crate::owned_documents;
use crate::platform::{Change, Failure, Level, Millis, Platform, UnixMillis};
use crate::record::{Expiry, Record, State};
use crate::reports::{self, ConnectionReport, ExpiryReport};
use crate::scopes;
use crate::settings::Settings;
use crate::timing::{self, MIN_DELAY};
use crate::tokens::{derive_state, expiry_wakeup, refresh_wakeup};

/// Checks the expiries and scopes of `grant` of `pkid` now. Sends nothing to Webex.
///
/// An alert is raised for the smallest threshold crossed; its count rises with each further check.
/// At the expiry itself, a connection ends only if Webex has refused its refresh token. Otherwise a
/// refresh that asks Webex is due immediately: a clock alone ends no connection.
///
/// # Errors
/// `not-found`; `invalid` (field `grant`); `conflict` and `unavailable` from the storage.
pub fn check_expiry(
    platform: &dyn Platform,
    pkid: &str,
    grant: Grant,
) -> Result<ExpiryReport, Failure> {
    check_record(platform, Record::load(platform, pkid)?, grant)
}

/// Works like [`check_expiry`] on a record that was just read.
pub(super) fn check_record(
    platform: &dyn Platform,
    mut record: Record,
    grant: Grant,
) -> Result<ExpiryReport, Failure> {
    record.require_grant(grant)?;
    record.note_interruption(platform);
    let settings = Settings::load(platform)?;
    let now = platform.now();
    let unchanged = record.version_check();
    let alerts = ActiveAlerts::load(platform, &record)?;

    let outcome = match record.grant_state(grant).refresh {
        Some(refresh) => {
            let check = ExpiryCheck {
                platform,
                grant,
                refresh,
                alerts: &alerts,
                settings: &settings,
                now,
            };
            check.run(&mut record)?
        }
        None => CheckOutcome {
            changes: vec![Change::Cancel(
                record.reference(),
                grant.expiry_wakeup().to_owned(),
            )],
            alert: None,
        },
    };
    let cleared = alerts.find_resolved(&record, now);
    let mut changes = vec![Change::Put(record.to_document()?)];
    changes.extend(outcome.changes);
    changes.extend(cleared.iter().cloned().map(Change::Delete));
    platform.commit(vec![unchanged], changes)?;

    let connection = record.grant_state(grant);
    let remaining = |expiry: Option<Expiry>| expiry.map(|expiry| (expiry.at - now).0);
    Ok(ExpiryReport {
        grant,
        access_token_remaining_ms: remaining(connection.access),
        refresh_token_remaining_ms: remaining(connection.refresh),
        alert: outcome
            .alert
            .or_else(|| alerts.most_urgent(&record, grant))
            .filter(|alert| !cleared.contains(&alert.reference)),
        connection: ConnectionReport::from_record(&record),
        cleared,
    })
}

struct CheckOutcome {
    changes: Vec<Change>,
    alert: Option<reports::Alert>,
}

/// A check of the expiries of a grant that has tokens.
struct ExpiryCheck<'a> {
    platform: &'a dyn Platform,
    grant: Grant,
    refresh: Expiry,
    alerts: &'a ActiveAlerts,
    settings: &'a Settings,
    now: UnixMillis,
}

impl ExpiryCheck<'_> {
    fn run(&self, record: &mut Record) -> Result<CheckOutcome, Failure> {
        let (refresh, now) = (self.refresh, self.now);
        let connection = record.grant_state(self.grant);
        if refresh.at <= now && !refresh.assumed && connection.is_refused() {
            let disconnection = disconnect(
                self.platform,
                record,
                self.grant,
                Disconnection::Expired(None),
                self.alerts,
                self.settings,
                now,
            )?;
            return Ok(CheckOutcome {
                changes: disconnection.changes,
                alert: disconnection.alert,
            });
        }
        let thresholds = timing::thresholds_within(&self.settings.thresholds, refresh.lifetime);
        let next = match connection.state {
            // A person must act already; only the expiry is still to come.
            State::Reauthorize => Some(refresh.at).filter(|at| *at > now),
            State::Expired if connection.is_refused() => None,
            State::NotConnected => None,
            State::Connected
            | State::Expiring
            | State::Expired
            | State::MissingScope
            | State::Retrying => {
                return self.check_thresholds(record, &thresholds);
            }
        };
        Ok(CheckOutcome {
            changes: self.schedule_next_check(record, next)?,
            alert: None,
        })
    }

    /// Checks the thresholds while the expiry is ahead, or only the clock says that it has passed.
    fn check_thresholds(
        &self,
        record: &mut Record,
        thresholds: &[Millis],
    ) -> Result<CheckOutcome, Failure> {
        let (refresh, now) = (self.refresh, self.now);
        let state = record.grant_state(self.grant).state;
        let required = scopes::required(record, self.grant, self.settings);
        let connection = record.grant_state_mut(self.grant);
        connection.missing_scopes = scopes::missing(&required, &connection.scopes);
        if matches!(
            state,
            State::Connected | State::Expiring | State::MissingScope
        ) {
            connection.state = derive_state(refresh, thresholds, &connection.missing_scopes, now);
        }
        let mut changes = Vec::new();
        let grant = self.grant;
        let missing = self
            .alerts
            .raise_missing_scope(self.platform, record, grant, now)?;
        changes.extend(missing);
        let mut alert = None;
        let last = thresholds.iter().copied().min();
        let crossed = match timing::crossed_threshold(thresholds, refresh.at, now) {
            // The last threshold has its alert already; a response of Webex decides what follows.
            Some(Millis::ZERO) => {
                last.filter(|last| !self.alerts.has_threshold_alert(record, self.grant, *last))
            }
            crossed => crossed,
        };
        if let Some(threshold) = crossed.filter(|_| self.settings.notify) {
            let notice = Notice {
                code: code::EXPIRING,
                severity: Severity::for_threshold(threshold, thresholds),
                message: format_expiry_message(record, self.grant, refresh, now),
                threshold,
            };
            let (raised, change) =
                self.alerts
                    .raise(record, self.grant, &notice, now, self.platform)?;
            if raised.count == 1 {
                self.platform.log(Level::Warning, &notice.message);
            }
            alert = Some(raised);
            changes.push(change);
        }
        let next = timing::next_crossing(thresholds, refresh.at, now);
        let ask = next.is_none()
            || state == State::Expired
            || record.grant_state(self.grant).has_future_times(now);
        if ask && state != State::Retrying {
            let soonest = now + MIN_DELAY;
            record.grant_state_mut(self.grant).next_refresh = Some(soonest);
            changes.push(refresh_wakeup(
                &record.reference(),
                self.grant,
                soonest,
                Some(refresh),
            ));
            changes.extend(owned_documents::reschedule(
                self.platform,
                record,
                self.grant.refresh_schedule(),
                None,
                Some(soonest),
            )?);
        }
        changes.extend(self.schedule_next_check(record, next)?);
        Ok(CheckOutcome { changes, alert })
    }

    /// Returns the changes that schedule the next check at `next` and update the schedule document.
    fn schedule_next_check(
        &self,
        record: &Record,
        next: Option<UnixMillis>,
    ) -> Result<Vec<Change>, Failure> {
        let grant = self.grant;
        let owner = record.reference();
        let mut changes = vec![match next {
            Some(due) => expiry_wakeup(&owner, grant, due),
            None => Change::Cancel(owner, grant.expiry_wakeup().to_owned()),
        }];
        changes.extend(owned_documents::reschedule(
            self.platform,
            record,
            grant.expiry_schedule(),
            Some(self.now),
            next,
        )?);
        Ok(changes)
    }
}

fn format_expiry_message(
    record: &Record,
    grant: Grant,
    refresh: Expiry,
    now: UnixMillis,
) -> String {
    let (name, at) = (
        record.display_name(grant),
        derived::format_timestamp(refresh.at),
    );
    if refresh.at <= now {
        return format!(
            "the refresh token of {name} should have expired on {at}: Webex is asked whether it has"
        );
    }
    let verb = if refresh.assumed {
        "is assumed to expire"
    } else {
        "expires"
    };
    format!("the refresh token of {name} {verb} on {at}: connect this customer again before that")
}

#[cfg(test)]
#[path = "expiry_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "expiry_properties.rs"]
mod properties;
