//! Parsing: values, all errors at once, hostile input, and the round trip.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::strategies::notice_settings;
use super::{parse, settings};
use crate::settings::{
    ListMode, MailAddress, NoticeSettings, Recipient, Rules, Setting, Span, parse_text,
};

/// Parses invalid settings and returns `field: message` of each error.
fn errors(json: &Value) -> Vec<String> {
    let errors = parse(json, Rules::default()).expect_err("invalid settings");
    errors
        .iter()
        .map(|error| format!("{}: {}", error.field, error.message))
        .collect()
}

fn recipients(json: Value) -> Vec<Recipient> {
    let parsed = settings(json!({ "recipients": json }));
    parsed
        .recipients
        .value()
        .expect("recipients")
        .values
        .clone()
}

#[test]
fn absent_and_inherit_are_the_same() {
    let explicit =
        json!({"notify": "inherit", "thresholds": "inherit", "channels": {"mail": "inherit"}});
    assert_eq!(settings(explicit), NoticeSettings::default());
    assert_eq!(settings(json!({})), NoticeSettings::default());
}

#[test]
fn single_threshold_is_that_of_the_platform() {
    for json in [
        json!(172_800),
        json!([172_800]),
        json!("172800"),
        json!("2d"),
    ] {
        let parsed = settings(json!({"thresholds": json.clone()}));
        let list = parsed.thresholds.value().expect("thresholds");
        assert_eq!(list.values, [Span::from_days(2)], "{json}");
        assert_eq!(list.mode, ListMode::Replace);
    }
    let found = errors(&json!({"thresholds": 59}));
    assert_eq!(found, ["thresholds: must be from 1m to 365d, not 59s"]);
}

#[test]
fn thresholds_are_sorted_in_any_syntax() {
    let parsed =
        settings(json!({"thresholds": ["2d", 172_800, "30 days", "172800s", "1h 30m", "604800"]}));
    let list = parsed.thresholds.value().expect("thresholds");
    let texts: Vec<String> = list.values.iter().map(Span::to_string).collect();
    assert_eq!(texts, ["30d", "7d", "2d", "90m"]);
    assert_eq!(list.mode, ListMode::Replace);
}

#[test]
fn all_errors_are_found_with_paths() {
    let found = errors(&json!({
        "treshold": [],
        "notify": "maybe",
        "thresholds": {"mode": "ad-to-inherited", "values": ["30 bananas", "10s", "366d", 1.5, true]},
        "recipients": [
            "ok@example.com",
            {"type": "mail", "adress": "x@example.com"},
            {"type": "mail", "address": "nowhere"},
            {"type": "webhok"},
            {"type": "webhook", "name": "x", "url": "http://example.com", "secret": "s3cret"},
            {"type": "snmp", "name": "", "address": "noc:0", "version": "v3"},
            {"type": "snmp", "name": "n", "address": "noc", "version": "v2c", "user": "u"},
            "OK@EXAMPLE.COM",
        ],
        "channels": {"email": true},
        "kinds": ["expird", "test"],
        "retrying_after": "31d",
        "reminder": "1d",
        "digest": {"hour": 24, "zone": "Europe/Zürich"},
        "quiet_hours": {"from": "22:00", "to": "22:00", "zone": "zurich"},
        "language": "fr",
        "budget": 0,
        "account_email": null,
    }));
    assert_beginnings(
        &found,
        &[
            "treshold: unknown field; did you mean `thresholds`?",
            "notify: must be true, false, \"yes\", \"no\" or \"inherit\", not \"maybe\"",
            "thresholds.mode: \"ad-to-inherited\" is not a mode; did you mean \"add-to-inherited\"?",
            "thresholds.0: \"30 bananas\" is not a duration: ",
            "thresholds.1: must be from 1m to 365d, not 10s",
            "thresholds.2: must be from 1m to 365d, not 366d",
            "thresholds.3: must be a whole number of seconds",
            "thresholds.4: must be a duration such as",
            "recipients.1.adress: unknown field; did you mean `address`?",
            "recipients.1.address: is missing",
            "recipients.2.address: is not an e-mail address such as",
            "recipients.3.type: \"webhok\" is not a type; did you mean \"webhook\"?",
            "recipients.4.secret: a secret is not part of the settings",
            "recipients.4.url: must begin with https://",
            "recipients.5.name: must not be empty",
            "recipients.5.address: has a port that is not a number from 1 to 65535",
            "recipients.5.user: is missing",
            "recipients.6.user: unknown field",
            "recipients.7: is the same as recipients.0",
            "channels.email: unknown field; ",
            "kinds.0: \"expird\" is not a kind of notice; did you mean \"expired\"?",
            "kinds.1: \"test\" is not a kind of notice",
            "retrying_after: must be from 1m to 30d, not 31d",
            "reminder: must be from 7d to 365d, not 1d",
            "digest.hour: must be a whole number from 0 to 23",
            "digest.zone: \"Europe/Zürich\" is not a time zone; did you mean Europe/Zurich?",
            "quiet_hours.zone: \"zurich\" is not a time zone; did you mean Europe/Zurich?",
            "quiet_hours.to: must differ from `from`",
            "language: \"fr\" is not a language; use one of en, de",
            "budget: must be a whole number from 1 to 1000",
            "account_email: must be true, false, \"yes\", \"no\" or \"inherit\", not null",
        ],
    );
    assert!(!found.join("\n").contains("s3cret"));
}

