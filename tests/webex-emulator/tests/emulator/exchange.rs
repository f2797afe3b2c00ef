//! `grant_type=authorization_code`: once, in time, by the same client, with the same address.

use std::time::Duration;

use http::StatusCode;
use http::header::AUTHORIZATION;
use url::Url;
use webex_emulator::{
    Builder, Consent, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, ErrorStyle, Fault, Organization,
    Outcome,
};

use crate::support::{TOKEN, TestResponse, World, basic, form, send, text, token_request};

const REDIRECT: &str = "http://127.0.0.1:7777/callback";
// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const SCOPE: &str = "spark-admin:organizations_read spark-admin:people_read";

async fn world(configure: impl FnOnce(Builder) -> Builder) -> World {
    World::with(|builder| configure(builder.redirect_uri(REDIRECT))).await
}

/// Returns a code with the challenge of `VERIFIER`, if there is one.
fn code(world: &World, consent: &Consent, pkce: bool) -> String {
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", world.webex.client_id()),
        ("redirect_uri", REDIRECT),
        ("scope", SCOPE),
    ];
    if pkce {
        fields.extend([
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
    }
    let link = format!("{}/authorize?{}", world.webex.base_url(), form(&fields));
    let location = world.webex.authorize(&link, consent).unwrap();
    let location = Url::parse(&location).unwrap();
    let (_, code) = location
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap();
    code.into_owned()
}

fn accepted(world: &World) -> String {
    code(world, &Consent::accept(&world.organization), true)
}

const EXCHANGE_FIELDS: [(&str, &str); 5] = [
    ("grant_type", "authorization_code"),
    ("client_id", DEFAULT_CLIENT_ID),
    ("client_secret", DEFAULT_CLIENT_SECRET),
    ("redirect_uri", REDIRECT),
    ("code_verifier", VERIFIER),
];

async fn exchange(world: &World, code: &str) -> TestResponse {
    world
        .post_form(&[&EXCHANGE_FIELDS[..], &[("code", code)]].concat())
        .await
        .unwrap()
}

/// Returns the exchange with another value of a field, or without it if the value is empty.
async fn exchange_with(world: &World, code: &str, name: &str, value: &str) -> TestResponse {
    let mut fields: Vec<_> = EXCHANGE_FIELDS
        .into_iter()
        .filter(|(n, _)| *n != name)
        .collect();
    fields.push(("code", code));
    if !value.is_empty() {
        fields.push((name, value));
    }
    world.post_form(&fields).await.unwrap()
}

fn error(response: &TestResponse) -> (u16, String) {
    (
        response.status.as_u16(),
        text(&response.json(), "error").to_owned(),
    )
}

fn invalid_grant() -> (u16, String) {
    (400, "invalid_grant".to_owned())
}

async fn organization_of(world: &World, access_token: &str) -> String {
    let response = world.get("/v1/organizations", access_token).await;
    text(&response.json()["items"][0], "id").to_owned()
}

#[tokio::test]
async fn code_is_exchanged_for_working_tokens() {
    let world = world(|builder| builder).await;
    let response = exchange(&world, &accepted(&world)).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.header("cache-control"), "no-store");
    let body = response.json();
    assert_eq!(body["scope"], SCOPE);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 1_209_599);
    assert_eq!(body["refresh_token_expires_in"], 7_775_999);
    assert!(world.access_token_works(text(&body, "access_token")).await);
    let refreshed = world.refresh(text(&body, "refresh_token")).await;
    assert_eq!(refreshed.json()["scope"], SCOPE);
    world.webex.assert_sound();
}

