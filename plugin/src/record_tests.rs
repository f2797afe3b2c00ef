//! The stored form of a record, which must not change without a migration.

use super::*;
use crate::alerts::AlertBody;
use crate::testing::{START, connected_record};

const STORED: &str = concat!(
    r#"{"access_token_expires":"2026-01-15T00:00:00Z","#,
    r#""name":"Acme","#,
    r#""notes":"the last refresh failed and will be tried again (HTTP 503; tracking id ROUTER_1); "#,
    r#"missing scopes: spark-admin:people_read; "#,
    r#"wholesale-customers: not connected to Webex yet: connect this customer; "#,
    r#"wholesale-users: Webex refused the refresh token: connect this customer again (refused)","#,
    r#""refresh_token_expires":"2026-04-01T00:00:00Z","#,
    r#""wholesale_status":true,"#,
    r#""connection":{"state":"retrying","access":{"at":1768435200000,"life":1209600000,"assumed":true},"#,
    r#""refresh":{"at":1775001600000,"life":7776000000,"assumed":false},"#,
    r#""generation":3,"attempted":1767830400000,"granted":1767225600000,"refreshed":1767225600000,"#,
    r#""next_refresh":1767830460000,"#,
    r#""retry":{"attempts":1,"reason":"HTTP 503","tracking_id":"ROUTER_1","client":true,"before_webex":true},"#,
    r#""uncertain":true,"scopes":["spark:all"],"#,
    r#""missing_scopes":["spark-admin:people_read"]},"#,
    r#""further_grants":{"wholesale-customers":{"state":"not-connected","generation":0},"#,
    r#""wholesale-users":{"state":"reauthorize","generation":1,"refusal":{"attempts":1,"reason":"refused"}}},"#,
    r#""consents":{"pending":{"organization":{"state":"ab12","redirect_uri":"http://localhost/","scopes":["spark:all"],"expires":1767226200000}},"#,
    r#""past":{"wholesale-users":{"state":"cd34","fate":"superseded"}}},"#,
    r#""parts":[{"model":"data/Schedule","pkid":"00000000000000000000000b","name":"RefreshSparkAcme","role":"refresh-schedule"}],"#,
    r#""idempotency_key":"one"}"#,
);

const STORED_ALERT: &str = concat!(
    r#"{"id":"00000000000000000000000a","code":"WEBEX_REFRESH_TOKEN_EXPIRING","category":"webex","#,
    r#""severity":"minor","message":"expires","count":2,"first":"2026-01-01T00:00:00Z","#,
    r#""latest":"2026-01-02T00:00:00Z","subject":"data/SparkCustomer/0123456789abcdef01234567","#,
    r#""threshold":604800000,"generation":3,"grant":"wholesale-users"}"#,
);

#[test]
fn stored_record_is_written_as_it_was_read() {
    let document = Document {
        reference: Reference::record("0123456789abcdef01234567"),
        hierarchy: "sys.Provider.Reseller.Acme".to_owned(),
        version: 1,
        body: STORED.to_owned(),
        keys: Vec::new(),
    };
    let record = Record::from_document(document).unwrap();
    let connection = &record.body.connection;
    assert_eq!(connection.state, State::Retrying);
    assert!(connection.access.is_some() && connection.retry.is_some());
    assert_eq!(record.body.further_grants.len(), 2);
    assert_eq!(record.body.consents.pending.len(), 1);
    assert_eq!(record.to_document().unwrap().body, STORED);
}

#[test]
fn stored_alert_is_written_as_it_was_read() {
    let alert: AlertBody = serde_json::from_str(STORED_ALERT).unwrap();
    assert_eq!(serde_json::to_string(&alert).unwrap(), STORED_ALERT);
}

fn keys(record: &Record) -> Vec<(String, String)> {
    let keys = record.to_document().unwrap().keys;
    keys.into_iter().map(|key| (key.name, key.value)).collect()
}

fn key_value(record: &Record, name: &str) -> Option<String> {
    let mut keys = keys(record).into_iter();
    keys.find(|(key, _)| key == name).map(|(_, value)| value)
}

#[test]
fn record_has_a_key_per_state_of_its_grants() {
    let mut record = connected_record(START);
    let states = |record: &Record| -> Vec<String> {
        let names = keys(record).into_iter().filter(|(_, value)| value == "yes");
        names.map(|(name, _)| name).collect()
    };
    assert_eq!(states(&record), ["state.connected"]);
    assert_eq!(key_value(&record, "state"), None);
    record
        .body
        .fields
        .insert("wholesale_status".to_owned(), true.into());
    assert_eq!(states(&record), ["state.not-connected", "state.connected"]);
    record.grant_state_mut(Grant::WholesaleUsers).state = State::MissingScope;
    assert_eq!(
        states(&record),
        [
            "state.missing-scope",
            "state.not-connected",
            "state.connected"
        ]
    );
}

#[test]
fn urgency_is_the_most_urgent_state_and_the_name() {
    let mut record = connected_record(START);
    let fields = &mut record.body.fields;
    fields.insert("name".to_owned(), "Cafe\u{301} ÖL".into());
    for (state, digit) in [
        (State::Expired, 0),
        (State::Reauthorize, 1),
        (State::Expiring, 2),
        (State::MissingScope, 3),
        (State::NotConnected, 4),
        (State::Retrying, 5),
        (State::Connected, 6),
    ] {
        record.body.connection.state = state;
        let expected = Some(format!("{digit} café öl"));
        assert_eq!(key_value(&record, "urgency"), expected);
    }
    let fields = &mut record.body.fields;
    fields.insert("wholesale_status".to_owned(), true.into());
    let urgency = key_value(&record, "urgency");
    assert_eq!(urgency.as_deref(), Some("4 café öl"));
}

#[test]
fn long_name_is_cut_to_fit_the_urgency() {
    let mut record = connected_record(START);
    let fields = &mut record.body.fields;
    fields.insert("name".to_owned(), "\u{1f980}".repeat(1_024).into());
    let urgency = key_value(&record, "urgency").unwrap_or_default();
    assert_eq!(urgency.len(), 2 + 4 * 1_023);
}
