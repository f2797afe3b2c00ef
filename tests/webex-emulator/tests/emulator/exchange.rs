//! `grant_type=authorization_code`: once, in time, by the same client, with the same address.

use std::time::Duration;

use http::StatusCode;
use http::header::AUTHORIZATION;
use url::Url;
use webex_emulator::{
    Builder, Consent, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, ErrorStyle, Fault, Organization,
    Outcome,
};

use crate::support::{Answer, TOKEN, World, basic, form, send, text, token_request};

const REDIRECT: &str = "http://127.0.0.1:7777/callback";
// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const SCOPE: &str = "spark-admin:organizations_read spark-admin:people_read";

async fn world(configure: impl FnOnce(Builder) -> Builder) -> World {
    World::with(|builder| configure(builder.redirect_uri(REDIRECT))).await
}

/// A code with the challenge of `VERIFIER`, as far as there is one to be.
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

const WHOLE: [(&str, &str); 5] = [
    ("grant_type", "authorization_code"),
    ("client_id", DEFAULT_CLIENT_ID),
    ("client_secret", DEFAULT_CLIENT_SECRET),
    ("redirect_uri", REDIRECT),
    ("code_verifier", VERIFIER),
];

async fn exchange(world: &World, code: &str) -> Answer {
    world
        .post_form(&[&WHOLE[..], &[("code", code)]].concat())
        .await
        .unwrap()
}

/// The exchange with another value of a field, or without it if the value is empty.
async fn exchange_with(world: &World, code: &str, name: &str, value: &str) -> Answer {
    let mut fields: Vec<_> = WHOLE.into_iter().filter(|(n, _)| *n != name).collect();
    fields.push(("code", code));
    if !value.is_empty() {
        fields.push((name, value));
    }
    world.post_form(&fields).await.unwrap()
}

fn error(answer: &Answer) -> (u16, String) {
    (
        answer.status.as_u16(),
        text(&answer.json(), "error").to_owned(),
    )
}

fn invalid_grant() -> (u16, String) {
    (400, "invalid_grant".to_owned())
}

async fn organization_of(world: &World, access_token: &str) -> String {
    let answer = world.get("/v1/organizations", access_token).await;
    text(&answer.json()["items"][0], "id").to_owned()
}

#[tokio::test]
async fn a_code_is_exchanged_for_tokens_that_work_and_can_be_refreshed() {
    let world = world(|builder| builder).await;
    let answer = exchange(&world, &accepted(&world)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body["scope"], SCOPE);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 1_209_599);
    assert_eq!(body["refresh_token_expires_in"], 7_775_999);
    assert!(world.lives(text(&body, "access_token")).await);
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
    let answer = exchange_with(&world, &code, "client_secret", "").await;
    assert_eq!(error(&answer), (400, "invalid_request".to_owned()));
    let description = "client_secret cannot be null or empty";
    assert_eq!(answer.json()["error_description"], description);
    let wrong = exchange_with(&world, &code, "client_secret", "wrong").await;
    assert_eq!(error(&wrong), (401, "invalid_client".to_owned()));
    assert_eq!(exchange(&world, &code).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_verifier_must_fit_the_challenge_and_the_address_be_the_same() {
    let world = world(|builder| builder).await;
    let code = accepted(&world);
    let other = VERIFIER.replace('d', "e");
    for (name, value) in [
        ("code_verifier", ""),
        ("code_verifier", &other),
        ("code_verifier", CHALLENGE),
        ("redirect_uri", "http://127.0.0.1:7777/callback/"),
    ] {
        let answer = exchange_with(&world, &code, name, value).await;
        assert_eq!(error(&answer), invalid_grant(), "{name}={value}");
    }
    let missing = exchange_with(&world, &code, "redirect_uri", "").await;
    assert_eq!(error(&missing), (400, "invalid_request".to_owned()));
    // A refusal leaves the code as it was.
    assert_eq!(exchange(&world, &code).await.status, StatusCode::OK);
    world.webex.assert_sound();
}

#[tokio::test]
async fn a_verifier_without_a_challenge_is_a_field_too_many_and_ignored() {
    let world = world(|builder| builder).await;
    let code = code(&world, &Consent::accept(&world.organization), false);
    assert_eq!(exchange(&world, &code).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_code_lives_five_minutes() {
    let world = world(|builder| builder).await;
    let (first, second) = (accepted(&world), accepted(&world));
    world.clock.advance(Duration::from_secs(299));
    assert_eq!(exchange(&world, &first).await.status, StatusCode::OK);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(error(&exchange(&world, &second).await), invalid_grant());
}

#[tokio::test]
async fn the_life_of_a_code_can_be_set() {
    let world = world(|builder| builder.code_ttl(Duration::from_secs(2))).await;
    let code = accepted(&world);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(error(&exchange(&world, &code).await), invalid_grant());
}

#[tokio::test]
async fn a_code_is_good_once_and_its_second_use_may_revoke_the_first() {
    for revokes in [false, true] {
        let world = world(|builder| builder.code_reuse_revokes(revokes)).await;
        let code = accepted(&world);
        let tokens = exchange(&world, &code).await.json();
        assert_eq!(error(&exchange(&world, &code).await), invalid_grant());
        assert_eq!(world.lives(text(&tokens, "access_token")).await, !revokes);
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
async fn a_second_try_after_a_lost_answer_is_refused_but_no_fault_of_the_client() {
    let world = world(|builder| builder).await;
    let code = accepted(&world);
    let lost = Fault::reset_after(TOKEN).for_grant_type("authorization_code");
    world.webex.inject(lost);
    // A refresh does not meet it.
    let refreshed = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refreshed.status, StatusCode::OK);
    let fields = [&WHOLE[..], &[("code", code.as_str())]].concat();
    world.post_form(&fields).await.unwrap_err();
    assert_eq!(error(&exchange(&world, &code).await), invalid_grant());
    world.webex.assert_sound();
    let recorded = &world.webex.requests()[1];
    assert_eq!(recorded.status, Outcome::Reset);
    assert_eq!(recorded.grant_type.as_deref(), Some("authorization_code"));
    assert!(recorded.code.is_some());
}

#[tokio::test]
async fn a_code_of_one_client_is_nothing_to_another() {
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
async fn fewer_scopes_or_another_organization_may_be_granted_than_was_hoped_for() {
    let world = world(|builder| builder).await;
    let grant = async |organization: &Organization| {
        let consent = Consent::accept(organization).only(["spark-admin:organizations_read"]);
        exchange(&world, &code(&world, &consent, true)).await.json()
    };
    let fewer = grant(&world.organization).await;
    assert_eq!(fewer["scope"], "spark-admin:organizations_read");
    assert!(!world.lives(text(&fewer, "access_token")).await);
    let other = world.webex.create_organization("Other");
    let wrong = grant(&other).await;
    let token = text(&wrong, "access_token");
    assert_eq!(organization_of(&world, token).await, other.id);
}

#[tokio::test]
async fn a_refused_code_can_have_the_body_of_the_rest_of_the_api() {
    let world = world(|builder| builder.error_style(ErrorStyle::Webex)).await;
    let answer = exchange(&world, "never given out").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let body = answer.json();
    assert!(text(&body, "message").starts_with("The authorization code"));
    assert_eq!(text(&body, "trackingId"), answer.header("trackingid"));
}
