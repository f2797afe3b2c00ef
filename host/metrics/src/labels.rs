//! The labels of metrics. Each label has a closed set of values, so that the number of series has a bound.

use axum::http::Method;
use relation_host::reports::State;
use relation_host::store::StoreError;
use relation_host::store::layer::Operation;
use relation_host::transactions::SecretAccessOutcome;
use relation_host::wakeup_kinds as kinds;
use relation_notify::settings::ChannelKind;
use relation_notify::{DeliveryErrorKind, Receipt};

/// The value for everything that a closed set does not name.
pub(crate) const OTHER: &str = "other";

/// The actions of calls. An action of the plugin that `describe` lists counts as [`PLUGIN_ACTION`].
pub(crate) const WORKFLOWS: &[&str] = &[
    "access-token",
    PLUGIN_ACTION,
    "add",
    "apply-stash",
    "cancel",
    "check-expiry",
    "complete-connect",
    "connect",
    "delete",
    "modify",
    OTHER,
    "refresh",
    "schedule",
    "sync",
    "wholesale",
];

/// The value for the plugin's own actions, such as `SyncUsers`.
const PLUGIN_ACTION: &str = "action";

/// The outcomes of calls: success, a refresh without tokens, a case of `Failure`, or why there is no result.
pub(crate) const OUTCOMES: &[&str] = &[
    "busy",
    "canceled",
    "changed",
    "conflict",
    "host",
    "internal",
    "invalid",
    "limit",
    "limit-exceeded",
    "link",
    "memory",
    "no-tokens",
    "not-found",
    OTHER,
    "panic",
    "partial",
    "rate-limited",
    "reauthorize",
    "room",
    "stopped",
    "store",
    "success",
    "time",
    "trap",
    "unavailable",
];

/// The kinds of wakeups.
pub(crate) const KINDS: &[&str] = &[
    kinds::CALLBACK,
    kinds::EXPIRY,
    kinds::NOTICE,
    OTHER,
    kinds::QUEUED_CALL,
    kinds::REFRESH,
    kinds::SCHEDULE,
    kinds::SYNC,
    kinds::WHOLESALE,
];

/// The results of beginning a due wakeup.
pub(crate) const BEGIN_RESULTS: &[&str] = &["busy", "gone", "started"];

/// The results of requests: the class of the status, or why there is no response.
pub(crate) const REQUEST_CLASSES: &[&str] = &[
    "1xx", "2xx", "3xx", "4xx", "429", "5xx", "broken", "connect", "denied", "dns", "limit",
    "proxy", "timeout", "tls",
];

/// The tokens of a grant.
pub(crate) const TOKENS: &[&str] = &["access", "refresh"];

/// The operations of stores.
pub(crate) const OPERATIONS: &[&str] = &[
    "begin", "commit", "end", "other", "read", "report", "sealed",
];

/// The results of operations of stores.
pub(crate) const STORE_RESULTS: &[&str] = &[
    "conflict",
    "corrupt",
    "fenced",
    "invalid",
    "ok",
    "stale-key",
    "unavailable",
];

/// The uses of the cache of compiled components.
pub(crate) const CACHE_RESULTS: &[&str] = &["hit", "miss", "off", "refused"];

/// The outcomes of writes whose answer was lost.
pub(crate) const LOST_ANSWERS: &[&str] = &["made", "prevented", "unknown"];

/// The outcomes of requests for secrets.
pub(crate) const REVEAL_OUTCOMES: &[&str] = &[
    SecretAccessOutcome::Absent.as_str(),
    SecretAccessOutcome::Failed.as_str(),
    SecretAccessOutcome::Opened.as_str(),
];

/// The results of log-ins.
pub(crate) const LOGIN_RESULTS: &[&str] = &["failed", "limited", "refused", "success"];

/// The states of connections.
pub(crate) const STATES: &[&str] = &[
    State::ALL[0].as_str(),
    State::ALL[1].as_str(),
    State::ALL[2].as_str(),
    State::ALL[3].as_str(),
    State::ALL[4].as_str(),
    State::ALL[5].as_str(),
    State::ALL[6].as_str(),
];

/// The times until an expiry, with their milliseconds.
pub(crate) const WITHIN_MILLIS: [(&str, u64); 4] = [
    ("2d", 2 * DAY_MILLIS),
    ("7d", 7 * DAY_MILLIS),
    ("14d", 14 * DAY_MILLIS),
    ("30d", 30 * DAY_MILLIS),
];

/// The values of the label `within`.
pub(crate) const WITHIN: &[&str] = &["2d", "7d", "14d", "30d"];

const DAY_MILLIS: u64 = 86_400_000;

/// The code of an alert about a refresh token that expires.
pub(crate) const EXPIRING: &str = "WEBEX_REFRESH_TOKEN_EXPIRING";

/// The codes of alerts.
pub(crate) const ALERT_CODES: &[&str] = &[
    OTHER,
    "WEBEX_IMPORT_LIST_FAILED",
    "WEBEX_IMPORT_REMOVALS_HELD",
    "WEBEX_INTEGRATION_REFUSED",
    "WEBEX_MISSING_SCOPE",
    "WEBEX_REAUTHORIZE",
    "WEBEX_REFRESH_FAILING",
    "WEBEX_REFRESH_TOKEN_EXPIRED",
    EXPIRING,
    "WEBEX_WHOLESALE_ORDER_FAILED",
];