#[tokio::test]
async fn the_client_may_name_itself_by_basic() {
    let world = world(|builder| builder).await;
    let code = accepted(&world);
    let mut request = token_request(
        &world.webex.base_url(),
        &[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ],
    );
    let credentials = basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
    request
        .headers_mut()
        .insert(AUTHORIZATION, credentials.parse().unwrap());
    assert_eq!(send(request).await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn the_secret_is_needed_even_with_pkce() {
    let world = world(|builder| builder).await;
    let code = accepted(&world);
    let response = exchange_with(&world, &code, "client_secret", "").await;
    assert_eq!(error(&response), (400, "invalid_request".to_owned()));
    let description = "client_secret cannot be null or empty";
    assert_eq!(response.json()["error_description"], description);
    let wrong = exchange_with(&world, &code, "client_secret", "wrong").await;
    assert_eq!(error(&wrong), (401, "invalid_client".to_owned()));
    assert_eq!(exchange(&world, &code).await.status, StatusCode::OK);
}

#[tokio::test]
async fn exchange_checks_verifier_and_redirect() {
    let world = world(|builder| builder).await;
    let code = accepted(&world);
    let other = VERIFIER.replace('d', "e");
    for (name, value) in [
        ("code_verifier", ""),
        ("code_verifier", &other),
        ("code_verifier", CHALLENGE),
        ("redirect_uri", "http://127.0.0.1:7777/callback/"),
    ] {
        let response = exchange_with(&world, &code, name, value).await;
        assert_eq!(error(&response), invalid_grant(), "{name}={value}");
    }
    let missing = exchange_with(&world, &code, "redirect_uri", "").await;
    assert_eq!(error(&missing), (400, "invalid_request".to_owned()));
    // A rejection leaves the code unchanged.
    assert_eq!(exchange(&world, &code).await.status, StatusCode::OK);
    world.webex.assert_sound();
}

#[tokio::test]
async fn verifier_without_a_challenge_is_ignored() {
    let world = world(|builder| builder).await;
    let code = code(&world, &Consent::accept(&world.organization), false);
    assert_eq!(exchange(&world, &code).await.status, StatusCode::OK);
}

#[tokio::test]
async fn code_expires_after_five_minutes() {
    let world = world(|builder| builder).await;
    let (first, second) = (accepted(&world), accepted(&world));
    world.clock.advance(Duration::from_secs(299));
    assert_eq!(exchange(&world, &first).await.status, StatusCode::OK);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(error(&exchange(&world, &second).await), invalid_grant());
}

#[tokio::test]
async fn code_lifetime_is_configurable() {
    let world = world(|builder| builder.code_ttl(Duration::from_secs(2))).await;
    let code = accepted(&world);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(error(&exchange(&world, &code).await), invalid_grant());
}

#[tokio::test]
async fn reused_code_is_rejected_and_may_revoke() {
    for revokes in [false, true] {
        let world = world(|builder| builder.code_reuse_revokes(revokes)).await;
        let code = accepted(&world);
        let tokens = exchange(&world, &code).await.json();
        assert_eq!(error(&exchange(&world, &code).await), invalid_grant());
        assert_eq!(
            world
                .access_token_works(text(&tokens, "access_token"))
                .await,
            !revokes
        );
        let refreshed = world.refresh(text(&tokens, "refresh_token")).await;
        assert_eq!(refreshed.status == StatusCode::OK, !revokes);
        let violations = world.webex.violations();
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(
            violations[0].contains("authorization code"),
            "{violations:?}"
        );
    }
}

#[tokio::test]
async fn retry_after_a_lost_response_is_not_a_violation() {
    let world = world(|builder| builder).await;
    let code = accepted(&world);
    let lost = Fault::reset_after(TOKEN).for_grant_type("authorization_code");
    world.webex.inject(lost);
    // A refresh does not hit it.
    let refreshed = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refreshed.status, StatusCode::OK);
    let fields = [&EXCHANGE_FIELDS[..], &[("code", code.as_str())]].concat();
    world.post_form(&fields).await.unwrap_err();
    assert_eq!(error(&exchange(&world, &code).await), invalid_grant());
    world.webex.assert_sound();
    let recorded = &world.webex.requests()[1];
    assert_eq!(recorded.status, Outcome::Reset);
    assert_eq!(recorded.grant_type.as_deref(), Some("authorization_code"));
    assert!(recorded.code.is_some());
}

#[tokio::test]
async fn code_of_another_client_is_rejected() {
    let world = World::with(|b| {
        b.client("Cone", "1")
            .redirect_uri(REDIRECT)
            .client("Ctwo", "2")
    });
    let world = world.await;
    let code = accepted(&world);
    let fields = |id, secret| {
        [
            ("grant_type", "authorization_code"),
            ("client_id", id),
            ("client_secret", secret),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("code", code.as_str()),
        ]
    };
    let other = world.post_form(&fields("Ctwo", "2")).await.unwrap();
    assert_eq!(error(&other), invalid_grant());
    let own = world.post_form(&fields("Cone", "1")).await.unwrap();
    assert_eq!(own.status, StatusCode::OK);
}

#[tokio::test]
async fn consent_may_reduce_scopes_or_change_organization() {
    let world = world(|builder| builder).await;
    let grant = async |organization: &Organization| {
        let consent = Consent::accept(organization).only(["spark-admin:organizations_read"]);
        exchange(&world, &code(&world, &consent, true)).await.json()
    };
    let fewer = grant(&world.organization).await;
    assert_eq!(fewer["scope"], "spark-admin:organizations_read");
    assert!(!world.access_token_works(text(&fewer, "access_token")).await);
    let other = world.webex.create_organization("Other");
    let wrong = grant(&other).await;
    let token = text(&wrong, "access_token");
    assert_eq!(organization_of(&world, token).await, other.id);
}

#[tokio::test]
async fn rejected_code_can_use_the_api_error_body() {
    let world = world(|builder| builder.error_style(ErrorStyle::Webex)).await;
    let response = exchange(&world, "never given out").await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    let body = response.json();
    assert!(text(&body, "message").starts_with("The authorization code"));
    assert_eq!(text(&body, "trackingId"), response.header("trackingid"));
}
