//! How a call has ended: one sentence, how loudly it is logged, and how its customer stands.

use tracing::Level;

use super::{CallErrorKind, Fired};
use crate::reports::{Connection, ExpiryReport, RefreshOutcome, RefreshReport, State, WakeReport};
use crate::schedule::dispatcher::{ConnectionHealth, Effect, RunOutcome};
use crate::transactions::Status;
use crate::types::Failure;

/// The target of the log lines that tell how calls have ended.
const TARGET: &str = "relation_host::outcome";

/// How a transaction ends, in one sentence.
pub(super) struct Ending {
    pub(super) status: Status,
    pub(super) message: String,
    /// The name of the customer, if the call reports the name.
    pub(super) name: Option<String>,
    level: Level,
}

impl Ending {
    pub(super) fn success(message: String) -> Self {
        Self {
            status: Status::Success,
            message,
            name: None,
            level: Level::INFO,
        }
    }

    pub(super) fn fail(message: String) -> Self {
        Self {
            status: Status::Fail,
            level: Level::WARN,
            ..Self::success(message)
        }
    }

    /// The end of a call that got no answer, or a refusal.
    pub(super) fn error(kind: &CallErrorKind) -> Self {
        let level = match kind {
            CallErrorKind::Refused(Failure::Reauthorize(_)) => Level::ERROR,
            _ => Level::WARN,
        };
        Self {
            level,
            ..Self::fail(kind.to_string())
        }
    }

    pub(super) fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }

    /// Told as loudly as `level` at least.
    fn at_least(mut self, level: Level) -> Self {
        // The more severe a level is, the smaller it is.
        self.level = self.level.min(level);
        self
    }

    fn of_condition(self, condition: ConnectionHealth) -> Self {
        match condition {
            ConnectionHealth::Working => self,
            ConnectionHealth::Retrying => self.at_least(Level::WARN),
            ConnectionHealth::NeedsPerson => self.at_least(Level::ERROR),
        }
    }

    /// Whether the line would be written at all.
    pub(super) fn is_logged(&self) -> bool {
        match self.level {
            Level::ERROR => tracing::enabled!(target: TARGET, Level::ERROR),
            Level::WARN => tracing::enabled!(target: TARGET, Level::WARN),
            _ => tracing::enabled!(target: TARGET, Level::INFO),
        }
    }

    /// Writes the line.
    pub(super) fn log(&self, name: &str, pkid: &str, action: &str, transaction: &str) {
        let (status, message) = (self.status.as_str(), &self.message);
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET, $level,
                    // In quotes, because the name is foreign text.
                    customer = ?name, pkid, action, transaction, status, "{message}"
                )
            };
        }
        match self.level {
            Level::ERROR => line!(Level::ERROR),
            Level::WARN => line!(Level::WARN),
            _ => line!(Level::INFO),
        }
    }
}

/// A refresh that got no tokens is a transaction that failed, though the call did what it could.
pub(super) fn refresh_ending(report: &RefreshReport) -> Ending {
    let ending = match report.outcome {
        RefreshOutcome::Connected => Ending::success(report.message.clone()),
        _ => Ending::fail(report.message.clone()),
    };
    ending
        .of_condition(refresh_condition(report))
        .named(&report.connection.name)
}

pub(super) fn expiry_ending(report: &ExpiryReport) -> Ending {
    let name = &report.connection.name;
    let state = report.connection.state;
    let ending = Ending::success(match &report.alert {
        Some(alert) if alert.count > 1 => format!("{name} is {state}: {} again", alert.code),
        Some(alert) => format!("{name} is {state}: {}", alert.code),
        None => format!("{name} is {state}"),
    });
    let ending = match &report.alert {
        Some(_) => ending.at_least(Level::WARN),
        None => ending,
    };
    ending.of_condition(expiry_condition(report)).named(name)
}

