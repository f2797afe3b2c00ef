//! Adding a record, as an administrator and as an engine that repeats itself.

use serde_json::{Value, json};

use super::*;
use crate::parts::{DATA_SYNC, SCHEDULE, SHADOW_MODEL};
use crate::platform::{FieldError, OnUnavailable, RECORD_MODEL, Storage};
use crate::record::State;
use crate::testing::{
    ACCESS_TOKEN, DAY, HIERARCHY, HOUR, Interruption, MemoryPlatform, ORGANIZATION, PKID,
    REFRESH_TOKEN, SECOND, START, reply, reply_with,
};

const OTHER_PKID: &str = "ffffffffffffffffffffffff";
const OTHER_ORGANIZATION: &str = "00000000-0000-4000-8000-000000000000";

fn request(fields: Value) -> Request {
    Request {
        pkid: PKID.to_owned(),
        hierarchy: HIERARCHY.to_owned(),
        fields: Secret::new(fields.to_string()),
        token_response: None,
        idempotency_key: None,
    }
}

fn with_answer(fields: Value) -> Request {
    let answer = json!({
        "access_token": ACCESS_TOKEN, "expires_in": 1_209_600, "token_type": "Bearer",
        "refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": 7_776_000,
        "scope": "spark-admin:organizations_read spark-admin:people_read",
    });
    Request {
        token_response: Some(Secret::new(answer.to_string())),
        ..request(fields)
    }
}

fn other(request: Request) -> Request {
    Request {
        pkid: OTHER_PKID.to_owned(),
        ..request
    }
}

fn faults(result: Result<Added, Failure>) -> Vec<FieldError> {
    match result {
        Err(Failure::Invalid(faults)) => faults,
        other => panic!("not refused as invalid: {other:?}"),
    }
}

fn webex() -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    platform.serve_organization(ORGANIZATION);
    platform
}

#[test]
fn a_record_without_tokens_waits_to_be_connected() {
    let platform = MemoryPlatform::new();
    let added = add(&platform, request(json!({"shadow": [{"name": "Umbra"}]}))).unwrap();
    assert_eq!(added.connection.state, State::NotConnected);
    assert_eq!(added.connection.name, "Acme");
    assert_eq!(added.connection.next_refresh, None);
    assert!(added.connection.notes.contains("not connected"));
    assert_eq!(platform.all_wakeups(), []);
    assert_eq!(platform.secrets(), []);
    assert_eq!(platform.documents_of(DATA_SYNC).len(), 3);
    assert_eq!(platform.documents_of(SHADOW_MODEL).len(), 1);
    for schedule in platform.documents_of(SCHEDULE) {
        assert!(
            schedule.body.contains("\"active\":false"),
            "{}",
            schedule.body
        );
    }
    assert!(platform.sent().is_empty());
}

#[test]
fn a_record_with_tokens_is_connected_and_everything_is_made_by_one_commit() {
    let platform = webex();
    let added = add(&platform, with_answer(json!({"name": "Acme"}))).unwrap();
    let connection = &added.connection;
    assert_eq!(connection.state, State::Connected);
    assert_eq!(
        connection.access_token_expires.unwrap().at,
        START + 14 * DAY
    );
    assert_eq!(
        connection.refresh_token_expires.unwrap().at,
        START + 90 * DAY
    );
    // The time of the response is unknown.
    assert!(connection.refresh_token_expires.unwrap().assumed);
    assert_eq!(platform.commits(), 1);
    // The caller still has the tokens.
    assert_eq!(platform.latest_on_unavailable(), Some(OnUnavailable::Fail));

    let references: Vec<Reference> = platform
        .documents()
        .into_iter()
        .map(|document| document.reference)
        .collect();
    assert_eq!(added.created[0], Reference::record(PKID));
    let mut created = added.created.clone();
    created.sort();
    assert_eq!(created, references);

    let owner = Reference::record(PKID);
    let sealed = |name: &str| platform.secret(&owner, name).unwrap();
    assert_eq!(sealed(secret::ACCESS_TOKEN).expose(), ACCESS_TOKEN);
    assert_eq!(sealed(secret::REFRESH_TOKEN).expose(), REFRESH_TOKEN);
    let refresh = platform.wakeup(&owner, "refresh").unwrap();
    assert_eq!(Some(refresh.due), connection.next_refresh);
    assert_eq!(refresh.due, START + SECOND);
    let expiry = platform.wakeup(&owner, "expiry").unwrap();
    assert_eq!(expiry.due, START + 60 * DAY);
}

