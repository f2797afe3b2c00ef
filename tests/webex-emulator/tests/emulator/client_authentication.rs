//! Client authentication: the clients that get tokens, the two methods, and both bodies of an error.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use serde_json::json;
use webex_emulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPES, ErrorStyle};

use crate::support::{TestResponse, World, basic, form, send, text, token_request};

async fn by_basic(world: &World, authorization: &str) -> TestResponse {
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", world.grant.refresh_token()),
    ];
    let mut request = token_request(&world.webex.base_url(), &fields);
    let value = authorization.parse().unwrap();
    request.headers_mut().insert(AUTHORIZATION, value);
    send(request).await.unwrap()
}

async fn by_form(world: &World, client_id: &str, secret: &str) -> TestResponse {
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", world.grant.refresh_token()),
        ("client_id", client_id),
        ("client_secret", secret),
    ];
    world.post_form(&fields).await.unwrap()
}

fn oauth_error(response: &TestResponse) -> (u16, String) {
    let body = response.json();
    assert!(!text(&body, "error_description").is_empty());
    assert!(!text(&body, "error_uri").is_empty());
    assert!(response.header("trackingid").starts_with("ROUTER_"));
    assert_eq!(response.header("cache-control"), "no-store");
    (response.status.as_u16(), text(&body, "error").to_owned())
}

#[tokio::test]
async fn a_client_may_name_itself_in_the_form_or_by_basic() {
    let world = World::new().await;
    let form = by_form(&world, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET).await;
    assert_eq!(form.status, StatusCode::OK);
    let credentials = basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
    let basic = by_basic(&world, &credentials).await;
    assert_eq!(basic.status, StatusCode::OK);

    let requests = world.webex.requests();
    for request in &requests {
        assert_eq!(request.client_id.as_deref(), Some(DEFAULT_CLIENT_ID));
    }
    assert_eq!(requests[0].client_secret, requests[1].client_secret);
}

#[tokio::test]
async fn basic_credentials_are_form_encoded() {
    let world = World::with(|builder| builder.client("a b", "se:cr&t+%")).await;
    let response = by_basic(&world, &basic("a+b", "se%3Acr%26t%2B%25")).await;
    assert_eq!(response.status, StatusCode::OK);
}

#[tokio::test]
async fn the_default_client_id_has_the_shape_of_a_real_one() {
    let hex = DEFAULT_CLIENT_ID.strip_prefix('C').unwrap();
    assert_eq!(hex.len(), 64);
    assert!(hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[tokio::test]
async fn wrong_secret_or_client_is_invalid_client() {
    let world = World::new().await;
    let invalid = (401, "invalid_client".to_owned());
    let wrong = by_form(&world, DEFAULT_CLIENT_ID, "wrong").await;
    assert_eq!(oauth_error(&wrong), invalid);
    let unknown = by_form(&world, "Cwho", DEFAULT_CLIENT_SECRET).await;
    assert_eq!(oauth_error(&unknown), invalid);
    let wrong = by_basic(&world, &basic(DEFAULT_CLIENT_ID, "wrong")).await;
    assert_eq!(oauth_error(&wrong), invalid);
    assert!(wrong.header("www-authenticate").starts_with("Basic"));
    let response = world.post_form(&[("grant_type", "refresh_token")]).await;
    assert_eq!(oauth_error(&response.unwrap()), invalid);
}

#[tokio::test]
async fn an_empty_secret_has_the_text_that_was_observed() {
    let world = World::new().await;
    let response = by_form(&world, DEFAULT_CLIENT_ID, "").await;
    assert_eq!(oauth_error(&response), (400, "invalid_request".to_owned()));
    assert_eq!(
        response.json()["error_description"],
        "client_secret cannot be null or empty"
    );
}

#[tokio::test]
async fn one_client_cannot_refresh_the_token_of_another() {
    let world = World::with(|b| b.client("Cone", "1").client("Ctwo", "2")).await;
    let refused = by_form(&world, "Ctwo", "2").await;
    assert_eq!(oauth_error(&refused), (400, "invalid_grant".to_owned()));
    assert_eq!(by_form(&world, "Cone", "1").await.status, StatusCode::OK);

    let grant = world
        .webex
        .grant_to("Ctwo", &world.organization, DEFAULT_SCOPES);
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", grant.refresh_token()),
        ("client_id", "Ctwo"),
        ("client_secret", "2"),
    ];
    let response = world.post_form(&fields).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
}

#[tokio::test]
async fn invalid_token_requests_get_rfc_errors() {
    let world = World::new().await;
    let ask = async |fields: &[(&str, &str)]| {
        let mut all = vec![
            ("client_id", DEFAULT_CLIENT_ID),
            ("client_secret", DEFAULT_CLIENT_SECRET),
        ];
        all.extend_from_slice(fields);
        oauth_error(&world.post_form(&all).await.unwrap())
    };
    let invalid_request = (400, "invalid_request".to_owned());
    assert_eq!(ask(&[]).await, invalid_request);
    assert_eq!(
        ask(&[("grant_type", "refresh_token")]).await,
        invalid_request
    );
    assert_eq!(
        ask(&[("grant_type", "authorization_code")]).await,
        invalid_request
    );
    assert_eq!(
        ask(&[("grant_type", "refresh_token"), ("grant_type", "password")]).await,
        invalid_request
    );
    let invalid_grant = (400, "invalid_grant".to_owned());
    let code = [
        ("grant_type", "authorization_code"),
        ("code", "abc"),
        ("redirect_uri", "http://127.0.0.1/"),
    ];
    assert_eq!(ask(&code).await, invalid_grant);
    let token = [("grant_type", "refresh_token"), ("refresh_token", "abc")];
    assert_eq!(ask(&token).await, invalid_grant);
    let password = ask(&[("grant_type", "password")]).await;
    assert_eq!(password, (400, "unsupported_grant_type".to_owned()));
}

#[tokio::test]
async fn json_or_empty_body_is_an_invalid_request() {
    let world = World::new().await;
    let fields = json!({
        "grant_type": "refresh_token",
        "client_id": DEFAULT_CLIENT_ID,
        "client_secret": DEFAULT_CLIENT_SECRET,
        "refresh_token": world.grant.refresh_token(),
    });
    let authorization = basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
    let cases = [
        ("application/json", fields.to_string(), None),
        ("application/json", fields.to_string(), Some(&authorization)),
        ("text/plain", form(&[("grant_type", "refresh_token")]), None),
        ("application/x-www-form-urlencoded", String::new(), None),
        ("", String::new(), None),
        ("", String::new(), Some(&authorization)),
    ];
    for (content_type, body, authorization) in cases {
        let mut request = Request::post(world.url("/v1/access_token"));
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = send(request.body(body).unwrap()).await.unwrap();
        assert_eq!(oauth_error(&response), (400, "invalid_request".to_owned()));
        assert_eq!(
            response.json()["error_description"],
            "grant_type cannot be null or empty"
        );
    }
}

#[tokio::test]
async fn errors_can_use_the_api_body() {
    let world = World::with(|builder| builder.error_style(ErrorStyle::Webex)).await;
    let refused = world.refresh("unknown").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let body = refused.json();
    let message = text(&body, "message");
    assert!(message.starts_with("The refresh token provided is expired"));
    assert_eq!(body["errors"][0]["description"], message);
    assert_eq!(text(&body, "trackingId"), refused.header("trackingid"));
    assert!(body.get("error").is_none());

    let wrong = by_form(&world, DEFAULT_CLIENT_ID, "wrong").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.json().get("message").is_some());
}
