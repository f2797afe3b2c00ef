//! The authorization request: its errors, and the results of the consent page.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{Request, StatusCode};
use url::Url;
use webex_emulator::{
    Builder, CONTACT_CENTER_SCOPES, Consent, DEFAULT_CLIENT_ID, WHOLESALE_SCOPES,
};

use crate::support::{TestResponse, World, form, send};

const REDIRECT: &str = "http://127.0.0.1:7777/callback?from=webex";
const SCOPE: &str = "spark-admin:organizations_read spark-admin:roles_read";
// RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const REQUEST: [(&str, &str); 5] = [
    ("response_type", "code"),
    ("client_id", DEFAULT_CLIENT_ID),
    ("redirect_uri", REDIRECT),
    ("scope", SCOPE),
    ("state", "st&te"),
];

fn registered(builder: Builder) -> Builder {
    builder.redirect_uri(REDIRECT)
}

/// Returns the request with another value of this parameter, or without it if the value is empty.
fn with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut fields: Vec<_> = REQUEST.into_iter().filter(|(n, _)| *n != name).collect();
    if !value.is_empty() {
        fields.push((name, value));
    }
    fields
}

async fn request_page(world: &World, fields: &[(&str, &str)]) -> TestResponse {
    let url = world.url(&format!("/v1/authorize?{}", form(fields)));
    send(Request::get(url).body(String::new()).unwrap())
        .await
        .unwrap()
}

async fn submit(world: &World, extra: &[(&str, &str)]) -> TestResponse {
    let fields = [&REQUEST[..], extra].concat();
    let request = Request::post(world.url("/v1/authorize"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(&fields))
        .unwrap();
    send(request).await.unwrap()
}

fn page(response: &TestResponse) -> String {
    assert_eq!(response.header("content-type"), "text/html; charset=utf-8");
    assert!(response.headers.contains_key(CONTENT_SECURITY_POLICY));
    assert_eq!(response.header("cache-control"), "no-store");
    String::from_utf8(response.body.to_vec()).unwrap()
}

/// Returns the query of the address to which the browser is redirected.
fn redirected(response: &TestResponse) -> Vec<(String, String)> {
    assert_eq!(response.status, StatusCode::SEE_OTHER);
    query(response.header("location"))
}

fn query(location: &str) -> Vec<(String, String)> {
    assert!(location.starts_with(REDIRECT), "{location}");
    Url::parse(location)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}

fn value<'a>(query: &'a [(String, String)], name: &str) -> &'a str {
    let mut values = query.iter().filter(|(n, _)| n == name);
    let value = values.next().map_or("", |(_, value)| value);
    assert!(values.next().is_none(), "{name} comes once");
    value
}

