//! Pasted tokens: dead ones, old ones, those of somebody else, and answers that are not Webex's.

use http::Method;
use serde_json::{Value, json};

use crate::platform::{
    Failure, FieldError, HttpError, HttpResponse, Level, OnUnavailable, Reference, Secret,
};
use crate::record::{Record, State, secret};
use crate::reports::Added;
use crate::testing::{
    ACCESS_TOKEN, DAY, HIERARCHY, HOUR, MemoryPlatform, ORGANIZATION, PKID, REFRESH_TOKEN, SECOND,
    START, reply, reply_with,
};
use crate::webex::ids::OrgId;
use crate::workflows::add::{Request, add};
use crate::workflows::modify::modify;

const OTHER: &str = "00000000-0000-4000-8000-000000000000";
const NEW_ACCESS: &str = "TmV3_P0A1_8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
const ALL_SCOPES: &str = "identity:tokens_read spark-admin:organizations_read";

type Answer = Result<HttpResponse, HttpError>;

fn answer(scopes: &str) -> Value {
    json!({
        "access_token": ACCESS_TOKEN, "expires_in": 1_209_600, "token_type": "Bearer",
        "refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": 7_776_000, "scope": scopes,
    })
}

fn paste_with(platform: &MemoryPlatform, fields: Value, answer: &Value) -> Result<Added, Failure> {
    let request = Request {
        pkid: PKID.to_owned(),
        hierarchy: HIERARCHY.to_owned(),
        fields: Secret::new(fields.to_string()),
        token_response: Some(Secret::new(answer.to_string())),
        idempotency_key: None,
    };
    add(platform, request)
}

fn paste(platform: &MemoryPlatform, answer: &Value) -> Result<Added, Failure> {
    paste_with(platform, json!({}), answer)
}

fn faults<T: std::fmt::Debug>(result: Result<T, Failure>) -> Vec<FieldError> {
    match result {
        Err(Failure::Invalid(faults)) => faults,
        other => panic!("not refused as invalid: {other:?}"),
    }
}

fn unauthorized() -> Answer {
    reply(
        401,
        json!({"message": "The request requires a valid access token.", "trackingId": "ROUTER_1"}),
    )
}

fn organizations(uuid: &str) -> Answer {
    let id = OrgId::parse(uuid).unwrap().internal();
    reply(200, json!({"items": [{ "id": id }]}))
}

fn new_tokens(refresh_token: Option<&str>) -> Answer {
    reply(
        200,
        json!({
            "access_token": NEW_ACCESS, "expires_in": 1_209_600,
            "refresh_token": refresh_token, "refresh_token_expires_in": 7_000_000,
        }),
    )
}

/// Webex that refuses the pasted access token, answers a refresh once with `refreshed`, and the
/// question for the organisation of the new token with `asked`.
fn with_dead_access_token(refreshed: Answer, asked: Option<Answer>) -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    platform.expect(Method::GET, "/v1/organizations", unauthorized());
    platform.expect_with(Method::POST, "/v1/access_token", |platform, _| {
        let sent = platform.sent().pop().unwrap();
        assert_eq!(sent.form("refresh_token").as_deref(), Some(REFRESH_TOKEN));
        refreshed
    });
    if let Some(asked) = asked {
        platform.expect(Method::GET, "/v1/organizations", asked);
    }
    platform
}

fn sealed(platform: &MemoryPlatform, name: &str) -> String {
    let secret = platform.secret(&Reference::record(PKID), name);
    secret.unwrap().expose().to_owned()
}

#[test]
fn a_dead_access_token_is_refreshed_first() {
    for (given, stored) in [(Some("rotated"), "rotated"), (None, REFRESH_TOKEN)] {
        let asked = Some(organizations(ORGANIZATION));
        let platform = with_dead_access_token(new_tokens(given), asked);
        let added = paste(&platform, &answer(ALL_SCOPES)).unwrap();
        platform.assert_script_done();
        let kept = Some(OnUnavailable::Keep);
        assert_eq!(platform.latest_on_unavailable(), kept);
        let connection = &added.connection;
        assert_eq!(connection.state, State::MissingScope);
        let access = connection.access_token_expires.unwrap();
        assert_eq!((access.at, access.assumed), (START + 14 * DAY, false));
        let refresh = connection.refresh_token_expires.unwrap();
        assert_eq!(
            (refresh.at, refresh.assumed),
            (START + 7_000_000 * SECOND, false)
        );
        assert_eq!(sealed(&platform, secret::ACCESS_TOKEN), NEW_ACCESS);
        assert_eq!(sealed(&platform, secret::REFRESH_TOKEN), stored);
        let record = Record::load(&platform, PKID).unwrap();
        assert_eq!(record.organization(), Some(ORGANIZATION));
        // The answer to the refresh names none: the scopes are those of the same grant.
        assert_eq!(record.body.connection.scopes.len(), 2);
    }
}

