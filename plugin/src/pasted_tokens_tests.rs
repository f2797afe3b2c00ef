//! Pasted tokens: refused ones, old ones, those of another organization, and responses that are not
//! Webex's.

use http::Method;
use serde_json::{Value, json};

use crate::platform::{
    Failure, FieldError, HttpError, HttpResponse, Level, Millis, OnUnavailable, Reference, Secret,
    UnixMillis,
};
use crate::record::{Record, State, secret};
use crate::reports::AddReport;
use crate::testing::{
    ACCESS_TOKEN, DAY, HIERARCHY, HOUR, MemoryPlatform, ORGANIZATION, PKID, REFRESH_TOKEN, SECOND,
    START, json_response, raw_response,
};
use crate::webex::ids::OrgId;
use crate::workflows::add::{Request, add};
use crate::workflows::modify::modify;

const OTHER: &str = "00000000-0000-4000-8000-000000000000";
const NEW_ACCESS: &str = "TmV3_P0A1_8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";
const ALL_SCOPES: &str = "identity:tokens_read spark-admin:organizations_read";

type ResponseResult = Result<HttpResponse, HttpError>;

fn token_response(scopes: &str) -> Value {
    json!({
        "access_token": ACCESS_TOKEN, "expires_in": 1_209_600, "token_type": "Bearer",
        "refresh_token": REFRESH_TOKEN, "refresh_token_expires_in": 7_776_000, "scope": scopes,
    })
}

fn paste_with(
    platform: &MemoryPlatform,
    fields: Value,
    token_response: &Value,
) -> Result<AddReport, Failure> {
    let request = Request {
        pkid: PKID.to_owned(),
        hierarchy: HIERARCHY.to_owned(),
        fields: Secret::new(fields.to_string()),
        token_response: Some(Secret::new(token_response.to_string())),
        idempotency_key: None,
    };
    add(platform, request)
}

fn paste(platform: &MemoryPlatform, token_response: &Value) -> Result<AddReport, Failure> {
    paste_with(platform, json!({}), token_response)
}

fn errors<T: std::fmt::Debug>(result: Result<T, Failure>) -> Vec<FieldError> {
    match result {
        Err(Failure::Invalid(errors)) => errors,
        other => panic!("not refused as invalid: {other:?}"),
    }
}

fn unauthorized() -> ResponseResult {
    json_response(
        401,
        json!({"message": "The request requires a valid access token.", "trackingId": "ROUTER_1"}),
    )
}

fn organizations(uuid: &str) -> ResponseResult {
    let id = OrgId::parse(uuid).unwrap().internal();
    json_response(200, json!({"items": [{ "id": id }]}))
}

fn new_tokens(refresh_token: Option<&str>) -> ResponseResult {
    json_response(
        200,
        json!({
            "access_token": NEW_ACCESS, "expires_in": 1_209_600,
            "refresh_token": refresh_token, "refresh_token_expires_in": 7_000_000,
        }),
    )
}

/// Scripts a Webex that refuses the pasted access token. It responds to a refresh with `refreshed`,
/// and to the request for the new organization with `organization_response`.
fn with_dead_access_token(
    refreshed: ResponseResult,
    organization_response: Option<ResponseResult>,
) -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    platform.expect(Method::GET, "/v1/organizations", unauthorized());
    platform.expect_with(Method::POST, "/v1/access_token", |platform, _| {
        let sent = platform.sent().pop().unwrap();
        assert_eq!(sent.form("refresh_token").as_deref(), Some(REFRESH_TOKEN));
        refreshed
    });
    if let Some(organization_response) = organization_response {
        platform.expect(Method::GET, "/v1/organizations", organization_response);
    }
    platform
}

fn sealed(platform: &MemoryPlatform, name: &str) -> String {
    let secret = platform.secret(&Reference::record(PKID), name);
    secret.unwrap().expose().to_owned()
}

#[test]
fn refused_access_token_is_refreshed_first() {
    for (given, stored) in [(Some("rotated"), "rotated"), (None, REFRESH_TOKEN)] {
        let organization_response = Some(organizations(ORGANIZATION));
        let platform = with_dead_access_token(new_tokens(given), organization_response);
        let added = paste(&platform, &token_response(ALL_SCOPES)).unwrap();
        platform.assert_script_done();
        let kept = Some(OnUnavailable::Keep);
        assert_eq!(platform.latest_on_unavailable(), kept);
        let connection = &added.connection;
        assert_eq!(connection.state, State::MissingScope);
        let access = connection.access_token_expires.unwrap();
        assert_eq!((access.at, access.assumed), ((START + 14 * DAY).0, false));
        let refresh = connection.refresh_token_expires.unwrap();
        assert_eq!(
            (refresh.at, refresh.assumed),
            ((START + 7_000_000 * SECOND).0, false)
        );
        assert_eq!(sealed(&platform, secret::ACCESS_TOKEN), NEW_ACCESS);
        assert_eq!(sealed(&platform, secret::REFRESH_TOKEN), stored);
        let record = Record::load(&platform, PKID).unwrap();
        assert_eq!(record.organization(), Some(ORGANIZATION));
        // The refresh response names no scopes, so the pasted ones of the same grant are kept.
        assert_eq!(record.body.connection.scopes.len(), 2);
    }
}

