//! The outcome of a call: a message, a log level, and the health of the customer's connection.

use serde_json::Value;
use tracing::Level;

use super::{CallError, CallErrorKind, CallOutput};
use crate::reports::{
    ConnectionReport, ExpiryReport, RefreshOutcome, RefreshReport, State, SyncReport, WakeReport,
};
use crate::schedule::{ConnectionHealth, WakeupEffect};
use crate::transactions::Status;
use crate::types::Failure;
use crate::wakeup_kinds;

/// The log target of call outcomes.
const TARGET: &str = "relation_host::outcome";

/// The outcome of a transaction, in one sentence.
pub(super) struct CallSummary {
    pub(super) status: Status,
    pub(super) message: String,
    /// The customer's name, if the call reports the name.
    pub(super) name: Option<String>,
    level: Level,
}

impl CallSummary {
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

    /// Summarizes a call that failed or was refused.
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

    pub(super) fn with_name(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }

    /// Raises the log level to at least `level`.
    fn at_least(mut self, level: Level) -> Self {
        // More severe levels compare as smaller.
        self.level = self.level.min(level);
        self
    }

    fn with_health(self, health: ConnectionHealth) -> Self {
        match health {
            ConnectionHealth::Working => self,
            ConnectionHealth::Retrying | ConnectionHealth::NeedsOperator => {
                self.at_least(Level::WARN)
            }
            ConnectionHealth::NeedsPerson => self.at_least(Level::ERROR),
        }
    }

    /// Returns whether the log line is enabled.
    pub(super) fn is_logged(&self) -> bool {
        match self.level {
            Level::ERROR => tracing::enabled!(target: TARGET, Level::ERROR),
            Level::WARN => tracing::enabled!(target: TARGET, Level::WARN),
            _ => tracing::enabled!(target: TARGET, Level::INFO),
        }
    }