#[test]
fn the_account_number_is_filled_in_from_webex() {
    let platform = webex();
    add(&platform, with_answer(json!({}))).unwrap();
    let record = Record::load(&platform, PKID).unwrap();
    assert_eq!(record.organization(), Some(ORGANIZATION));
    assert!(record.text("account_number").is_some());
    assert_eq!(record.body.connection.scopes.len(), 2);
}

#[test]
fn expiries_that_nobody_told_are_assumed_and_soon_put_right() {
    let platform = webex();
    let fields = json!({
        "token": ACCESS_TOKEN, "token_repeat": ACCESS_TOKEN,
        "refresh_token": REFRESH_TOKEN, "refresh_token_repeat": REFRESH_TOKEN,
    });
    let added = add(&platform, request(fields)).unwrap();
    assert!(added.connection.access_token_expires.unwrap().assumed);
    assert!(added.connection.refresh_token_expires.unwrap().assumed);
    assert!(added.connection.next_refresh.unwrap() <= START + HOUR);
}

#[test]
fn nothing_visible_holds_a_secret() {
    let platform = webex();
    let fields = json!({"https_proxy": "http://bob:hunter2@proxy.example:3128"});
    let request = with_answer(fields);
    assert!(!format!("{request:?}").contains("hunter2"));
    let added = add(&platform, request).unwrap();
    let visible = format!("{} {added:?}", platform.everything_visible());
    for secret in [ACCESS_TOKEN, REFRESH_TOKEN, "hunter2"] {
        assert!(!visible.contains(secret), "{secret}");
    }
}

#[test]
fn the_check_at_webex_goes_through_the_new_proxies() {
    let platform = webex();
    let fields = json!({"https_proxy": "http://bob:hunter2@proxy.example:3128"});
    add(&platform, with_answer(fields)).unwrap();
    for sent in platform.sent() {
        let (http, https) = sent.proxies;
        assert_eq!(http, None);
        assert_eq!(
            https.unwrap().expose(),
            "http://bob:hunter2@proxy.example:3128/"
        );
    }
}

#[test]
fn tokens_of_another_organisation_are_refused_naming_both() {
    let platform = webex();
    let fields = json!({"account_number_external": OTHER_ORGANIZATION});
    let faults = faults(add(&platform, with_answer(fields)));
    assert_eq!(faults[0].field, "account_number_external");
    assert!(faults[0].message.contains(OTHER_ORGANIZATION), "{faults:?}");
    assert!(faults[0].message.contains(ORGANIZATION), "{faults:?}");
    assert_eq!(platform.documents(), []);
}

#[test]
fn tokens_that_webex_refuses_are_faults_of_the_tokens() {
    let platform = MemoryPlatform::new();
    platform.serve(|_, request| match *request.method() {
        http::Method::POST => reply(400, json!({"error": "invalid_grant", "trackingId": "T2"})),
        _ => reply(401, json!({"message": "invalid", "trackingId": "ROUTER_1"})),
    });
    let faults = faults(add(&platform, with_answer(json!({}))));
    assert_eq!(faults[0].field, "token");
    assert!(faults[0].message.contains("ROUTER_1"));
    assert_eq!(faults[1].field, "refresh_token");
    assert!(faults[1].message.contains("T2"));
    assert_eq!(platform.documents(), []);
}

#[test]
fn a_passing_fault_of_webex_makes_nothing_and_says_so() {
    let platform = MemoryPlatform::new();
    platform.serve(|_, _| reply(503, json!({})));
    let result = add(&platform, with_answer(json!({})));
    assert!(matches!(result, Err(Failure::Unavailable(_))), "{result:?}");

    platform.serve(|_, _| reply_with(429, &[("retry-after", "30")], ""));
    let result = add(&platform, with_answer(json!({})));
    assert_eq!(result, Err(Failure::RateLimited(Some(START + 30 * SECOND))));
    assert_eq!(platform.documents(), []);
}