pub(super) fn wake_ending(report: &WakeReport) -> Ending {
    match report {
        WakeReport::Refreshed(report) => refresh_ending(report),
        WakeReport::Checked(report) => expiry_ending(report),
        WakeReport::Synced(report) => Ending::success(report.message.clone()),
        WakeReport::Nothing(why) => Ending::success(format!("nothing to do: {why}")),
    }
}

impl Fired {
    /// Returns the outcome of a wakeup of this kind ([`crate::types::Wakeup::kind`]) for a dispatcher.
    pub fn ran(&self, wakeup: &str) -> RunOutcome {
        match self {
            Self::Busy(_) => RunOutcome::Busy,
            Self::Gone => RunOutcome::Gone,
            Self::Called(called) => match called.as_ref() {
                Ok(called) => RunOutcome::Done(effect(&called.value)),
                Err(error) => RunOutcome::Failed(failed_effect(wakeup, &error.kind)),
            },
        }
    }
}

fn effect(report: &WakeReport) -> Effect {
    match report {
        WakeReport::Refreshed(report) => Effect {
            refreshed: report.outcome == RefreshOutcome::Connected && !report.joined,
            condition: Some(refresh_condition(report)),
            imported: None,
        },
        WakeReport::Checked(report) => Effect {
            condition: Some(expiry_condition(report)),
            ..Effect::default()
        },
        WakeReport::Synced(_) => Effect {
            imported: Some(true),
            ..Effect::default()
        },
        WakeReport::Nothing(_) => Effect::default(),
    }
}

fn failed_effect(wakeup: &str, kind: &CallErrorKind) -> Effect {
    let is_import = wakeup == "sync";
    let condition = match kind {
        CallErrorKind::Refused(Failure::Reauthorize(_)) => Some(ConnectionHealth::NeedsPerson),
        CallErrorKind::Refused(Failure::NotFound(_)) => None,
        _ if is_import => None,
        _ => Some(ConnectionHealth::Retrying),
    };
    Effect {
        refreshed: false,
        condition,
        imported: is_import.then_some(false),
    }
}

fn refresh_condition(report: &RefreshReport) -> ConnectionHealth {
    let outcome = match report.outcome {
        RefreshOutcome::Connected => ConnectionHealth::Working,
        RefreshOutcome::Retrying => ConnectionHealth::Retrying,
        RefreshOutcome::Reauthorize | RefreshOutcome::Expired => ConnectionHealth::NeedsPerson,
    };
    outcome.max(condition(&report.connection))
}

fn expiry_condition(report: &ExpiryReport) -> ConnectionHealth {
    // The alert of no threshold is the critical one: the connection does not work any more.
    let alert = match &report.alert {
        Some(alert) if alert.threshold_ms == 0 => ConnectionHealth::NeedsPerson,
        _ => ConnectionHealth::Working,
    };
    alert.max(condition(&report.connection))
}

