//! The resources, their scopes and their errors.

use http::{Request, StatusCode};
use webex_emulator::{
    CONTACT_CENTER_SCOPES, Consent, DEFAULT_CLIENT_ID, DEFAULT_SCOPES, Emulator, IDENTITY_SCOPES,
    PERSONAL_SCOPES, WHOLESALE_SCOPES,
};

use crate::support::{TestResponse, World, send, text};

#[track_caller]
fn assert_error(response: &TestResponse, status: u16, message: &str) {
    assert_eq!(response.status.as_u16(), status);
    let body = response.json();
    assert_eq!(text(&body, "message"), message);
    assert_eq!(body["errors"][0]["description"], message);
    assert!(text(&body, "trackingId").starts_with("ROUTER_"));
    assert_eq!(text(&body, "trackingId"), response.header("trackingid"));
}

const UNAUTHORIZED: &str =
    "The request requires a valid access token set in the Authorization request header.";
const FORBIDDEN: &str = "The server understood the request, but refused to fulfill it because the access token is missing required scopes or the user is missing required roles or licenses.";
const NOT_FOUND: &str = "The requested resource could not be found.";

#[tokio::test]
async fn a_token_sees_its_own_organization_and_no_other() {
    let world = World::new().await;
    world.webex.create_organization("Another");
    let response = world
        .get("/v1/organizations", world.grant.access_token())
        .await;
    assert_eq!(response.status, StatusCode::OK);
    let body = response.json();
    let items = body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["id"], world.organization.id);
    assert_eq!(items[0]["displayName"], "Example");
    assert_eq!(items[0]["created"], "2023-11-14T22:13:20+00:00");
}

#[tokio::test]
async fn an_organization_is_found_by_its_encoded_id_only() {
    let world = World::new().await;
    let other = world.webex.create_organization("Another");
    let get = async |id: &str| {
        let path = format!("/v1/organizations/{id}");
        world.get(&path, world.grant.access_token()).await
    };
    let found = get(&world.organization.id).await;
    assert_eq!(found.status, StatusCode::OK);
    assert_eq!(found.json()["displayName"], "Example");
    for id in [&world.organization.uuid, &other.id, "nonsense"] {
        assert_error(&get(id).await, 404, NOT_FOUND);
    }
}

#[tokio::test]
async fn an_option_accepts_an_organizations_uuid() {
    let world = World::with(|builder| builder.organization_uuids(true)).await;
    let other = world.webex.create_organization("Another");
    let get = async |id: &str| {
        let path = format!("/v1/organizations/{id}");
        world.get(&path, world.grant.access_token()).await
    };
    for id in [&world.organization.id, &world.organization.uuid] {
        assert_eq!(get(id).await.json()["id"], world.organization.id);
    }
    for id in [&other.uuid, "nonsense"] {
        assert_error(&get(id).await, 404, NOT_FOUND);
    }
}

#[tokio::test]
async fn a_person_belongs_to_the_organization_of_the_token() {
    let world = World::new().await;
    let me = world
        .get("/v1/people/me", world.grant.access_token())
        .await
        .json();
    assert_eq!(me["orgId"], world.organization.id);
    assert!(text(&me, "id").starts_with("Y2lzY29zcGFyazovL3VzL1BFT1BMRS"));
    let again = world
        .webex
        .grant(&world.organization, ["spark:people_read"]);
    let again = world.get("/v1/people/me", again.access_token()).await;
    assert_eq!(again.json()["id"], me["id"], "one administrator");
}