#[tokio::test]
async fn page_shows_client_administrators_and_scopes() {
    let world = World::with(registered).await;
    world.webex.create_organization("<Second> & \"last\"");
    let page = page(&request_page(&world, &REQUEST).await);
    for part in [
        &format!("<code id=\"client\">{DEFAULT_CLIENT_ID}</code>"),
        "<button id=\"accept\"",
        "<button id=\"decline\"",
        &format!(
            "<option value=\"{}\" selected>Example (admin@",
            world.organization.uuid
        ),
        "&lt;Second&gt; &amp; &quot;last&quot;",
        "value=\"spark-admin:roles_read\" checked>",
        "name=\"state\" value=\"st&amp;te\"",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    for absent in ["<Second>", "<script", "src=", "href=", "//"] {
        let page = page
            .replace("http://127.0.0.1:7777", "")
            .replace("http:&#x2F;&#x2F;", "");
        assert!(!page.contains(absent), "{absent} in {page}");
    }
}

#[tokio::test]
async fn invalid_client_or_redirect_stays_on_the_page() {
    let world = World::with(registered).await;
    let twice = [&REQUEST[..], &[("redirect_uri", REDIRECT)]].concat();
    for (fields, reason) in [
        (with("client_id", "<b>who</b>"), "&lt;b&gt;who&lt;"),
        (with("client_id", ""), "client_id is missing"),
        (with("redirect_uri", ""), "redirect_uri is missing"),
        (
            with("redirect_uri", "http://127.0.0.1:7777/callback"),
            "not registered",
        ),
        (
            with("redirect_uri", "http://localhost:7777/callback?from=webex"),
            "not registered",
        ),
        (twice, "more than once"),
    ] {
        let response = request_page(&world, &fields).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
        assert!(!response.headers.contains_key("location"));
        let page = page(&response);
        assert!(page.contains(reason), "{reason} in {page}");
    }
}

#[tokio::test]
async fn other_request_errors_redirect_with_the_state() {
    let world = World::with(registered).await;
    let challenge = |pairs: &[(&'static str, &'static str)]| [&REQUEST[..], pairs].concat();
    for (fields, error) in [
        (with("response_type", "token"), "unsupported_response_type"),
        (with("response_type", ""), "invalid_request"),
        (with("scope", ""), "invalid_scope"),
        (
            with("scope", "spark-admin:roles_read spark:all"),
            "invalid_scope",
        ),
        (
            challenge(&[("code_challenge", CHALLENGE)]),
            "invalid_request",
        ),
        (
            challenge(&[
                ("code_challenge", CHALLENGE),
                ("code_challenge_method", "plain"),
            ]),
            "invalid_request",
        ),
        (
            challenge(&[
                ("code_challenge", "short"),
                ("code_challenge_method", "S256"),
            ]),
            "invalid_request",
        ),
        (
            challenge(&[("code_challenge_method", "S256")]),
            "invalid_request",
        ),
        (
            challenge(&[("scope", "spark-admin:people_read")]),
            "invalid_request",
        ),
    ] {
        let query = redirected(&request_page(&world, &fields).await);
        assert_eq!(value(&query, "error"), error, "{fields:?}");
        assert_ne!(value(&query, "error_description"), "");
        assert_eq!(value(&query, "state"), "st&te");
        assert_eq!(value(&query, "from"), "webex");
        assert_eq!(value(&query, "code"), "");
    }
}

#[tokio::test]
async fn pkce_is_optional_unless_it_is_required() {
    let world = World::with(|builder| registered(builder).require_pkce(true)).await;
    let query = redirected(&request_page(&world, &REQUEST).await);
    assert_eq!(value(&query, "error"), "invalid_request");
    let pkce = [
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let response = request_page(&world, &[&REQUEST[..], &pkce].concat()).await;
    assert_eq!(response.status, StatusCode::OK);
    let world = World::with(registered).await;
    assert_eq!(request_page(&world, &REQUEST).await.status, StatusCode::OK);
}

#[tokio::test]
async fn known_scopes_are_allowed_unless_others_registered() {
    let scopes = [&WHOLESALE_SCOPES[..], &CONTACT_CENTER_SCOPES]
        .concat()
        .join(" ");
    let mut fields = REQUEST.to_vec();
    fields[3] = ("scope", &scopes);
    let world = World::with(registered).await;
    assert_eq!(request_page(&world, &fields).await.status, StatusCode::OK);
    world.webex.set_scopes(["spark-admin:people_read"]);
    let query = redirected(&request_page(&world, &fields).await);
    assert_eq!(value(&query, "error"), "invalid_scope");
}

#[tokio::test]
async fn accepting_redirects_with_code_and_state() {
    let world = World::with(registered).await;
    let query = redirected(&submit(&world, &[("decision", "accept")]).await);
    assert!(value(&query, "code").len() > 40);
    assert_eq!(value(&query, "state"), "st&te");
    assert_eq!(value(&query, "error"), "");
}

#[tokio::test]
async fn declining_and_failing_are_oauth_errors() {
    let world = World::with(registered).await;
    for (decision, error) in [("decline", "access_denied"), ("fail", "server_error")] {
        let query = redirected(&submit(&world, &[("decision", decision)]).await);
        assert_eq!(value(&query, "error"), error);
        assert_ne!(value(&query, "error_description"), "");
        assert_eq!(value(&query, "state"), "st&te");
    }
}

#[tokio::test]
async fn invalid_decision_stays_on_the_page() {
    let world = World::with(registered).await;
    for extra in [
        &[][..],
        &[("decision", "perhaps")],
        &[("decision", "accept"), ("organization", "nobody")],
    ] {
        let response = submit(&world, extra).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{extra:?}");
        page(&response);
    }
}

#[tokio::test]
async fn without_a_ticked_scope_nothing_is_granted() {
    let world = World::with(registered).await;
    let nothing = [("decision", "accept"), ("choose", "scopes")];
    let query = redirected(&submit(&world, &nothing).await);
    assert_eq!(value(&query, "error"), "invalid_scope");
}

#[tokio::test]
async fn page_proposes_the_configured_defaults() {
    let world = World::with(registered).await;
    let second = world.webex.create_organization("Second");
    world.webex.propose(&second);
    world.webex.propose_without(["spark-admin:roles_read"]);
    let page = page(&request_page(&world, &REQUEST).await);
    assert!(page.contains(&format!("<option value=\"{}\" selected>", second.uuid)));
    assert!(page.contains("value=\"spark-admin:organizations_read\" checked>"));
    assert!(page.contains("value=\"spark-admin:roles_read\">"));
}

#[tokio::test]
async fn a_link_can_be_followed_without_a_browser() {
    let world = World::with(registered).await;
    let link = format!("{}/authorize?{}", world.webex.base_url(), form(&REQUEST));
    let go = |consent: &Consent| query(&world.webex.authorize(&link, consent).unwrap());
    let accepted = go(&Consent::accept(&world.organization));
    assert_ne!(value(&accepted, "code"), "");
    assert_eq!(value(&go(&Consent::decline()), "error"), "access_denied");
    let failed = go(&Consent::fail("temporarily_unavailable", "later"));
    assert_eq!(value(&failed, "error_description"), "later");

    let elsewhere = link.replace("7777", "7778");
    let refused = world.webex.authorize(&elsewhere, &Consent::decline());
    assert!(refused.unwrap_err().to_string().contains("not registered"));
    world
        .webex
        .add_redirect_uri(&REDIRECT.replace("7777", "7778"));
    world
        .webex
        .authorize(&elsewhere, &Consent::decline())
        .unwrap();
}

#[tokio::test]
async fn state_and_code_are_not_recorded() {
    let world = World::with(registered).await;
    request_page(&world, &with("state", "hush-hush")).await;
    let recorded = serde_json::to_string(&world.webex.requests()).unwrap();
    assert!(recorded.contains("/v1/authorize"));
    assert!(!recorded.contains("hush-hush"));
}