/// How a connection stands by the worst of its grants.
fn condition(connection: &Connection) -> ConnectionHealth {
    let grants = connection.grants.iter().map(|granted| granted.state);
    let states = std::iter::once(connection.state).chain(grants);
    let conditions = states.map(|state| match state {
        State::NotConnected | State::Connected | State::Expiring => ConnectionHealth::Working,
        State::Retrying => ConnectionHealth::Retrying,
        State::Expired | State::Reauthorize | State::MissingScope => ConnectionHealth::NeedsPerson,
    });
    conditions.max().unwrap_or(ConnectionHealth::Working)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::{Alert, Grant};
    use crate::types::{Pkid, Reference};

    fn connection(state: State) -> Connection {
        Connection {
            pkid: Pkid::random(),
            name: "Contoso".to_owned(),
            hierarchy: "sys.Contoso".parse().unwrap(),
            state,
            access_token_expires: None,
            refresh_token_expires: None,
            next_refresh: None,
            grants: Vec::new(),
            notes: String::new(),
        }
    }

    fn refreshed(outcome: RefreshOutcome, state: State) -> RefreshReport {
        RefreshReport {
            grant: Grant::Organization,
            outcome,
            connection: connection(state),
            message: "a message".to_owned(),
            tracking_id: None,
            joined: false,
        }
    }

    #[test]
    fn a_failure_warns_and_a_customer_that_needs_a_person_is_an_error() {
        use RefreshOutcome::{Connected, Expired, Reauthorize, Retrying};
        for (outcome, state, level, condition) in [
            (
                Connected,
                State::Connected,
                Level::INFO,
                ConnectionHealth::Working,
            ),
            (
                Connected,
                State::Expiring,
                Level::INFO,
                ConnectionHealth::Working,
            ),
            (
                Connected,
                State::MissingScope,
                Level::ERROR,
                ConnectionHealth::NeedsPerson,
            ),
            (
                Retrying,
                State::Retrying,
                Level::WARN,
                ConnectionHealth::Retrying,
            ),
            (
                Reauthorize,
                State::Reauthorize,
                Level::ERROR,
                ConnectionHealth::NeedsPerson,
            ),
            (
                Expired,
                State::Expired,
                Level::ERROR,
                ConnectionHealth::NeedsPerson,
            ),
        ] {
            let report = refreshed(outcome, state);
            let ending = refresh_ending(&report);
            assert_eq!(ending.level, level, "{outcome:?} {state}");
            assert_eq!(ending.name.as_deref(), Some("Contoso"));
            let effect = effect(&WakeReport::Refreshed(report));
            assert_eq!(effect.condition, Some(condition));
            assert_eq!(effect.refreshed, outcome == Connected);
        }
    }

    #[test]
    fn an_alert_warns_and_a_critical_one_is_an_error() {
        let report = |state, threshold| ExpiryReport {
            grant: Grant::Organization,
            connection: connection(state),
            access_token_remaining_ms: None,
            refresh_token_remaining_ms: None,
            alert: Option::map(threshold, |threshold| Alert {
                reference: Reference::record(Pkid::random()),
                grant: Grant::Organization,
                code: "WEBEX_REFRESH_TOKEN_EXPIRING".to_owned(),
                threshold_ms: threshold,
                count: 1,
            }),
            cleared: Vec::new(),
        };
        for (state, threshold, level) in [
            (State::Connected, None, Level::INFO),
            (State::NotConnected, None, Level::INFO),
            (State::Expiring, Some(86_400_000), Level::WARN),
            (State::Reauthorize, None, Level::ERROR),
            (State::Expired, Some(0), Level::ERROR),
            (State::Connected, Some(0), Level::ERROR),
        ] {
            let ending = expiry_ending(&report(state, threshold));
            assert_eq!(ending.level, level, "{state} {threshold:?}");
        }
    }

    #[test]
    fn a_grant_that_needs_a_person_counts_though_the_organization_works() {
        let mut report = refreshed(RefreshOutcome::Connected, State::Connected);
        report.connection.grants.push(crate::reports::GrantStatus {
            grant: Grant::WholesaleUsers,
            state: State::Reauthorize,
            access_token_expires: None,
            refresh_token_expires: None,
            next_refresh: None,
            scopes: Vec::new(),
            missing_scopes: Vec::new(),
        });
        assert_eq!(refresh_condition(&report), ConnectionHealth::NeedsPerson);
    }

    #[test]
    fn a_call_that_failed_is_a_retry_and_an_import_is_told_apart() {
        let unavailable = CallErrorKind::Refused(Failure::Unavailable("down".to_owned()));
        let refused = CallErrorKind::Refused(Failure::Reauthorize("no scope".to_owned()));
        let failed = failed_effect("refresh", &unavailable);
        assert_eq!(failed.condition, Some(ConnectionHealth::Retrying));
        assert_eq!(failed.imported, None);
        let failed = failed_effect("sync", &unavailable);
        assert_eq!((failed.condition, failed.imported), (None, Some(false)));
        let failed = failed_effect("sync", &refused);
        assert_eq!(failed.condition, Some(ConnectionHealth::NeedsPerson));
        assert_eq!(Ending::error(&unavailable).level, Level::WARN);
        assert_eq!(Ending::error(&refused).level, Level::ERROR);
    }
}