#[test]
fn an_answer_without_a_refresh_token_is_refused() {
    let platform = webex();
    let mut request = request(json!({}));
    request.token_response = Some(Secret::new(json!({"access_token": "a"}).to_string()));
    assert_eq!(
        faults(add(&platform, request.clone()))[0].field,
        "token_response"
    );
    request.token_response = Some(Secret::new("nonsense"));
    assert_eq!(faults(add(&platform, request))[0].field, "token_response");
    assert!(platform.sent().is_empty());
}

#[test]
fn faults_of_the_request_and_of_its_fields_come_together() {
    let platform = MemoryPlatform::new();
    add(&platform, request(json!({"name": "Acme"}))).unwrap();
    let request = Request {
        idempotency_key: Some("k".repeat(257)),
        ..other(request(json!({"name": "Acme", "account_email": "x"})))
    };
    let mut fields: Vec<String> = faults(add(&platform, request))
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    fields.sort();
    assert_eq!(fields, ["account_email", "idempotency_key", "name"]);
    for hierarchy in ["", "sys..Acme", "sys. "] {
        let request = Request {
            hierarchy: hierarchy.to_owned(),
            ..other(self::request(json!({"name": "Apex"})))
        };
        assert_eq!(faults(add(&platform, request))[0].field, "hierarchy");
    }
}

#[test]
fn a_name_and_an_organisation_are_unique_at_their_node_only() {
    let platform = MemoryPlatform::new();
    let fields = json!({"name": "Acme", "account_number": ORGANIZATION});
    add(&platform, request(fields.clone())).unwrap();

    let same_name = other(request(json!({"name": "Acme"})));
    let fault = &faults(add(&platform, same_name))[0];
    assert_eq!(fault.field, "name");
    assert!(fault.message.contains(PKID), "{fault:?}");
    let same_organization = json!({"name": "Apex", "account_number": ORGANIZATION});
    let fault = &faults(add(&platform, other(request(same_organization))))[0];
    assert_eq!(fault.field, "account_number");

    let elsewhere = Request {
        hierarchy: format!("{HIERARCHY}.Site"),
        ..other(request(fields))
    };
    add(&platform, elsewhere).unwrap();
}

#[test]
fn an_organisation_that_webex_names_is_unique_too() {
    let platform = webex();
    let fields = json!({"name": "Apex", "account_number": ORGANIZATION});
    add(&platform, request(fields)).unwrap();
    let faults = faults(add(&platform, other(with_answer(json!({})))));
    assert_eq!(faults[0].field, "account_number_external");
}

#[test]
fn two_adds_at_once_do_not_both_get_the_name() {
    let platform = MemoryPlatform::new();
    let meanwhile = |platform: &MemoryPlatform| {
        add(platform, other(request(json!({"name": "Acme"})))).unwrap();
    };
    platform.interrupt_commit(1, Interruption::Meanwhile(Box::new(meanwhile)));
    let faults = faults(add(&platform, request(json!({"name": "Acme"}))));
    assert_eq!(faults[0].field, "name");
    assert_eq!(platform.documents_of(RECORD_MODEL).len(), 1);
}

#[test]
fn the_same_add_replayed_makes_nothing_twice() {
    let platform = webex();
    let keyed = Request {
        idempotency_key: Some("order 7".to_owned()),
        ..with_answer(json!({}))
    };
    let first = add(&platform, keyed.clone()).unwrap();
    let stored = platform.documents();
    let again = add(&platform, other(keyed.clone())).unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!(again.connection, first.connection);
    assert_eq!(again.created, first.created);
    assert_eq!(platform.documents(), stored);

    let elsewhere = Request {
        hierarchy: "sys.Provider.Reseller.Apex".to_owned(),
        ..other(keyed)
    };
    assert!(!add(&platform, elsewhere).unwrap().replayed);
}