#[test]
fn lives_that_a_refresh_omits_are_those_pasted_and_assumed() {
    let bare = reply(200, json!({"access_token": NEW_ACCESS}));
    let platform = with_dead_access_token(bare, Some(organizations(ORGANIZATION)));
    let mut pasted = answer(ALL_SCOPES);
    pasted["refresh_token_expires_in"] = json!(86_400 * 30);
    let connection = paste(&platform, &pasted).unwrap().connection;
    let refresh = connection.refresh_token_expires.unwrap();
    assert_eq!((refresh.at, refresh.assumed), (START + 30 * DAY, true));
    assert!(connection.access_token_expires.unwrap().assumed);
}

#[test]
fn both_tokens_dead_are_told_at_both_fields() {
    let refusal = reply(
        400,
        json!({"error": "invalid_grant", "trackingId": "ROUTER_2"}),
    );
    let platform = with_dead_access_token(refusal, None);
    let faults = faults(paste(&platform, &answer(ALL_SCOPES)));
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["token", "refresh_token"]);
    assert!(faults[0].message.contains("ROUTER_1"), "{faults:?}");
    assert!(faults[1].message.contains("ROUTER_2"), "{faults:?}");
    assert_eq!(platform.documents(), []);
}

#[test]
fn a_refresh_that_does_not_succeed_makes_nothing_and_says_why() {
    for (refreshed, words) in [
        (reply(503, json!({"message": "down"})), "down"),
        (Err(HttpError::Lost("cut off".to_owned())), "may not accept"),
        (
            reply(401, json!({"error": "invalid_client"})),
            "webex.client-id",
        ),
    ] {
        let platform = with_dead_access_token(refreshed, None);
        let failure = paste(&platform, &answer(ALL_SCOPES)).unwrap_err();
        let told = matches!(failure, Failure::Unavailable(_) | Failure::LimitExceeded(_));
        assert!(told, "{failure:?}");
        assert!(failure.to_string().contains(words), "{failure}");
        assert!(failure.to_string().contains("ROUTER_1"), "{failure}");
        assert_eq!(platform.documents(), []);
    }
}

#[test]
fn another_organisation_after_a_refresh_says_that_the_token_was_used() {
    let asked = reply(200, json!({"id": OrgId::parse(OTHER).unwrap().internal()}));
    let platform = with_dead_access_token(new_tokens(Some("rotated")), Some(asked));
    let fields = json!({"account_number": ORGANIZATION});
    let faults = faults(paste_with(&platform, fields, &answer(ALL_SCOPES)));
    assert_eq!(faults[0].field, "account_number");
    assert!(faults[0].message.contains("was used"), "{faults:?}");
    assert!(faults[0].message.contains(OTHER), "{faults:?}");
    assert!(!format!("{faults:?}").contains("rotated"));
    assert_eq!(platform.documents(), []);
}

#[test]
fn new_tokens_are_not_lost_because_webex_cannot_be_asked_whose_they_are() {
    let asked = Some(reply(503, json!({})));
    let platform = with_dead_access_token(new_tokens(Some("rotated")), asked);
    paste(&platform, &answer(ALL_SCOPES)).unwrap();
    assert_eq!(sealed(&platform, secret::REFRESH_TOKEN), "rotated");
    assert!(platform.logged(Level::Warning, ORGANIZATION));
}

#[test]
fn the_records_own_tokens_pasted_again_are_refreshed_and_kept() {
    let platform = MemoryPlatform::connected().unwrap();
    platform.advance(20 * DAY);
    platform.expect(Method::GET, "/v1/organizations", unauthorized());
    let opaque = json!({
        "access_token": "opaque", "expires_in": 60, "refresh_token": "rotated",
        "refresh_token_expires_in": 7_776_000,
    });
    platform.expect(Method::POST, "/v1/access_token", reply(200, opaque));
    platform.expect(Method::GET, "/v1/organizations", reply(503, json!({})));
    let pasted = Secret::new(answer(ALL_SCOPES).to_string());
    modify(&platform, PKID, &Secret::new("{}"), Some(&pasted)).unwrap();
    platform.assert_script_done();
    assert_eq!(sealed(&platform, secret::REFRESH_TOKEN), "rotated");
    assert_eq!(platform.latest_on_unavailable(), Some(OnUnavailable::Keep));
}

#[test]
fn the_records_own_refresh_token_is_not_used_up_for_another_organisation() {
    let platform = MemoryPlatform::connected().unwrap();
    platform.expect(Method::GET, "/v1/organizations", unauthorized());
    let pasted = Secret::new(answer(ALL_SCOPES).to_string());
    let fields = Secret::new(json!({"account_number": OTHER}).to_string());
    let faults = faults(modify(&platform, PKID, &fields, Some(&pasted)));
    assert_eq!(faults[0].field, "account_number");
    assert_eq!(platform.sent().len(), 1);
}

