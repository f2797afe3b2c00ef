//! From alerts to events.

use serde_json::{Value, json};

use super::{facts, utc};
use crate::routing::{AlertFacts, AlertTransition, ConnectionFacts, Event, event_from_alert};
use crate::settings::tests::node;
use crate::{NoticeKind, Severity};

/// Returns an alert as the plugin writes it.
fn alert(code: &str, severity: &str) -> Value {
    json!({
        "id": "00000000000000000000000a", "code": code, "category": "webex", "severity": severity,
        "message": "the message", "count": 1, "first": "2026-12-18T12:00:00.000Z",
        "latest": "2026-12-18T12:00:00.000Z", "subject": "data/SparkCustomer/0123456789abcdef01234567",
        "threshold": 1_209_600_000_u64, "generation": 3, "grant": "organization",
    })
}

fn parse(json: &Value) -> AlertFacts {
    AlertFacts::parse(&json.to_string()).expect("an alert")
}

fn event(alert: &AlertFacts, transition: AlertTransition) -> Option<Event> {
    event_from_alert(alert, &facts(), transition, utc("2026-12-18T12:00:00Z"))
}

#[test]
fn raised_alert_has_the_kind_of_its_code() {
    use NoticeKind::{
        Expired, Expiring, HostTrouble, ImportFailed, MissingScope, Reauthorize, Retrying,
    };
    for (code, severity, kind) in [
        ("WEBEX_REFRESH_TOKEN_EXPIRING", "info", Expiring),
        ("WEBEX_REFRESH_TOKEN_EXPIRED", "critical", Expired),
        ("WEBEX_REAUTHORIZE", "critical", Reauthorize),
        ("WEBEX_REFRESH_FAILING", "major", Retrying),
        ("WEBEX_MISSING_SCOPE", "minor", MissingScope),
        ("WEBEX_INTEGRATION_REFUSED", "critical", HostTrouble),
        ("WEBEX_IMPORT_REMOVALS_HELD", "minor", ImportFailed),
        ("WEBEX_IMPORT_LIST_FAILED", "minor", ImportFailed),
        ("WEBEX_WHOLESALE_ORDER_FAILED", "major", ImportFailed),
        ("OTHER_PLUGIN", "critical", Reauthorize),
        ("OTHER_PLUGIN", "major", ImportFailed),
        ("OTHER_PLUGIN", "info", ImportFailed),
    ] {
        let alert = parse(&alert(code, severity));
        let event = event(&alert, AlertTransition::Raised).expect("an event");
        assert_eq!(event.notice.kind, kind, "{code} {severity}");
        assert_eq!(event.key.kind, kind);
        assert_eq!(
            (event.notice.code.as_str(), event.notice.text.as_str()),
            (code, "the message")
        );
        assert_eq!(event.notice.customer, "Contoso");
        assert_eq!(event.notice.severity, alert.severity);
    }
}

#[test]
fn repeated_alert_is_told_if_its_severity_rose() {
    let alert = parse(&alert("WEBEX_IMPORT_LIST_FAILED", "major"));
    let repeated = |earlier| event(&alert, AlertTransition::Repeated { earlier });
    assert_eq!(repeated(Severity::Major), None);
    assert_eq!(repeated(Severity::Critical), None);
    let risen = repeated(Severity::Minor).expect("an event");
    let raised = event(&alert, AlertTransition::Raised).expect("an event");
    assert_ne!(risen.key.to_id(), raised.key.to_id());
}

#[test]
fn cleared_alert_means_recovery_if_connection_works() {
    let cleared = |code: &str, is_connected| {
        let mut alert = alert(code, "critical");
        // New tokens have cleared it.
        alert["generation"] = 2.into();
        event(&parse(&alert), AlertTransition::Cleared { is_connected })
    };
    for code in [
        "WEBEX_REFRESH_TOKEN_EXPIRING",
        "WEBEX_REFRESH_TOKEN_EXPIRED",
        "WEBEX_REAUTHORIZE",
        "WEBEX_REFRESH_FAILING",
    ] {
        let recovered = cleared(code, true).expect("an event");
        assert_eq!(recovered.notice.kind, NoticeKind::Recovered);
        assert_eq!(cleared(code, false), None, "{code}");
        // One commit clears several alerts, which is one recovery.
        assert_eq!(
            recovered,
            cleared("WEBEX_REAUTHORIZE", true).expect("an event")
        );
    }
    assert_eq!(cleared("WEBEX_MISSING_SCOPE", true), None);
    // A threshold of the present tokens is not crossed any more, since the clock was set back.
    let early = parse(&alert("WEBEX_REFRESH_TOKEN_EXPIRING", "major"));
    let is_connected = true;
    assert_eq!(
        event(&early, AlertTransition::Cleared { is_connected }),
        None
    );
    assert_eq!(cleared("WEBEX_IMPORT_LIST_FAILED", true), None);
    assert_eq!(cleared("WEBEX_INTEGRATION_REFUSED", true), None);
}

#[test]
fn alert_that_is_raised_again_later_is_another_notice() {
    let first = alert("WEBEX_INTEGRATION_REFUSED", "critical");
    let mut second = first.clone();
    second["first"] = json!("2027-02-01T12:00:00.000Z");
    let installation = ConnectionFacts::for_installation(node("sys"), None);
    let id = |json: &Value| {
        let now = utc("2027-02-01T12:00:00Z");
        let event = event_from_alert(&parse(json), &installation, AlertTransition::Raised, now);
        event.expect("an event").key.to_id()
    };
    assert_ne!(id(&first), id(&second));
    assert_eq!(id(&first), id(&first));
}

#[test]
fn failing_refreshes_have_the_time_of_the_facts() {
    let alert = parse(&alert("WEBEX_REFRESH_FAILING", "major"));
    for since in [Some(utc("2026-12-18T05:00:00Z")), None] {
        let facts = ConnectionFacts {
            failing_since: since,
            ..facts()
        };
        let now = utc("2026-12-18T12:00:00Z");
        let event = event_from_alert(&alert, &facts, AlertTransition::Raised, now);
        assert_eq!(event.expect("an event").failing_since, since);
    }
}

#[test]
fn alert_of_old_tokens_has_no_expiry() {
    let mut old = alert("WEBEX_REAUTHORIZE", "critical");
    old["generation"] = json!(2);
    let event = event(&parse(&old), AlertTransition::Raised).expect("an event");
    assert_eq!((event.notice.expires, event.key.generation), (None, 2));
}

#[test]
fn alerts_of_other_plugins_are_read_leniently() {
    let alert = AlertFacts::parse(r#"{"id": "a", "code": "X", "severity": "minor", "own": [1]}"#);
    let event = event(&alert.expect("an alert"), AlertTransition::Raised).expect("an event");
    assert_eq!(event.notice.count, 1);
    for body in [
        "",
        "[]",
        "{}",
        r#"{"id": 1, "code": "X", "severity": "minor"}"#,
    ] {
        assert!(AlertFacts::parse(body).is_err(), "{body}");
    }
}

#[test]
fn long_texts_are_cut() {
    let mut long = alert("WEBEX_REAUTHORIZE", "critical");
    long["message"] = json!("ä".repeat(100_000));
    let event = event(&parse(&long), AlertTransition::Raised).expect("an event");
    assert_eq!(event.notice.text.chars().count(), 1_000);
    assert!(event.notice.text.ends_with('…'));
}