#[test]
fn two_adds_at_once_with_one_idempotency_key_are_one() {
    let platform = MemoryPlatform::new();
    let keyed = Request {
        idempotency_key: Some("order 7".to_owned()),
        ..request(json!({}))
    };
    let twin = other(keyed.clone());
    platform.interrupt_commit(
        1,
        Interruption::Meanwhile(Box::new(move |platform| {
            add(platform, twin).unwrap();
        })),
    );
    let added = add(&platform, keyed).unwrap();
    assert!(added.replayed);
    assert_eq!(added.connection.pkid, OTHER_PKID);
}

#[test]
fn an_add_whose_commit_was_made_but_not_heard_of_is_not_made_again() {
    let platform = webex();
    let lost = Failure::Unavailable("the store went away".to_owned());
    platform.interrupt_commit(1, Interruption::LoseAnswer(lost.clone()));
    assert_eq!(add(&platform, with_answer(json!({}))), Err(lost));
    let stored = platform.documents();
    let again = add(&platform, with_answer(json!({}))).unwrap();
    assert!(again.replayed);
    assert_eq!(platform.documents(), stored);
}

#[test]
fn an_add_that_was_not_committed_leaves_nothing_and_can_be_run_again() {
    let platform = webex();
    let failure = Failure::Unavailable("the store went away".to_owned());
    platform.interrupt_commit(1, Interruption::Fail(failure.clone()));
    assert_eq!(add(&platform, with_answer(json!({}))), Err(failure));
    assert_eq!(platform.documents(), []);
    assert!(!add(&platform, with_answer(json!({}))).unwrap().replayed);
}

#[test]
fn the_token_and_proxy_fields_are_never_stored_in_the_open() {
    let platform = webex();
    let fields = json!({
        "token": ACCESS_TOKEN, "token_repeat": ACCESS_TOKEN,
        "refresh_token": REFRESH_TOKEN, "refresh_token_repeat": REFRESH_TOKEN,
        "http_proxy": "http://bob:hunter2@proxy.example:3128",
    });
    add(&platform, request(fields)).unwrap();
    let document = platform.get(&Reference::record(PKID)).unwrap().unwrap();
    let body: Value = serde_json::from_str(&document.body).unwrap();
    for field in [
        "token",
        "token_repeat",
        "refresh_token",
        "refresh_token_repeat",
    ] {
        assert_eq!(body.get(field), None, "{field}");
    }
    assert_eq!(body["http_proxy"], "http://bob@proxy.example:3128/");
    assert_eq!(body["access_token_expires"], "2026-01-15T00:00:00Z");
}

#[test]
fn a_target_that_is_forbidden_is_the_operators_matter() {
    let platform = MemoryPlatform::new();
    platform.serve(|_, _| Err(crate::platform::HttpError::Denied("not allowed".to_owned())));
    let result = add(&platform, with_answer(json!({})));
    assert!(
        matches!(result, Err(Failure::LimitExceeded(_))),
        "{result:?}"
    );
}

#[test]
fn a_proxy_that_is_forbidden_is_told_at_its_field() {
    for tokens in [false, true] {
        for field in ["http_proxy", "https_proxy"] {
            let platform = webex();
            let why = "egress.proxies does not list http://proxy.example:3128";
            platform.refuse_proxies(Failure::LimitExceeded(why.to_owned()));
            let fields =
                json!({ field: "http://bob:hunter2@proxy.example:3128", "account_email": "x" });
            let request = match tokens {
                true => with_answer(fields),
                false => request(fields),
            };
            let faults = faults(add(&platform, request));
            let [email, proxy] = faults.as_slice() else {
                panic!("{faults:?}");
            };
            assert_eq!(email.field, "account_email");
            assert_eq!((proxy.field.as_str(), proxy.message.as_str()), (field, why));
            assert!(platform.sent().is_empty());
            assert_eq!(platform.documents(), []);
        }
    }
}