/// Compares the beginnings of errors.
fn assert_beginnings(found: &[String], expected: &[&str]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nexpected: {expected}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn internationalized_domains_become_ascii() {
    let address = MailAddress::parse(" Info@Bücher.Example ").expect("an address");
    assert_eq!(address.as_str(), "Info@Bücher.Example");
    assert_eq!(address.as_ascii(), "Info@xn--bcher-kva.example");
    let same = recipients(json!(["info@bücher.example"]));
    assert_eq!(same[0].key(), Recipient::Mail(address).key());
}

#[test]
fn hostile_addresses_are_refused() {
    for text in [
        "",
        "a",
        "a@b",
        "a@b..com",
        "a@-",
        "a b@example.com",
        "a@exa mple.com",
        "a@example.com\r\nBcc: b@example.com",
        "a\n@example.com",
        "a@example.com,b@example.com",
        "a@example.com;b@example.com",
        "Name <a@example.com>",
        "\"a b\"@example.com",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "ä@example.com",
        "a\0@example.com",
        "a\u{202e}@example.com",
        &format!("{}@example.com", "a".repeat(250)),
    ] {
        assert!(MailAddress::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn urls_without_protection_are_refused() {
    let parse_url = |url: &str, rules| {
        let hook = json!({"type": "webhook", "name": "hook", "url": url});
        parse(&json!({ "recipients": [hook] }), rules)
    };
    for url in [
        "",
        "example.com",
        "ftp://example.com/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https://user@example.com/",
        "https://:canary-password@example.com/",
        "https://example.com/#part",
        &format!("https://example.com/{}", "a".repeat(2_000)),
    ] {
        let errors = parse_url(url, Rules { allow_http: true }).expect_err(url);
        assert!(!format!("{errors:?}").contains("canary-password"));
    }
    assert!(parse_url("http://example.com/", Rules::default()).is_err());
    assert!(parse_url("http://example.com/", Rules { allow_http: true }).is_ok());
}

#[test]
fn snmp_addresses_have_host_and_port() {
    let address = |text: &str| {
        let target = json!({"type": "snmp", "name": "noc", "address": text, "version": "v2c"});
        let parsed = parse(&json!({ "recipients": [target] }), Rules::default()).ok()?;
        match &parsed.recipients.value()?.values[0] {
            Recipient::Snmp(target) => Some(target.address()),
            _ => None,
        }
    };
    assert_eq!(
        address("NOC.example.net").as_deref(),
        Some("noc.example.net:162")
    );
    assert_eq!(address("192.0.2.1:1162").as_deref(), Some("192.0.2.1:1162"));
    assert_eq!(address("2001:db8::1").as_deref(), Some("[2001:db8::1]:162"));
    assert_eq!(
        address("[2001:db8::1]").as_deref(),
        Some("[2001:db8::1]:162")
    );
    assert_eq!(
        address("[2001:db8::1]:99").as_deref(),
        Some("[2001:db8::1]:99")
    );
    for text in [
        "",
        ":162",
        "noc:",
        "noc:0",
        "noc:70000",
        "noc:+1",
        "a b",
        "a..b",
        "noc/x",
        "[::1",
        "u@noc",
    ] {
        assert_eq!(address(text), None, "{text:?}");
    }
}

#[test]
fn debug_output_has_no_path_of_a_webhook() {
    let parsed = recipients(json!([
        {"type": "webhook", "name": "chat", "url": "https://example.com/services/canary-token"}
    ]));
    assert!(!format!("{parsed:?}").contains("canary-token"));
    assert!(
        serde_json::to_string(&parsed)
            .expect("JSON")
            .contains("canary-token")
    );
}

#[test]
fn given_id_stays_and_absent_id_is_derived() {
    let hook = |id: Option<&str>| {
        let mut hook = json!({"type": "webhook", "name": "hook", "url": "https://example.com/"});
        if let Some(id) = id {
            hook["id"] = json!(id);
        }
        recipients(json!([hook]))[0].id().map(str::to_owned)
    };
    assert_eq!(hook(Some("mine-1")), Some("mine-1".to_owned()));
    let derived = hook(None).expect("an id");
    assert_eq!(hook(Some(&derived)), Some(derived.clone()));
    assert_eq!(hook(None), Some(derived));
}

#[test]
fn derived_id_omits_the_path_and_needs_its_own_name() {
    let hook = |name: &str, url: &str| json!({"type": "webhook", "name": name, "url": url});
    let id = |hook: Value| recipients(json!([hook]))[0].id().map(str::to_owned);
    let first = id(hook("chat", "https://example.com/hooks/token-1"));
    assert_eq!(
        first,
        id(hook("chat", "https://example.com:443/token-2?a=b"))
    );
    for (name, url) in [
        ("chat", "https://example.com:8443/hooks/token-1"),
        ("chat", "https://example.org/hooks/token-1"),
        ("desk", "https://example.com/hooks/token-1"),
    ] {
        assert_ne!(first, id(hook(name, url)), "{name} {url}");
    }
    let snmp = |name: &str, version: &str| {
        let mut target =
            json!({"type": "snmp", "name": name, "address": "192.0.2.1", "version": version});
        if version == "v3" {
            target["user"] = json!("relation");
        }
        target
    };
    let list = json!([
        hook("chat", "https://example.com/a"),
        hook("chat", "https://example.com/b"),
        snmp("noc", "v2c"),
        snmp("noc", "v3"),
        snmp("old noc", "v2c"),
    ]);
    let found = errors(&json!({ "recipients": list }));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("recipients.1.name: "), "{found:?}");
    assert!(found[0].ends_with("recipients.0 at the same server: give them different names"));
    assert!(found[1].starts_with("recipients.3.name: "), "{found:?}");
    assert!(found[2].starts_with("recipients.4"), "{found:?}");
}

#[test]
fn huge_input_yields_few_errors() {
    let many = vec![json!("nowhere"); 10_000];
    let found = errors(&json!({"recipients": many, "thresholds": vec![json!("x"); 10_000]}));
    assert!(found.len() <= 100);
    assert!(
        found[0].contains("unknown")
            || found
                .iter()
                .any(|error| error.contains("at most 50 are allowed"))
    );

    let mut object = serde_json::Map::new();
    for index in 0..5_000 {
        object.insert(format!("{index}{}", "n".repeat(1_000)), json!(1));
    }
    let found = errors(&Value::Object(object));
    assert_eq!(found.len(), 100);
    assert!(found.iter().all(|error| error.len() < 400));

    let found = errors(
        &json!({"thresholds": ["9".repeat(100_000), format!("1{}", "x".repeat(100_000))],
        "digest": {"hour": 1, "zone": "z".repeat(100_000)}, "kinds": ["k".repeat(100_000)],
        "recipients": ["a".repeat(100_000), {"type": "t".repeat(100_000)}]}),
    );
    assert_eq!(found.len(), 6);
    assert!(found.iter().all(|error| error.len() < 400));

    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse_text(&deep, Rules::default()).is_err());
    assert!(parse_text(&" ".repeat(300_000), Rules::default()).is_err());
    assert!(parse_text("{\"notify\": tru}", Rules::default()).is_err());
    for value in [json!(null), json!([]), json!("inherit"), json!(1)] {
        assert_eq!(errors(&value).len(), 1);
    }
}

#[test]
fn platform_words_and_seconds_are_accepted() {
    let parsed = settings(json!({"notify": "yes", "thresholds": [172_800], "account_email": "no"}));
    assert_eq!(parsed.notify, Setting::Value(true));
    assert_eq!(parsed.account_email, Setting::Value(false));
    assert_eq!(
        parsed.thresholds.value().expect("thresholds").values,
        [Span::from_days(2)]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rendered_settings_parse_to_the_same(settings in notice_settings("tag")) {
        let rendered = serde_json::to_value(&settings).expect("JSON");
        prop_assert_eq!(parse(&rendered, Rules::default()), Ok(settings.clone()));
        let text = rendered.to_string();
        prop_assert_eq!(parse_text(&text, Rules::default()), Ok(settings.clone()));
        prop_assert_eq!(serde_json::from_str::<NoticeSettings>(&text).expect("settings"), settings);
    }

    #[test]
    fn spans_render_to_the_same(seconds in 60..=365 * 86_400_u64) {
        let span = Span::from_seconds(seconds);
        let parsed = settings(json!({"thresholds": [span.to_string()]}));
        prop_assert_eq!(&parsed.thresholds.value().expect("thresholds").values, &[span]);
    }

    #[test]
    fn any_text_is_parsed_without_panic(text in "\\PC{0,60}") {
        let hook = json!({"type": "webhook", "name": text, "url": text});
        let noc = json!({"type": "snmp", "name": text, "address": text, "version": text, "user": text});
        let zone = json!({"hour": text, "from": text, "to": text, "zone": text});
        let json = json!({
            "notify": text, "thresholds": [text], "recipients": [text, hook, noc], "kinds": [text],
            "digest": zone, "quiet_hours": zone, "language": text, "reminder": text, &text: text,
        });
        let _ = parse(&json, Rules::default());
        let _ = parse_text(&text, Rules::default());
        if let Ok(address) = MailAddress::parse(&text) {
            let plain = address.as_ascii();
            prop_assert!(plain.is_ascii() && !plain.contains(char::is_whitespace));
        }
    }
}
