//! Looks at both expiries: states, and one alert per threshold and refresh-token generation.

use crate::alerts::{Notice, Severity, Standing, code};
use crate::ending::{Ending, end};
use crate::grant::Grant;
use crate::model::derived;
use crate::parts::{self, EXPIRY_SCHEDULE};
use crate::platform::{Change, Failure, Level, Platform, Timestamp};
use crate::record::{Expiry, Record, State};
use crate::reports::{self, Connection, ExpiryReport};
use crate::scopes;
use crate::settings::Settings;
use crate::timing::{self, SOONEST};
use crate::tokens::{expiry_wakeup, refresh_wakeup, state_of};

/// Looks at the expiries of `pkid` now. Asks nothing of Webex.
///
/// The smallest threshold crossed is the one that is told; found again, its alert's count rises.
/// At the expiry itself the connection ends, unless nobody ever said when that is: then Webex is
/// asked, by a refresh that is due at once.
///
/// # Errors
/// `not-found`, `conflict`, `unavailable` of the storage.
pub fn check_expiry<P: Platform + ?Sized>(
    platform: &P,
    pkid: &str,
) -> Result<ExpiryReport, Failure> {
    let mut record = Record::load(platform, pkid)?;
    let settings = Settings::load(platform)?;
    let now = platform.now();
    let check = record.unchanged();
    let alerts = Standing::of(platform, &record)?;

    let found = match record.body.connection.refresh {
        Some(refresh) => look(platform, &mut record, refresh, &alerts, &settings, now)?,
        None => Found {
            changes: vec![Change::Cancel(
                record.reference(),
                Grant::Organization.expiry_wakeup().to_owned(),
            )],
            alert: None,
        },
    };
    let cleared = alerts.ended(&record);
    let mut changes = vec![Change::Put(record.to_document()?)];
    changes.extend(found.changes);
    changes.extend(cleared.iter().cloned().map(Change::Delete));
    platform.commit(vec![check], changes)?;

    let connection = &record.body.connection;
    let left = |expiry: Option<Expiry>| expiry.map(|expiry| timing::left(expiry.at, now));
    Ok(ExpiryReport {
        grant: Grant::Organization,
        access_token_left: left(connection.access),
        refresh_token_left: left(connection.refresh),
        alert: found
            .alert
            .or_else(|| alerts.foremost(&record))
            .filter(|alert| !cleared.contains(&alert.reference)),
        connection: Connection::of(&record),
        cleared,
    })
}

struct Found {
    changes: Vec<Change>,
    alert: Option<reports::Alert>,
}

fn look<P: Platform + ?Sized>(
    platform: &P,
    record: &mut Record,
    refresh: Expiry,
    alerts: &Standing,
    settings: &Settings,
    now: Timestamp,
) -> Result<Found, Failure> {
    if refresh.at <= now && !refresh.assumed {
        let ended = end(
            platform,
            record,
            Ending::Expired(None),
            alerts,
            settings,
            now,
        )?;
        return Ok(Found {
            changes: ended.changes,
            alert: ended.alert,
        });
    }
    let thresholds = timing::thresholds_within(&settings.thresholds, refresh.life);
    let next = match record.body.connection.state {
        // A person is needed already; the only thing still to come is the expiry.
        State::Reauthorize => Some(refresh.at).filter(|at| *at > now),
        State::NotConnected | State::Expired => None,
        State::Connected | State::Expiring | State::MissingScope | State::Retrying => {
            return approach(
                platform,
                record,
                refresh,
                &thresholds,
                alerts,
                settings,
                now,
            );
        }
    };
    Ok(Found {
        changes: next_look(platform, record, now, next)?,
        alert: None,
    })
}

/// The expiry is ahead, or only assumed to have passed.
fn approach<P: Platform + ?Sized>(
    platform: &P,
    record: &mut Record,
    refresh: Expiry,
    thresholds: &[u64],
    alerts: &Standing,
    settings: &Settings,
    now: Timestamp,
) -> Result<Found, Failure> {
    let state = record.body.connection.state;
    let required = scopes::required(record, Grant::Organization, settings);
    let connection = &mut record.body.connection;
    connection.missing_scopes = scopes::missing(&required, &connection.scopes);
    if matches!(
        state,
        State::Connected | State::Expiring | State::MissingScope
    ) {
        connection.state = state_of(refresh, thresholds, &connection.missing_scopes, now);
    }
    let mut changes = Vec::new();
    let mut alert = None;
    let last = thresholds.iter().copied().min();
    let crossed = match timing::crossed(thresholds, refresh.at, now) {
        Some(0) => last,
        crossed => crossed,
    };
    if let Some(threshold) = crossed.filter(|_| settings.notify) {
        let notice = Notice {
            code: code::EXPIRING,
            severity: Severity::of(threshold, thresholds),
            message: expiring(record, refresh),
            threshold,
        };
        let (raised, change) = alerts.raise(record, &notice, now, platform)?;
        if raised.count == 1 {
            platform.log(Level::Warning, &notice.message);
        }
        alert = Some(raised);
        changes.push(change);
    }
    let next = timing::next_crossing(thresholds, refresh.at, now);
    if next.is_none() && state != State::Retrying {
        let soonest = now.saturating_add(SOONEST);
        record.body.connection.next_refresh = Some(soonest);
        changes.push(refresh_wakeup(
            &record.reference(),
            Grant::Organization,
            soonest,
            Some(refresh),
        ));
    }
    changes.extend(next_look(platform, record, now, next)?);
    Ok(Found { changes, alert })
}

/// The changes that make `next` the next look, and bring the schedule up to date.
fn next_look<P: Platform + ?Sized>(
    platform: &P,
    record: &Record,
    now: Timestamp,
    next: Option<Timestamp>,
) -> Result<Vec<Change>, Failure> {
    let owner = record.reference();
    let mut changes = vec![match next {
        Some(due) => expiry_wakeup(&owner, Grant::Organization, due),
        None => Change::Cancel(owner, Grant::Organization.expiry_wakeup().to_owned()),
    }];
    changes.extend(parts::reschedule(
        platform,
        record,
        EXPIRY_SCHEDULE,
        Some(now),
        next,
    )?);
    Ok(changes)
}

fn expiring(record: &Record, refresh: Expiry) -> String {
    let (name, at) = (record.name(), derived::date_time(refresh.at));
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