#[test]
fn a_name_that_hides_characters_is_refused() {
    let platform = MemoryPlatform::new();
    for (fields, field) in [
        (json!({"name": "Con\u{202e}toso"}), "name"),
        (json!({"name": "Con\u{200b}toso"}), "name"),
        (
            json!({"shadow": [{"name": "Con\u{2066}toso"}]}),
            "shadow[0].name",
        ),
        (
            json!({"email_domain": "con\u{ad}toso.example"}),
            "email_domain",
        ),
    ] {
        assert_eq!(faults(add(&platform, request(fields)))[0].field, field);
    }
    let hidden = Request {
        hierarchy: "sys.Pro\u{200b}vider".to_owned(),
        ..request(json!({}))
    };
    assert_eq!(faults(add(&platform, hidden))[0].field, "hierarchy");
    assert_eq!(platform.documents(), []);
}

#[test]
fn spellings_of_one_name_are_one_name() {
    for (first, second) in [("Caf\u{e9}", "Cafe\u{301}"), ("Cafe\u{301}", "Caf\u{e9}")] {
        let platform = MemoryPlatform::new();
        add(&platform, request(json!({ "name": first }))).unwrap();
        assert_eq!(Record::load(&platform, PKID).unwrap().name(), first);
        let fault = &faults(add(&platform, other(request(json!({ "name": second })))))[0];
        assert_eq!(fault.field, "name");
        assert!(fault.message.contains(PKID), "{fault:?}");
    }
}

#[test]
fn a_record_of_an_older_release_has_its_name_in_any_spelling() {
    for stored in ["Caf\u{e9}", "Cafe\u{301}"] {
        let platform = MemoryPlatform::new();
        add(&platform, request(json!({ "name": stored }))).unwrap();
        let mut document = platform.get(&Reference::record(PKID)).unwrap().unwrap();
        for key in document.keys.iter_mut().filter(|key| key.name == key::NAME) {
            stored.clone_into(&mut key.value);
        }
        platform
            .commit(Vec::new(), vec![Change::Put(document)])
            .unwrap();
        for name in ["Caf\u{e9}", "Cafe\u{301}"] {
            let again = other(request(json!({ "name": name })));
            assert_eq!(faults(add(&platform, again))[0].field, "name");
        }
    }
}

#[test]
fn a_hierarchy_is_trimmed() {
    let platform = MemoryPlatform::new();
    let spaced = Request {
        hierarchy: format!(" \u{feff}{}\n", HIERARCHY.replace('.', " . ")),
        ..request(json!({}))
    };
    let added = add(&platform, spaced).unwrap();
    assert_eq!(added.connection.hierarchy, HIERARCHY);
    assert_eq!(added.connection.name, "Acme");
}

#[test]
fn secrets_in_quotes_or_of_several_lines_are_refused_in_words() {
    let platform = MemoryPlatform::new();
    for (token, words) in [
        (format!("\"{ACCESS_TOKEN}\""), "quotes"),
        (format!("{ACCESS_TOKEN}\n{REFRESH_TOKEN}"), "several lines"),
        (format!("Bearer {ACCESS_TOKEN}"), "Bearer"),
    ] {
        let fields = json!({
            "token": token, "token_repeat": token,
            "refresh_token": REFRESH_TOKEN, "refresh_token_repeat": REFRESH_TOKEN,
        });
        let faults = faults(add(&platform, request(fields)));
        assert_eq!(faults[0].field, "token");
        assert!(faults[0].message.contains(words), "{faults:?}");
        assert!(!format!("{faults:?}").contains(ACCESS_TOKEN));
    }
}

#[test]
fn a_byte_order_mark_before_any_field_is_dropped() {
    let platform = webex();
    let mark = |text: &str| format!("\u{feff}{text}\r\n");
    let fields = json!({
        "name": mark("Acme"), "account_number": mark(ORGANIZATION),
        "token": mark(ACCESS_TOKEN), "token_repeat": mark(ACCESS_TOKEN),
        "refresh_token": mark(REFRESH_TOKEN), "refresh_token_repeat": REFRESH_TOKEN,
        "https_proxy": mark("http://bob:hunter2@proxy.example:3128"),
    });
    let request = Request {
        fields: Secret::new(mark(&fields.to_string())),
        ..request(json!({}))
    };
    assert_eq!(add(&platform, request).unwrap().connection.name, "Acme");
    let token = platform.secret(&Reference::record(PKID), secret::ACCESS_TOKEN);
    assert_eq!(token.unwrap().expose(), ACCESS_TOKEN);
}