#[tokio::test]
async fn unknown_token_is_unauthorized() {
    let world = World::new().await;
    assert_error(
        &world.get("/v1/people/me", "unknown").await,
        401,
        UNAUTHORIZED,
    );
    let bare = Request::get(world.url("/v1/organizations"));
    let response = send(bare.body(String::new()).unwrap()).await.unwrap();
    assert_error(&response, 401, UNAUTHORIZED);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_errors_of_the_api() {
    let world = World::new().await;
    let token = world.grant.access_token();
    assert_error(&world.get("/v1/nothing", token).await, 404, NOT_FOUND);
    let response = world.delete("/v1/organizations", token).await;
    assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(text(&response.json(), "trackingId").starts_with("ROUTER_"));
}

#[tokio::test]
async fn each_resource_needs_its_scope() {
    let world = World::new().await;
    let organization = format!("/v1/organizations/{}", world.organization.id);
    let role = format!("/v1/roles/{}", world.webex.roles(&world.organization)[0].id);
    let license = &world.webex.licenses(&world.organization)[0].id;
    let license = format!("/v1/licenses/{license}");
    let email = format!("admin@{}.example", world.organization.uuid);
    let listing = format!("/v1/authorizations?personEmail={email}");
    let revoke_id = format!("/v1/authorizations/{}", world.grant.authorization_id());
    let cases = [
        ("GET", "/v1/organizations", "spark-admin:organizations_read"),
        ("GET", &organization, "spark-admin:organizations_read"),
        ("GET", "/v1/people/me", "spark-admin:people_read"),
        ("GET", "/v1/people/me", "spark:people_read"),
        ("GET", &role, "spark-admin:roles_read"),
        ("GET", &license, "spark-admin:licenses_read"),
        ("GET", &listing, "identity:tokens_read"),
        (
            "GET",
            "/v1/authorizations/tokenExpiry",
            "identity:tokens_read",
        ),
        ("DELETE", &revoke_id, "identity:tokens_write"),
    ];
    for (method, path, scope) in cases {
        let others = DEFAULT_SCOPES.iter().filter(|other| {
            !(**other == scope || path == "/v1/people/me" && other.ends_with("people_read"))
        });
        let lacking = world.webex.grant(&world.organization, others.copied());
        let having = world.webex.grant(&world.organization, [scope]);
        let call = async |token: &str| match method {
            "GET" => world.get(path, token).await,
            _ => world.delete(path, token).await,
        };
        assert_error(&call(lacking.access_token()).await, 403, FORBIDDEN);
        let response = call(having.access_token()).await;
        assert!(response.status.is_success(), "{method} {path} with {scope}");
    }
}

#[tokio::test]
async fn default_scopes_exclude_optional_groups() {
    assert!(DEFAULT_SCOPES.contains(&"spark-admin:workspace_locations_read"));
    for scope in DEFAULT_SCOPES {
        assert!(!scope.starts_with("cjp:") && !scope.contains("wholesale"));
    }
}

#[tokio::test]
async fn a_client_may_request_every_scope_of_the_readme() {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n### Scopes\n").nth(1).unwrap();
    let section = section.split("\n### ").next().unwrap();
    let documented = |row: &str| -> Vec<String> {
        let start = format!("| {row} | ");
        let line = section.lines().find_map(|line| line.strip_prefix(&start));
        let codes = line.unwrap().split('`').skip(1).step_by(2);
        codes.map(str::to_owned).collect()
    };
    assert_eq!(documented("`DEFAULT_SCOPES`"), DEFAULT_SCOPES);
    assert_eq!(documented("`WHOLESALE_SCOPES`"), WHOLESALE_SCOPES);
    assert_eq!(documented("`CONTACT_CENTER_SCOPES`"), CONTACT_CENTER_SCOPES);
    assert_eq!(documented("`PERSONAL_SCOPES`"), PERSONAL_SCOPES);
    assert_eq!(documented("`IDENTITY_SCOPES`"), IDENTITY_SCOPES);

    let redirect = "http://127.0.0.1/callback";
    let world = World::with(|builder| builder.redirect_uri(redirect)).await;
    let groups = [
        &DEFAULT_SCOPES[..],
        &WHOLESALE_SCOPES,
        &CONTACT_CENTER_SCOPES,
        &PERSONAL_SCOPES,
        &IDENTITY_SCOPES,
    ];
    let link = format!(
        "{}/authorize?response_type=code&client_id={DEFAULT_CLIENT_ID}&redirect_uri={redirect}&scope={}",
        world.webex.base_url(),
        groups.concat().join("+"),
    );
    let accepted = world
        .webex
        .authorize(&link, &Consent::accept(&world.organization));
    assert!(accepted.unwrap().contains("?code="));
}

#[test]
fn emulator_starts_without_an_async_caller() {
    use std::io::{Read as _, Write as _};

    let webex = Emulator::builder().start_blocking().unwrap();
    let mut stream = std::net::TcpStream::connect(webex.address()).unwrap();
    stream
        .write_all(b"GET /v1/organizations HTTP/1.1\r\nhost: webex\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 401 Unauthorized\r\n"));
}

#[tokio::test]
async fn stopped_emulator_refuses_connections() {
    let World { webex, .. } = World::new().await;
    let url = format!("{}/organizations", webex.base_url());
    webex.shutdown().await;
    let request = Request::get(url).body(String::new()).unwrap();
    let error = send(request).await.unwrap_err();
    assert!(error.contains("refused"), "{error}");
}
