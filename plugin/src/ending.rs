//! What it means for a record that its connection has ended and only a person can go on.

use crate::alerts::{Notice, Severity, Standing, code};
use crate::grant::Grant;
use crate::installation;
use crate::model::derived;
use crate::parts;
use crate::platform::{Change, Failure, Platform, Timestamp};
use crate::record::{Record, Retry, State};
use crate::reports;
use crate::settings::Settings;
use crate::tokens::expiry_wakeup;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The refresh token's time is over; what Webex said, when it was asked.
    Expired(Option<Retry>),
    /// Webex refused the refresh token before its time.
    Refused(Retry),
}

/// What a record whose connection ended needs besides being stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// To be committed with the record.
    pub changes: Vec<Change>,
    /// The alert that tells it.
    pub alert: Option<reports::Alert>,
}

/// Ends `grant` of `record`: its state, no more refreshes, schedules at rest, an alert.
/// The tokens stay sealed: the access token works until its own expiry.
///
/// A refused connection still gets its look at the refresh token's expiry, so that its state
/// tells the truth afterwards.
///
/// # Errors
/// Those of the storage.
pub fn end<P: Platform + ?Sized>(
    platform: &P,
    record: &mut Record,
    grant: Grant,
    ending: Ending,
    alerts: &Standing,
    settings: &Settings,
    now: Timestamp,
) -> Result<Ended, Failure> {
    let notice = notice(record, grant, &ending);
    let connection = record.connection_mut(grant);
    let told = settings.notify || notice.code == code::REAUTHORIZE;
    let next_check = match ending {
        Ending::Expired(said) => {
            connection.state = State::Expired;
            connection.refusal = said.or_else(|| connection.refusal.take());
            None
        }
        Ending::Refused(said) => {
            connection.state = State::Reauthorize;
            connection.refusal = Some(said);
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
        changes.extend(parts::reschedule(platform, record, role, Some(now), next)?);
    }
    if client_failed {
        // Webex has judged the token, so it accepts the integration.
        changes.push(installation::recover());
    }
    let mut alert = None;
    if told {
        let (raised, change) = alerts.raise(record, grant, &notice, now, platform)?;
        alert = Some(raised);
        changes.push(change);
    }
    Ok(Ended { changes, alert })
}

fn notice(record: &Record, grant: Grant, ending: &Ending) -> Notice {
    let name = record.called(grant);
    let connection = record.connection(grant);
    let (code, mut message) = match ending {
        Ending::Refused(_) => (
            code::REAUTHORIZE,
            format!("Webex refused the refresh token of {name}: connect this customer again"),
        ),
        Ending::Expired(_) => {
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
    let said = match ending {
        Ending::Refused(said) | Ending::Expired(Some(said)) => Some(said),
        Ending::Expired(None) => connection.retry.as_ref(),
    };
    if let Some(said) = said {
        message.push_str(&format!(" (last attempt: {}", said.reason));
        if let Some(tracking_id) = &said.tracking_id {
            message.push_str(&format!("; tracking id {tracking_id}"));
        }
        message.push(')');
    }
    Notice {
        code,
        severity: Severity::Critical,
        message,
        threshold: 0,
    }
}