#[test]
fn omitted_lifetimes_are_assumed_from_pasted_tokens() {
    let bare = json_response(200, json!({"access_token": NEW_ACCESS}));
    let platform = with_dead_access_token(bare, Some(organizations(ORGANIZATION)));
    let mut pasted = token_response(ALL_SCOPES);
    pasted["refresh_token_expires_in"] = json!(86_400 * 30);
    let connection = paste(&platform, &pasted).unwrap().connection;
    let refresh = connection.refresh_token_expires.unwrap();
    assert_eq!((refresh.at, refresh.assumed), ((START + 30 * DAY).0, true));
    assert!(connection.access_token_expires.unwrap().assumed);
}

#[test]
fn two_refused_tokens_are_reported_at_both_fields() {
    let refusal = json_response(
        400,
        json!({"error": "invalid_grant", "trackingId": "ROUTER_2"}),
    );
    let platform = with_dead_access_token(refusal, None);
    let errors = errors(paste(&platform, &token_response(ALL_SCOPES)));
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["token", "refresh_token"]);
    assert!(errors[0].message.contains("ROUTER_1"), "{errors:?}");
    assert!(errors[1].message.contains("ROUTER_2"), "{errors:?}");
    assert_eq!(platform.documents(), []);
}

#[test]
fn failed_refresh_stores_nothing_and_says_why() {
    for (refreshed, words) in [
        (json_response(503, json!({"message": "down"})), "down"),
        (Err(HttpError::Lost("cut off".to_owned())), "may not accept"),
        (
            json_response(401, json!({"error": "invalid_client"})),
            "client id and the client secret",
        ),
    ] {
        let platform = with_dead_access_token(refreshed, None);
        let failure = paste(&platform, &token_response(ALL_SCOPES)).unwrap_err();
        let is_passing = matches!(failure, Failure::Unavailable(_) | Failure::LimitExceeded(_));
        assert!(is_passing, "{failure:?}");
        assert!(failure.to_string().contains(words), "{failure}");
        assert!(failure.to_string().contains("ROUTER_1"), "{failure}");
        assert_eq!(platform.documents(), []);
    }
}

#[test]
fn wrong_organization_after_refresh_says_token_used() {
    let organization_response =
        json_response(200, json!({"id": OrgId::parse(OTHER).unwrap().internal()}));
    let platform = with_dead_access_token(new_tokens(Some("rotated")), Some(organization_response));
    let fields = json!({"account_number": ORGANIZATION});
    let errors = errors(paste_with(&platform, fields, &token_response(ALL_SCOPES)));
    assert_eq!(errors[0].field, "account_number");
    assert!(errors[0].message.contains("was used"), "{errors:?}");
    assert!(errors[0].message.contains(OTHER), "{errors:?}");
    assert!(!format!("{errors:?}").contains("rotated"));
    assert_eq!(platform.documents(), []);
}

#[test]
fn new_tokens_are_stored_on_503_for_organization() {
    let organization_response = Some(json_response(503, json!({})));
    let platform = with_dead_access_token(new_tokens(Some("rotated")), organization_response);
    paste(&platform, &token_response(ALL_SCOPES)).unwrap();
    assert_eq!(sealed(&platform, secret::REFRESH_TOKEN), "rotated");
    assert!(platform.logged(Level::Warning, ORGANIZATION));
}

#[test]
fn pasting_stored_tokens_refreshes_and_stores_them() {
    let platform = MemoryPlatform::connected().unwrap();
    platform.advance(20 * DAY);
    platform.expect(Method::GET, "/v1/organizations", unauthorized());
    let opaque = json!({
        "access_token": "opaque", "expires_in": 60, "refresh_token": "rotated",
        "refresh_token_expires_in": 7_776_000,
    });
    platform.expect(Method::POST, "/v1/access_token", json_response(200, opaque));
    platform.expect(
        Method::GET,
        "/v1/organizations",
        json_response(503, json!({})),
    );
    let pasted = Secret::new(token_response(ALL_SCOPES).to_string());
    modify(&platform, PKID, &Secret::new("{}"), Some(&pasted)).unwrap();
    platform.assert_script_done();
    assert_eq!(sealed(&platform, secret::REFRESH_TOKEN), "rotated");
    assert_eq!(platform.latest_on_unavailable(), Some(OnUnavailable::Keep));
}

