//! Secrets in recordings: absent in every spelling, and with one placeholder each.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use relation_host::limits::{Limit, LimitValue};
use relation_host::transactions::{Status, Transaction};
use relation_host::types::{Document, Key, Reference, Timestamp, Wakeup};
use serde_json::json;

use super::exchange::{RecordedExchange, RecordedResponse};
use super::notes::Notes;
use super::placeholders::{Placeholders, SecretCollector};
use super::recorded_call::{DocumentChange, RecordedCall, SecretChanges};
use super::writer::render;
use super::*;
use crate::scenario::format::{Source, parse};

const NOW: Timestamp = Timestamp(1_767_225_600_000);

fn percent(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn learned(secrets: &[(&str, &str)]) -> Placeholders {
    let mut collector = SecretCollector::default();
    for (name, secret) in secrets {
        collector.learn(name, secret);
    }
    collector.build().unwrap()
}

/// Returns a refresh whose response repeats the secrets of the request in many spellings.
fn refresh(token: &str, client_secret: &str, new: &str) -> RecordedExchange {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("refresh_token", token)
        .append_pair("client_secret", client_secret)
        .finish();
    let basic = STANDARD.encode(format!("client:{client_secret}"));
    let address = format!("https://webexapis.com/v1/x?code={}", percent(new));
    let request = Request::post(address)
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .unwrap();
    let mut exchange = RecordedExchange::new(request);
    let body = json!({
        "access_token": new,
        "error_description": format!("{token} {} {basic}", percent(client_secret)),
        "nested": [{ "echo": STANDARD.encode(token), "password": client_secret }],
        "more": null,
    });
    let response = Response::builder()
        .status(400)
        .header(
            "www-authenticate",
            format!("Bearer error=\"{}\"", percent(new)),
        )
        .body(Bytes::from(body.to_string()))
        .unwrap();
    exchange.set_response(RecordedResponse::from_result(&Ok(response)).unwrap());
    exchange
}

fn recorded(token: &str, client_secret: &str, new: &str) -> String {
    let record = Reference::record("0123456789abcdef01234567".parse().unwrap());
    let wakeup = Wakeup {
        id: "refresh".to_owned(),
        subject: record.clone(),
        due: NOW,
        deadline: None,
        payload: format!("after {token}"),
    };
    let document = Document {
        reference: record.clone(),
        hierarchy: "sys.Provider".parse().unwrap(),
        version: 1,
        body: json!({ "name": "{Contoso}", "noted": new, "at": NOW.0, "none": null }).to_string(),
        keys: vec![Key {
            name: "name".to_owned(),
            value: format!("<{token}>"),
        }],
    };
    let mut notes = Notes::default();
    notes.documents.insert(record.clone(), document.clone());
    notes
        .secrets
        .insert((record.clone(), "refresh_token".to_owned()), token.into());
    notes.wakeups.insert(record.clone(), vec![wakeup.clone()]);
    notes.steps.push(RecordedCall {
        moment: NOW,
        drift: std::time::Duration::from_millis(20),
        wakeup,
        http: vec![refresh(token, client_secret, new)],
        outcome: Err(json!({ "case": "unavailable", "text": format!("failed with {new}") })),
        transaction: Some(Transaction {
            id: String::new(),
            action: "refresh".to_owned(),
            subject: Some(record),
            subject_name: "{Contoso}".to_owned(),
            hierarchy: None,
            originator: None,
            request: None,
            status: Status::Fail,
            progress: None,
            message: format!("failed with {new} and {}", percent(token)),
            submitted: NOW,
            started: NOW,
            completed: None,
            log: Vec::new(),
            secret_accesses: Vec::new(),
            omitted_accesses: 0,
        }),
        documents: vec![DocumentChange::Changed(document)],
        secrets: SecretChanges {
            changed: ["refresh_token".to_owned()].into(),
            values: vec![new.into()],
            ..SecretChanges::default()
        },
        wakeups: Vec::new(),
        removed_wakeups: vec!["refresh".to_owned()],
    });
    let setup = Setup {
        secrets: [("webex.client-secret".to_owned(), client_secret.into())].into(),
        ..Setup::default()
    };
    match render(&notes, &setup) {
        Ok(text) => text,
        Err(_) => panic!("it is not written"),
    }
}

/// Returns all texts in a file, as a reader sees them.
fn texts(value: &toml::Value) -> Vec<String> {
    match value {
        toml::Value::String(text) => vec![text.clone()],
        toml::Value::Array(items) => items.iter().flat_map(texts).collect(),
        toml::Value::Table(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn file_is_a_scenario_without_secrets(
        token in "[!-~é]{12,40}", client_secret in "[!-~ ]{11,39}[!-~]", new in "[A-Za-z0-9_.~+/=-]{12,90}",
    ) {
        prop_assume!(token != client_secret && token != new && client_secret != new);
        let file = recorded(&token, &client_secret, &new);
        let read = parse(&Source::new("a.toml", file.clone()));
        prop_assert!(read.is_ok(), "{}\n{file}", read.unwrap_err());
        let mut all = texts(&file.parse::<toml::Table>().unwrap().into());
        all.push(file.clone());
        for secret in [&token, &client_secret, &new] {
            for spelling in [secret.clone(), percent(secret), STANDARD.encode(secret)] {
                // A reader sees single braces.
                for spelling in [spelling.replace('{', "{{"), spelling] {
                    let found = all.iter().find(|text| text.contains(&spelling));
                    prop_assert!(found.is_none(), "{spelling} is in {found:?}");
                }
            }
        }
        let basic = STANDARD.encode(format!("client:{client_secret}"));
        prop_assert!(!file.contains(&basic), "{file}");
    }
}

#[test]
fn every_limit_is_recorded() {
    let mut limits = Limits::default();
    // The number of concurrent calls is not a limit of one call.
    for limit in Limit::ALL.iter().filter(|limit| **limit != Limit::Calls) {
        let changed = match limits.get(*limit) {
            LimitValue::Bytes(bytes) => LimitValue::Bytes(bytes + 1),
            LimitValue::Count(count) => LimitValue::Count(count + 1),
            LimitValue::Time(time) => LimitValue::Time(time + Duration::from_millis(1_500)),
        };
        assert!(limits.set(*limit, changed), "{limit:?}");
    }
    let setup = Setup {
        limits: limits.clone(),
        ..Setup::default()
    };
    let Ok(file) = render(&Notes::default(), &setup) else {
        panic!("it is not written");
    };
    let file = format!("{file}\n[[step]]\ncall = \"describe\"\n");
    let read = parse(&Source::new("a.toml", file.clone()));
    let read = read.unwrap_or_else(|error| panic!("{error}\n{file}"));
    assert_eq!(read.limits, limits);
}

#[test]
fn settings_of_nodes_are_recorded() {
    let settings = BTreeMap::from([("expiry.thresholds".to_owned(), "30d,{2d}".to_owned())]);
    let mut notes = Notes::default();
    for (node, settings) in [
        ("sys.Provider.Contoso", settings.clone()),
        ("sys.Provider.Fabrikam", BTreeMap::new()),
    ] {
        notes.node_settings.insert(node.to_owned(), settings);
    }
    let Ok(file) = render(&notes, &Setup::default()) else {
        panic!("it is not written");
    };
    let file = format!("{file}\n[[step]]\ncall = \"describe\"\n");
    let read = parse(&Source::new("a.toml", file.clone()));
    let read = read.unwrap_or_else(|error| panic!("{error}\n{file}"));
    let expected = BTreeMap::from([("sys.Provider.Contoso".to_owned(), settings)]);
    assert_eq!(read.node_settings, expected);
}

#[test]
fn secret_has_one_placeholder_in_every_spelling() {
    let secret = "a token/of 7";
    let placeholders = learned(&[("refresh_token", secret)]);
    let replaced = "recordedRefreshToken1";
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let text = format!(
        "{secret} {form} {} {}",
        percent(secret),
        STANDARD.encode(secret)
    );
    let encoded = STANDARD.encode(replaced);
    assert_eq!(
        placeholders.text(&text),
        format!("{replaced} {replaced} {replaced} {encoded}")
    );
    assert_eq!(placeholders.field("token", secret), replaced);
    // Replacing again changes nothing.
    assert_eq!(placeholders.text(replaced), replaced);
}

#[test]
fn short_secret_is_replaced_only_in_secret_fields() {
    let placeholders = learned(&[("password", "on")]);
    assert_eq!(placeholders.field("password", "on"), "recordedPassword1");
    assert_eq!(placeholders.text("one connection"), "one connection");
}

#[test]
fn placeholders_are_not_replaced_again() {
    let placeholders = learned(&[("password", "recorded"), ("refresh_token", "RefreshToken")]);
    let replaced = placeholders.text("recorded RefreshToken");
    assert_eq!(replaced, "recordedPassword1 recordedRefreshToken2");
    assert!(!placeholders.contains_secret(&replaced));
    assert!(placeholders.contains_secret("the RefreshToken"));
}

#[test]
fn proxy_url_keeps_its_form_with_another_password() {
    let placeholders = learned(&[("http_proxy", "http://us%40er:p%3Ass-word@10.0.0.1:3128/")]);
    assert_eq!(
        placeholders.replace_whole("http://us%40er:p%3Ass-word@10.0.0.1:3128/"),
        "http://recorded:recordedProxyPassword1@recorded-proxy.example:3128/"
    );
    assert_eq!(placeholders.text("p:ss-word"), "recordedProxyPassword1");
    let basic = STANDARD.encode("us@er:p:ss-word");
    assert!(
        !placeholders
            .text(&format!("Basic {basic}"))
            .contains(&basic)
    );
}

#[test]
fn token_like_text_in_errors_is_replaced() {
    let mut collector = SecretCollector::default();
    let (unknown, id) = ("unknown0123456789abcdef", "Y2lzY29zcGFyazovL3VzL09SRw");
    collector.learn_tokens(&format!("{unknown} of {id}"), |run| run == id);
    let placeholders = collector.build().unwrap();
    let replaced = placeholders.text(&format!("{unknown} of {id}"));
    assert_eq!(replaced, format!("recordedText1 of {id}"));
}

#[test]
fn code_is_secret_in_forms_but_not_in_json() {
    let mut collector = SecretCollector::default();
    collector.json(&json!({ "code": "invalid_request", "access_token": "clear-token" }));
    collector.field("code", "abc-123");
    let placeholders = collector.build().unwrap();
    let replaced = placeholders.json(&json!({ "code": "invalid_request", "x": "clear-token" }));
    assert_eq!(replaced["code"], "invalid_request");
    assert_eq!(replaced["x"], "recordedAccessToken1");
    assert_eq!(placeholders.field("code", "abc-123"), "recordedCode2");
}

#[test]
fn existing_file_is_kept_and_recording_saved_beside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    file::check_path(&path).unwrap();
    std::fs::write(&path, "another").unwrap();
    assert!(matches!(
        file::check_path(&path),
        Err(RecordError::Exists { .. })
    ));
    let saved_to = match file::write(&path, "recorded") {
        Err(RecordError::PathTaken { saved_to, .. }) => saved_to,
        other => panic!("{other:?}"),
    };
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another");
    assert_eq!(std::fs::read_to_string(saved_to).unwrap(), "recorded");
}

#[test]
fn unwritable_path_is_rejected_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no-such/a.toml");
    let refused = file::check_path(&nowhere);
    assert!(
        matches!(refused, Err(RecordError::Unwritable { .. })),
        "{refused:?}"
    );
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}
