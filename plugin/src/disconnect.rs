//! Marks a record as disconnected; only a person can reconnect it.

use crate::alerts::{ActiveAlerts, Notice, Severity, code};
use crate::grant::Grant;
use crate::installation_alert;
use crate::model::derived;
use crate::owned_documents;
use crate::platform::{Change, Failure, Millis, Platform, UnixMillis};
use crate::record::{Record, Retry, State};
use crate::reports;
use crate::settings::Settings;
use crate::tokens::expiry_wakeup;
use crate::workflows::sync;

/// The reason why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disconnection {
    /// The refresh token has expired; the value is Webex's refusal, if Webex was asked.
    Expired(Option<Retry>),
    /// Webex refused the refresh token before its expiry.
    Refused(Retry),
}

/// The changes and the alert that belong to a disconnection.
#[derive(Clone, Debug, PartialEq)]
pub struct DisconnectChanges {
    /// Changes to commit with the record.
    pub changes: Vec<Change>,
    /// The raised alert.
    pub alert: Option<reports::Alert>,
}

/// Disconnects `grant` of `record`: sets its state, cancels refreshes and imports, stops its schedules
/// and raises an alert. The tokens stay sealed: the access token works until its own expiry.
///
/// A refused connection keeps its expiry check, so that its state becomes `expired` when the
/// refresh token expires.
///
/// # Errors
/// Storage errors.
pub fn disconnect(
    platform: &dyn Platform,
    record: &mut Record,
    grant: Grant,
    disconnection: Disconnection,
    alerts: &ActiveAlerts,
    settings: &Settings,
    now: UnixMillis,
) -> Result<DisconnectChanges, Failure> {
    let notice = build_notice(record, grant, &disconnection);
    let connection = record.grant_state_mut(grant);
    let is_notified = settings.notify || notice.code == code::REAUTHORIZE;
    let next_check = match disconnection {
        Disconnection::Expired(attempt) => {
            connection.state = State::Expired;
            connection.refusal = attempt.or_else(|| connection.refusal.take());
            None
        }
        Disconnection::Refused(attempt) => {
            connection.state = State::Reauthorize;
            connection.refusal = Some(attempt);
            connection
                .refresh
                .map(|refresh| refresh.at)
                .filter(|at| *at > now)
        }
    };
    let client_failed = connection.retry.take().is_some_and(|retry| retry.client);
    connection.next_refresh = None;

    let owner = record.reference();
    let mut changes = vec![
        Change::Cancel(owner.clone(), grant.refresh_wakeup().to_owned()),
        match next_check {
            Some(due) => expiry_wakeup(&owner, grant, due),
            None => Change::Cancel(owner, grant.expiry_wakeup().to_owned()),
        },
    ];
    for (role, next) in [
        (grant.refresh_schedule(), None),
        (grant.expiry_schedule(), next_check),
    ] {
        changes.extend(owned_documents::reschedule(
            platform,
            record,
            role,
            Some(now),
            next,
        )?);
    }
    if client_failed {
        // Webex has evaluated the token, so it accepts the integration.
        changes.push(installation_alert::clear());
    }
    if grant == Grant::Organization {
        // A waiting import would send the refused token again; the next consent begins another one.
        let waiting = platform.wakeups(&record.reference())?.into_iter();
        let imports = waiting.filter(|wakeup| sync::from_wakeup(wakeup).is_some());
        changes.extend(imports.map(|import| Change::Cancel(record.reference(), import.id)));
    }
    let mut alert = None;
    if is_notified {
        let (raised, change) = alerts.raise(record, grant, &notice, now, platform)?;
        alert = Some(raised);
        changes.push(change);
    }
    Ok(DisconnectChanges { changes, alert })
}

fn build_notice(record: &Record, grant: Grant, disconnection: &Disconnection) -> Notice {
    let name = record.display_name(grant);
    let connection = record.grant_state(grant);
    let (code, mut message) = match disconnection {
        Disconnection::Refused(_) => (
            code::REAUTHORIZE,
            format!("Webex refused the refresh token of {name}: connect this customer again"),
        ),
        Disconnection::Expired(_) => {
            let when = connection
                .refresh
                .map(|refresh| format!(" on {}", derived::format_timestamp(refresh.at)))
                .unwrap_or_default();
            (
                code::EXPIRED,
                format!(
                    "the refresh token of {name} has expired{when}: connect this customer again"
                ),
            )
        }
    };
    let attempt = match disconnection {
        Disconnection::Refused(attempt) | Disconnection::Expired(Some(attempt)) => Some(attempt),
        Disconnection::Expired(None) => connection.retry.as_ref(),
    };
    if let Some(attempt) = attempt {
        message.push_str(&format!(" (last attempt: {}", attempt.reason));
        if let Some(tracking_id) = &attempt.tracking_id {
            message.push_str(&format!("; tracking id {tracking_id}"));
        }
        message.push(')');
    }
    Notice {
        code,
        severity: Severity::Critical,
        message,
        threshold: Millis::ZERO,
    }
}