/// The severities of alerts, with the values of the key by which they are counted.
pub(crate) const SEVERITY_KEYS: [(&str, &str); 4] = [
    ("critical", "0 critical"),
    ("major", "1 major"),
    ("minor", "2 minor"),
    ("info", "3 info"),
];

/// The values of the label `severity`.
pub(crate) const SEVERITIES: &[&str] = &["critical", "major", "minor", "info"];

/// The ways by which notices are sent.
pub(crate) const CHANNELS: &[&str] = &[
    ChannelKind::ALL[0].as_str(),
    ChannelKind::ALL[1].as_str(),
    ChannelKind::ALL[2].as_str(),
];

/// The results of attempts at notices.
pub(crate) const NOTICE_RESULTS: &[&str] = &[
    "confirmed",
    "dead",
    "gone",
    "not-attempted",
    "permanent",
    "sent",
    "temporary",
    "unknown",
];

/// The classes of responses of this host.
pub(crate) const STATUS_CLASSES: &[&str] = &["2xx", "3xx", "4xx", "5xx"];

/// The parts of this host that respond to requests.
pub(crate) const SURFACES: &[&str] = &["api", "page"];

/// Returns the value of a closed set that is equal to `text`, or [`OTHER`].
pub(crate) fn pick(values: &[&'static str], text: &str) -> &'static str {
    let found = values.iter().find(|value| **value == text);
    found.copied().unwrap_or(OTHER)
}

/// Returns the workflow of a transaction's action. Actions of the plugin are in CamelCase.
pub(crate) fn workflow(action: &str) -> &'static str {
    match action.strip_suffix(" (dry run)").unwrap_or(action) {
        action if action.starts_with(|first: char| first.is_ascii_uppercase()) => PLUGIN_ACTION,
        action => pick(WORKFLOWS, action),
    }
}

/// Returns the class of a status. 429 has one of its own.
pub(crate) fn status_class(status: u16) -> &'static str {
    match status {
        429 => "429",
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

/// Returns the class of a response of this host.
pub(crate) fn response_class(status: u16) -> &'static str {
    match status {
        429 => "4xx",
        status => pick_class(status_class(status)),
    }
}

/// Returns the result of a log-in, if the request was one.
pub(crate) fn login_result(method: &Method, route: &str, status: u16) -> Option<&'static str> {
    let is_login = match route {
        "/login" | "/api/session" => *method == Method::POST,
        "/login/oidc/callback" => *method == Method::GET,
        _ => false,
    };
    is_login.then_some(match status {
        200..400 => "success",
        429 => "limited",
        400..500 => "refused",
        _ => "failed",
    })
}

fn pick_class(class: &'static str) -> &'static str {
    match class {
        "1xx" => "2xx",
        class => class,
    }
}

/// Returns the name of a store's operation.
pub(crate) fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "read",
        Operation::Sealed => "sealed",
        Operation::Commit => "commit",
        Operation::Begin => "begin",
        Operation::Report => "report",
        Operation::End => "end",
        Operation::Other => "other",
    }
}

/// Returns the result of a store's operation.
pub(crate) fn store_result<T>(result: &Result<T, StoreError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => pick(STORE_RESULTS, error.code()),
    }
}

/// Returns the result of an attempt at a notice.
pub(crate) fn notice_result(result: Result<&Receipt, DeliveryErrorKind>) -> &'static str {
    match result {
        Ok(receipt) if receipt.confirmed => "confirmed",
        Ok(_) => "sent",
        Err(DeliveryErrorKind::Temporary { .. }) => "temporary",
        Err(DeliveryErrorKind::NotAttempted) => "not-attempted",
        Err(DeliveryErrorKind::Unknown) => "unknown",
        Err(DeliveryErrorKind::Permanent) => "permanent",
        Err(DeliveryErrorKind::Gone) => "gone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_texts_are_other() {
        assert_eq!(workflow("delete (dry run)"), "delete");
        assert_eq!(workflow("SyncUsers"), "action");
        assert_eq!(workflow("canary"), OTHER);
        assert_eq!(pick(KINDS, "canary"), OTHER);
        assert_eq!(response_class(429), "4xx");
        assert_eq!(response_class(101), "2xx");
    }

    #[test]
    fn log_in_is_known_by_method_and_route() {
        for (method, route, status, expected) in [
            (Method::POST, "/login", 303, Some("success")),
            (Method::POST, "/login", 422, Some("refused")),
            (Method::POST, "/api/session", 429, Some("limited")),
            (Method::GET, "/login/oidc/callback", 502, Some("failed")),
            (Method::GET, "/login", 200, None),
            (Method::DELETE, "/api/session", 204, None),
        ] {
            assert_eq!(login_result(&method, route, status), expected);
        }
    }

    #[test]
    fn thresholds_and_severities_agree() {
        let within = WITHIN_MILLIS.map(|(name, _)| name);
        assert_eq!(WITHIN, within);
        let severities = SEVERITY_KEYS.map(|(name, _)| name);
        assert_eq!(SEVERITIES, severities);
        assert_eq!(STATES.len(), State::ALL.len());
    }
}
