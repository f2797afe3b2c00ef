//! The paths of the identity broker, `/idb/oauth2/v1/…`.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use webex_emulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, ErrorStyle};

use crate::support::{TestResponse, World, basic, form, send, text};

const BASE: &str = "/idb/oauth2/v1";

/// Posts a form with HTTP Basic.
async fn post(world: &World, path: &str, client: &str, fields: &[(&str, &str)]) -> TestResponse {
    let (id, secret) = client.split_once(':').unwrap();
    let request = Request::post(world.url(&format!("{BASE}{path}")))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(AUTHORIZATION, basic(id, secret))
        .body(form(fields))
        .unwrap();
    send(request).await.unwrap()
}

fn default_client() -> String {
    format!("{DEFAULT_CLIENT_ID}:{DEFAULT_CLIENT_SECRET}")
}

async fn revoke(world: &World, client: &str, token: &str) -> TestResponse {
    let fields = [("token", token), ("token_type_hint", "access_token")];
    post(world, "/revoke", client, &fields).await
}

#[tokio::test]
async fn tokens_are_refreshed_at_either_path() {
    let world = World::new().await;
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", world.grant.refresh_token()),
    ];
    let refreshed = post(&world, "/access_token", &default_client(), &fields).await;
    assert_eq!(refreshed.status, StatusCode::OK);
    let token = text(&refreshed.json(), "access_token").to_owned();
    assert!(world.access_token_works(&token).await);
}

#[tokio::test]
async fn consent_is_given_at_either_path() {
    let redirect = "http://127.0.0.1/callback";
    let world = World::with(|builder| builder.redirect_uri(redirect)).await;
    let request = [
        ("response_type", "code"),
        ("client_id", DEFAULT_CLIENT_ID),
        ("redirect_uri", redirect),
        ("scope", "spark:people_read"),
        ("decision", "accept"),
    ];
    let page = Request::get(world.url(&format!("{BASE}/authorize?{}", form(&request[..4]))));
    let page = send(page.body(String::new()).unwrap()).await.unwrap();
    assert_eq!(page.status, StatusCode::OK);
    // Relative, so that the form goes to the path of the page.
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("action=\"authorize\""), "{html}");

    let accepted = post(&world, "/authorize", &default_client(), &request).await;
    assert_eq!(accepted.status, StatusCode::SEE_OTHER);
    let code = accepted.header("location").split_once("code=").unwrap().1;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect),
    ];
    let exchanged = post(&world, "/access_token", &default_client(), &fields).await;
    assert_eq!(exchanged.json()["scope"], "spark:people_read");
}

#[tokio::test]
async fn a_refresh_token_is_revoked_with_its_access_tokens() {
    let world = World::new().await;
    let revoked = revoke(&world, &default_client(), world.grant.refresh_token()).await;
    assert_eq!(revoked.status, StatusCode::OK);
    assert!(revoked.body.is_empty());
    world.webex.assert_sound();
    assert!(!world.access_token_works(world.grant.access_token()).await);
    world.refresh(world.grant.refresh_token()).await;
    assert_eq!(world.webex.violations().len(), 2, "its holder knew it");
}

#[tokio::test]
async fn an_access_token_is_revoked_alone() {
    let world = World::new().await;
    let revoked = revoke(&world, &default_client(), world.grant.access_token()).await;
    assert_eq!(revoked.status, StatusCode::OK);
    assert!(!world.access_token_works(world.grant.access_token()).await);
    let refreshed = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refreshed.status, StatusCode::OK);
}

#[tokio::test]
async fn revocation_of_an_unknown_token_succeeds() {
    let world = World::new().await;
    for _ in 0..2 {
        let revoked = revoke(&world, &default_client(), "never issued").await;
        assert_eq!(revoked.status, StatusCode::OK);
    }
    assert!(world.access_token_works(world.grant.access_token()).await);
}

#[tokio::test]
async fn revocation_needs_the_client_of_the_token() {
    let world = World::with(|b| b.client("Cone", "1").client("Ctwo", "2")).await;
    let token = world.grant.refresh_token();
    for (client, status, error) in [
        ("Cone:wrong", 401, "invalid_client"),
        ("Ctwo:2", 400, "unauthorized_client"),
    ] {
        let refused = revoke(&world, client, token).await;
        assert_eq!(refused.status.as_u16(), status);
        assert_eq!(refused.json()["error"], error);
    }
    let refused = post(&world, "/revoke", "Cone:1", &[]).await;
    assert_eq!(refused.json()["error"], "invalid_request");
    assert!(world.access_token_works(world.grant.access_token()).await);
}

#[tokio::test]
async fn revocation_errors_can_use_the_api_body() {
    let world = World::with(|builder| builder.error_style(ErrorStyle::Webex)).await;
    let refused = revoke(&world, "Cwho:1", "token").await;
    assert_eq!(
        text(&refused.json(), "message"),
        "Client authentication failed."
    );
}