#[test]
fn one_token_pasted_as_both_is_refused_outright() {
    let platform = MemoryPlatform::new();
    let twice = json!({"access_token": ACCESS_TOKEN, "refresh_token": ACCESS_TOKEN});
    assert_eq!(faults(paste(&platform, &twice))[0].field, "refresh_token");
    let fields = json!({
        "token": ACCESS_TOKEN, "token_repeat": ACCESS_TOKEN,
        "refresh_token": ACCESS_TOKEN, "refresh_token_repeat": ACCESS_TOKEN,
    });
    let request = Request {
        pkid: PKID.to_owned(),
        hierarchy: HIERARCHY.to_owned(),
        fields: Secret::new(fields.to_string()),
        token_response: None,
        idempotency_key: None,
    };
    let faults = faults(add(&platform, request));
    assert_eq!(faults[0].field, "refresh_token");
    assert!(!faults[0].message.contains(ACCESS_TOKEN));
    assert!(platform.sent().is_empty());
}

#[test]
fn a_page_in_place_of_webex_takes_no_token_for_good() {
    for status in [200, 403, 404] {
        let platform = MemoryPlatform::new();
        platform.serve(move |_, _| reply_with(status, &[("content-type", "text/html")], "<html>"));
        let failure = paste(&platform, &answer(ALL_SCOPES)).unwrap_err();
        assert!(matches!(failure, Failure::Unavailable(_)), "{failure:?}");
        assert!(failure.to_string().contains("webex.base-url"), "{failure}");
        assert!(failure.to_string().contains("text/html"), "{failure}");
        assert_eq!(platform.documents(), []);
    }
}

/// Returns the expiries taken for both tokens when Webex answers `expiry` for the access token.
fn dated(expiry: Answer, pasted: &Value) -> [(u64, bool); 2] {
    let platform = MemoryPlatform::new();
    platform.expect(
        Method::GET,
        "/v1/organizations",
        organizations(ORGANIZATION),
    );
    platform.expect(Method::GET, "/v1/authorizations/tokenExpiry", expiry);
    let connection = paste(&platform, pasted).unwrap().connection;
    platform.assert_script_done();
    [
        connection.access_token_expires.unwrap(),
        connection.refresh_token_expires.unwrap(),
    ]
    .map(|expiry| (expiry.at, expiry.assumed))
}

#[test]
fn lives_of_a_saved_answer_count_from_its_beginning() {
    let expiry = |at: u64| reply(200, json!({ "exp": at }));
    let pasted = answer(ALL_SCOPES);
    assert_eq!(
        dated(expiry(START + DAY), &pasted),
        [(START + DAY, false), (START + 77 * DAY, false)]
    );
    assert_eq!(
        dated(expiry(START + 14 * DAY), &pasted),
        [(START + 14 * DAY, false), (START + 90 * DAY, false)]
    );
    // Webex's clock is a little ahead of ours.
    assert_eq!(
        dated(expiry(START + 14 * DAY + 20 * SECOND), &pasted),
        [(START + 14 * DAY, false), (START + 90 * DAY, false)]
    );
    let mut bare = pasted.clone();
    bare["expires_in"] = Value::Null;
    assert_eq!(
        dated(expiry(START + HOUR), &bare),
        [(START + HOUR, false), (START + 90 * DAY, true)]
    );
}

#[test]
fn an_end_that_cannot_be_is_not_believed() {
    let assumed = [(START + 14 * DAY, true), (START + 90 * DAY, true)];
    for expiry in [
        reply(200, json!({ "exp": START - 1 })),
        reply(200, json!({ "exp": 0 })),
        reply(200, json!({ "exp": START + 15 * DAY })),
        reply(200, json!({ "exp": u64::MAX })),
        reply(200, json!({ "exp": -1 })),
        reply(200, json!({ "exp": START / 1_000 })),
        reply(200, json!({})),
        reply(403, json!({})),
        reply(404, json!({})),
        reply(401, json!({})),
        reply(429, json!({})),
        reply(503, json!({})),
        reply_with(200, &[], "<html>"),
        Err(HttpError::Lost("cut off".to_owned())),
    ] {
        assert_eq!(dated(expiry, &answer(ALL_SCOPES)), assumed);
    }
}

#[test]
fn without_the_scope_webex_is_not_asked_and_lives_are_assumed() {
    let platform = MemoryPlatform::new();
    platform.expect(
        Method::GET,
        "/v1/organizations",
        organizations(ORGANIZATION),
    );
    let connection = paste(&platform, &answer("spark-admin:organizations_read")).unwrap();
    platform.assert_script_done();
    let access = connection.connection.access_token_expires.unwrap();
    assert_eq!((access.at, access.assumed), (START + 14 * DAY, true));
}

#[test]
fn a_life_that_makes_no_sense_is_still_warned_of() {
    let platform = MemoryPlatform::new();
    platform.serve_organization(ORGANIZATION);
    let mut pasted = answer("");
    pasted["expires_in"] = json!(u64::MAX);
    paste(&platform, &pasted).unwrap();
    assert!(platform.logged(Level::Warning, "ten years"));
}