#[test]
fn stored_token_is_not_used_for_other_organization() {
    let platform = MemoryPlatform::connected().unwrap();
    platform.expect(Method::GET, "/v1/organizations", unauthorized());
    let pasted = Secret::new(token_response(ALL_SCOPES).to_string());
    let fields = Secret::new(json!({"account_number": OTHER}).to_string());
    let errors = errors(modify(&platform, PKID, &fields, Some(&pasted)));
    assert_eq!(errors[0].field, "account_number");
    assert_eq!(platform.sent().len(), 1);
}

#[test]
fn same_token_pasted_as_both_is_refused() {
    let platform = MemoryPlatform::new();
    let twice = json!({"access_token": ACCESS_TOKEN, "refresh_token": ACCESS_TOKEN});
    assert_eq!(errors(paste(&platform, &twice))[0].field, "refresh_token");
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
    let errors = errors(add(&platform, request));
    assert_eq!(errors[0].field, "refresh_token");
    assert!(!errors[0].message.contains(ACCESS_TOKEN));
    assert!(platform.sent().is_empty());
}

#[test]
fn foreign_response_confirms_no_token() {
    for status in [200, 403] {
        let platform = MemoryPlatform::new();
        platform
            .serve(move |_, _| raw_response(status, &[("content-type", "text/html")], "<html>"));
        let failure = paste(&platform, &token_response(ALL_SCOPES)).unwrap_err();
        assert!(matches!(failure, Failure::Unavailable(_)), "{failure:?}");
        assert!(failure.to_string().contains("webex.base-url"), "{failure}");
        assert!(failure.to_string().contains("text/html"), "{failure}");
        assert_eq!(platform.documents(), []);
    }
    // The base address is wrong, so trying again later does not help.
    let platform = MemoryPlatform::new();
    platform.serve(|_, _| raw_response(404, &[], "<html>"));
    let failure = paste(&platform, &token_response(ALL_SCOPES)).unwrap_err();
    assert!(matches!(failure, Failure::LimitExceeded(_)), "{failure:?}");
    assert!(failure.to_string().contains("webex.base-url"), "{failure}");
    assert_eq!(platform.documents(), []);
}

/// Returns the stored expiries of both tokens when Webex responds with `expiry` for the access
/// token.
fn dated(expiry: ResponseResult, pasted: &Value) -> [(UnixMillis, bool); 2] {
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
    .map(|expiry| (UnixMillis(expiry.at), expiry.assumed))
}

#[test]
fn lifetimes_of_saved_response_count_from_its_issue() {
    let expiry = |at: UnixMillis| json_response(200, json!({ "exp": at }));
    let pasted = token_response(ALL_SCOPES);
    assert_eq!(
        dated(expiry(START + DAY), &pasted),
        [(START + DAY, false), (START + 77 * DAY, false)]
    );
    assert_eq!(
        dated(expiry(START + 14 * DAY), &pasted),
        [(START + 14 * DAY, false), (START + 90 * DAY, false)]
    );
    // Webex's clock is slightly ahead.
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
fn implausible_token_expiry_is_ignored() {
    let assumed = [(START + 14 * DAY, true), (START + 90 * DAY, true)];
    for expiry in [
        json_response(200, json!({ "exp": START - Millis(1) })),
        json_response(200, json!({ "exp": 0 })),
        json_response(200, json!({ "exp": START + 15 * DAY })),
        json_response(200, json!({ "exp": u64::MAX })),
        json_response(200, json!({ "exp": -1 })),
        json_response(200, json!({ "exp": START.0 / 1_000 })),
        json_response(200, json!({})),
        json_response(403, json!({})),
        json_response(404, json!({})),
        json_response(401, json!({})),
        json_response(429, json!({})),
        json_response(503, json!({})),
        raw_response(200, &[], "<html>"),
        Err(HttpError::Lost("cut off".to_owned())),
    ] {
        assert_eq!(dated(expiry, &token_response(ALL_SCOPES)), assumed);
    }
}

#[test]
fn lifetimes_are_assumed_without_the_expiry_scope() {
    let platform = MemoryPlatform::new();
    platform.expect(
        Method::GET,
        "/v1/organizations",
        organizations(ORGANIZATION),
    );
    let connection = paste(&platform, &token_response("spark-admin:organizations_read")).unwrap();
    platform.assert_script_done();
    let access = connection.connection.access_token_expires.unwrap();
    assert_eq!((access.at, access.assumed), ((START + 14 * DAY).0, true));
}

#[test]
fn invalid_lifetime_is_logged_as_warning() {
    let platform = MemoryPlatform::new();
    platform.serve_organization(ORGANIZATION);
    let mut pasted = token_response("");
    pasted["expires_in"] = json!(u64::MAX);
    paste(&platform, &pasted).unwrap();
    assert!(platform.logged(Level::Warning, "ten years"));
}