    /// Writes the log line.
    pub(super) fn log(&self, name: &str, pkid: &str, action: &str, transaction: &str) {
        let (status, message) = (self.status.as_str(), &self.message);
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET, $level,
                    // Quoted, because the name comes from outside.
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

/// Summarizes a refresh. One without new tokens is a failed transaction, even if the call itself worked.
pub(super) fn summarize_refresh(report: &RefreshReport) -> CallSummary {
    let message = report.message.clone();
    let summary = match report.is_connected() {
        true => CallSummary::success(message),
        false => CallSummary::fail(message),
    };
    summary
        .with_health(refresh_health(report))
        .with_name(&report.connection.name)
}

pub(super) fn summarize_expiry(report: &ExpiryReport) -> CallSummary {
    let name = &report.connection.name;
    let state = report.connection.state;
    let summary = CallSummary::success(match &report.alert {
        Some(alert) if alert.count > 1 => format!("{name} is {state}: {} again", alert.code),
        Some(alert) => format!("{name} is {state}: {}", alert.code),
        None => format!("{name} is {state}"),
    });
    let summary = match &report.alert {
        Some(_) => summary.at_least(Level::WARN),
        None => summary,
    };
    summary.with_health(expiry_health(report)).with_name(name)
}

/// Summarizes an import. If a list could not be read, the others are stored.
pub(super) fn summarize_sync(report: &SyncReport) -> CallSummary {
    let summary = CallSummary::success(report.message.clone());
    match report.is_complete() {
        true => summary,
        false => CallSummary {
            status: Status::SuccessWithAsyncFailures,
            level: Level::WARN,
            ..summary
        },
    }
}

pub(super) fn summarize_wakeup(report: &WakeReport) -> CallSummary {
    match report {
        WakeReport::Refreshed(report) => summarize_refresh(report),
        WakeReport::Checked(report) => summarize_expiry(report),
        WakeReport::Synced(report) => summarize_sync(report),
        WakeReport::Nothing(why) => CallSummary::success(format!("nothing to do: {why}")),
    }
}

impl WakeupEffect {
    /// Returns the effect of a call for a wakeup of this kind ([`crate::types::Wakeup::kind`]).
    pub(crate) fn new(kind: &str, result: &Result<CallOutput<WakeReport>, CallError>) -> Self {
        match result {
            Ok(output) => effect(kind, &output.value),
            Err(error) => failed_effect(kind, &error.kind),
        }
    }
}

fn effect(kind: &str, report: &WakeReport) -> WakeupEffect {
    match report {
        WakeReport::Refreshed(report) => WakeupEffect {
            refreshed: report.is_connected() && !report.joined,
            health: Some(refresh_health(report)),
            imported: None,
        },
        WakeReport::Checked(report) => WakeupEffect {
            health: Some(expiry_health(report)),
            ..WakeupEffect::default()
        },
        WakeReport::Synced(_) => WakeupEffect {
            // The order of a wholesale customer reports the import of that customer.
            imported: (kind == wakeup_kinds::SYNC).then_some(true),
            ..WakeupEffect::default()
        },
        WakeReport::Nothing(_) => WakeupEffect::default(),
    }
}

fn failed_effect(wakeup: &str, kind: &CallErrorKind) -> WakeupEffect {
    let is_import = wakeup == wakeup_kinds::SYNC;
    let is_schedule = wakeup == wakeup_kinds::SCHEDULE;
    let health = match kind {
        CallErrorKind::Refused(Failure::Reauthorize(_)) => Some(ConnectionHealth::NeedsPerson),
        CallErrorKind::Refused(Failure::LimitExceeded(_)) => Some(ConnectionHealth::NeedsOperator),
        CallErrorKind::Refused(Failure::NotFound(_)) => None,
        // The subject is not a connection.
        _ if wakeup == wakeup_kinds::QUEUED_CALL => None,
        _ if is_import || is_schedule || wakeup == wakeup_kinds::WHOLESALE => None,
        _ => Some(ConnectionHealth::Retrying),
    };
    WakeupEffect {
        refreshed: false,
        health,
        imported: is_import.then_some(false),
    }
}

fn refresh_health(report: &RefreshReport) -> ConnectionHealth {
    let outcome = match report.outcome {
        RefreshOutcome::Connected => ConnectionHealth::Working,
        RefreshOutcome::Retrying => ConnectionHealth::Retrying,
        RefreshOutcome::Reauthorize | RefreshOutcome::Expired => ConnectionHealth::NeedsPerson,
    };
    outcome.max(health(&report.connection))
}

fn expiry_health(report: &ExpiryReport) -> ConnectionHealth {
    // The alert at threshold 0 is critical: the connection no longer works.
    let alert = match &report.alert {
        Some(alert) if alert.threshold_ms == 0 => ConnectionHealth::NeedsPerson,
        _ => ConnectionHealth::Working,
    };
    alert.max(health(&report.connection))
}

/// Summarizes the result of an action by its members `message` and `connection`, if it has them.
pub(super) fn summarize_action(action: &str, result: &Value) -> CallSummary {
    let message = result.get("message").and_then(Value::as_str);
    let message = message.map_or_else(|| format!("{action} succeeded"), str::to_owned);
    let summary = CallSummary::success(message);
    let connection = result.get("connection").cloned();
    match connection.map(serde_json::from_value::<ConnectionReport>) {
        Some(Ok(connection)) => {
            let health = health(&connection);
            summary.with_name(&connection.name).with_health(health)
        }
        _ => summary,
    }
}

/// Returns the health of a connection: that of its worst grant.
fn health(connection: &ConnectionReport) -> ConnectionHealth {
    let grants = connection.grants.iter();
    let grants = grants.map(|status| (status.state, status.failed_refresh.as_ref()));
    let states = std::iter::once((connection.state, None)).chain(grants);
    let conditions = states.map(|(state, failed)| match state {
        State::NotConnected | State::Connected | State::Expiring => ConnectionHealth::Working,
        State::Retrying if failed.is_some_and(|failed| failed.needs_change) => {
            ConnectionHealth::NeedsOperator
        }
        State::Retrying => ConnectionHealth::Retrying,
        State::Expired | State::Reauthorize | State::MissingScope => ConnectionHealth::NeedsPerson,
    });
    conditions.max().unwrap_or(ConnectionHealth::Working)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::{Alert, FailedRefresh, Grant, GrantStatus};
    use crate::types::{Pkid, Reference};

    fn connection(state: State) -> ConnectionReport {
        ConnectionReport {
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
    fn summary_of_an_action_follows_its_connection() {
        let plain = summarize_action("Do", &serde_json::json!({}));
        assert_eq!(
            (plain.message.as_str(), plain.level),
            ("Do succeeded", Level::INFO)
        );
        let result = serde_json::json!({
            "message": "done", "connection": connection(State::Expired),
        });
        let summary = summarize_action("Do", &result);
        assert_eq!(summary.name.as_deref(), Some("Contoso"));
        assert_eq!(
            (summary.message.as_str(), summary.level),
            ("done", Level::ERROR)
        );
    }

    #[test]
    fn refresh_log_level_follows_the_health() {
        use RefreshOutcome::{Connected, Expired, Reauthorize, Retrying};
        for (outcome, state, level, health) in [
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
            let summary = summarize_refresh(&report);
            assert_eq!(summary.level, level, "{outcome:?} {state}");
            assert_eq!(summary.name.as_deref(), Some("Contoso"));
            let effect = effect(wakeup_kinds::REFRESH, &WakeReport::Refreshed(report));
            assert_eq!(effect.health, Some(health));
            assert_eq!(effect.refreshed, outcome == Connected);
        }
    }

    #[test]
    fn expiry_log_level_follows_the_alert() {
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
            let summary = summarize_expiry(&report(state, threshold));
            assert_eq!(summary.level, level, "{state} {threshold:?}");
        }
    }

    #[test]
    fn health_is_that_of_the_worst_grant() {
        let mut report = refreshed(RefreshOutcome::Connected, State::Connected);
        let mut add = |state, failed_refresh| {
            report.connection.grants.push(GrantStatus {
                refreshed: None,
                failed_refresh,
                grant: Grant::WholesaleUsers,
                state,
                access_token_expires: None,
                refresh_token_expires: None,
                refresh_token_lifetime_ms: None,
                generation: 0,
                next_refresh: None,
                scopes: Vec::new(),
                missing_scopes: Vec::new(),
            });
            refresh_health(&report)
        };
        let failed = |needs_change| FailedRefresh {
            attempts: 1,
            since: None,
            reason: "a reason".to_owned(),
            tracking_id: None,
            needs_change,
        };
        let retrying = add(State::Retrying, Some(failed(false)));
        assert_eq!(retrying, ConnectionHealth::Retrying);
        let denied = add(State::Retrying, Some(failed(true)));
        assert_eq!(denied, ConnectionHealth::NeedsOperator);
        let refused = add(State::Reauthorize, Some(failed(false)));
        assert_eq!(refused, ConnectionHealth::NeedsPerson);
    }

    #[test]
    fn failed_call_is_a_retry_and_sync_is_separate() {
        let unavailable = CallErrorKind::Refused(Failure::Unavailable("down".to_owned()));
        let refused = CallErrorKind::Refused(Failure::Reauthorize("no scope".to_owned()));
        let failed = failed_effect("refresh", &unavailable);
        assert_eq!(failed.health, Some(ConnectionHealth::Retrying));
        assert_eq!(failed.imported, None);
        let failed = failed_effect("schedule", &unavailable);
        assert_eq!((failed.health, failed.imported), (None, None));
        let failed = failed_effect("sync", &unavailable);
        assert_eq!((failed.health, failed.imported), (None, Some(false)));
        let denied = CallErrorKind::Refused(Failure::LimitExceeded("denied".to_owned()));
        let failed = failed_effect("sync", &denied);
        assert_eq!(failed.health, Some(ConnectionHealth::NeedsOperator));
        let failed = failed_effect("sync", &refused);
        assert_eq!(failed.health, Some(ConnectionHealth::NeedsPerson));
        assert_eq!(CallSummary::error(&unavailable).level, Level::WARN);
        assert_eq!(CallSummary::error(&refused).level, Level::ERROR);
    }
}
