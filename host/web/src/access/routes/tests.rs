use std::net::IpAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::middleware::from_fn_with_state;
use serde_json::{Value, json};
use tower_service::Service;

use super::routes;
use crate::access::testing::{PASSWORD, World, expose, grant, node};
use crate::access::{
    AccessParts, Authority, ClientAddress, api_keys, authenticate, refuse_cross_site,
};

/// The routes with their layers, as a server puts them together.
struct Server {
    world: World,
    router: Router,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}", self.text))
    }

    fn fields(&self) -> Vec<String> {
        let errors = self.json()["errors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Server {
    fn new() -> Self {
        let world = World::new();
        let parts = world.parts.clone();
        let router = routes::<AccessParts>()
            .layer(from_fn_with_state(parts.clone(), authenticate))
            .layer(from_fn_with_state(parts.clone(), refuse_cross_site))
            .with_state(parts);
        Self { world, router }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let address = ClientAddress(Some(IpAddr::from([192, 0, 2, 1])));
        let request = request.extension(address).body(Body::from(body.to_owned()));
        let response = self.router.clone().call(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Reply {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// Returns the header of a key with this role.
    async fn key(&self, role: &str, at: &str) -> String {
        let new = api_keys::NewApiKey {
            name: role.to_owned(),
            hierarchy: node(at),
            grants: vec![grant(role, at)],
            expires: None,
        };
        let issued = api_keys::add(&self.world.parts, &Authority::Operator, new).await;
        format!("Bearer {}", expose(&issued.unwrap().secret))
    }

    async fn get(&self, key: &str, path: &str) -> Reply {
        self.send(Method::GET, path, &[("authorization", key)], "")
            .await
    }

    async fn post(&self, key: &str, path: &str, body: Value) -> Reply {
        let headers = [("authorization", key)];
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.send(Method::POST, path, &headers, &body).await
    }
}

#[tokio::test]
async fn user_is_added_changed_and_disabled() {
    let server = Server::new();
    let key = server.key("reseller-administrator", "sys.R").await;
    let body = json!({
        "name": "ada", "hierarchy": "sys.R.C",
        "grants": [{"role": "operator", "node": "sys.R.C"}], "language": "de",
    });
    let added = server.post(&key, "/api/data/User/", body).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text);
    let user = added.json();
    let path = format!("/api/data/User/{}/", user["pkid"].as_str().unwrap());
    assert_eq!(added.headers[header::LOCATION], path.as_str());
    assert_eq!(
        (&user["name"], &user["has_password"]),
        (&json!("ada"), &json!(false))
    );
    assert_eq!(server.get(&key, &path).await.json(), user);

    let link = server
        .post(&key, &format!("{path}+SetUpLink/"), Value::Null)
        .await;
    assert_eq!(link.headers[header::CACHE_CONTROL], "no-store");
    let url = link.json()["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:8400/set-up/"), "{url}");

    let headers = [("authorization", key.as_str())];
    let grants = json!({"grants": [{"role": "auditor", "node": "sys.R.C"}]}).to_string();
    let changed = server
        .send(Method::PUT, &format!("{path}grants/"), &headers, &grants)
        .await;
    assert_eq!(changed.json()["grants"][0]["role"], "auditor");
    let disabled = server
        .post(&key, &format!("{path}+Disable/"), Value::Null)
        .await;
    assert_eq!(disabled.json()["disabled"], true);
    let enabled = server
        .post(&key, &format!("{path}+Enable/"), Value::Null)
        .await;
    assert_eq!(enabled.json()["disabled"], false);
}

#[tokio::test]
async fn field_errors_come_at_once_without_values() {
    let server = Server::new();
    let key = server.key("reseller-administrator", "sys.R").await;
    let body = json!({
        "name": 7, "hierarchy": "a..b", "grants": [{"role": "operator"}], "canary-field": "canary-1",
    });
    let refused = server.post(&key, "/api/data/User/", body).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        refused.fields(),
        ["name", "hierarchy", "grants[0]", "canary-field"]
    );
    assert!(!refused.text.contains("canary-1"));
    assert_eq!(
        refused.headers[header::CONTENT_TYPE],
        "application/problem+json"
    );

    let headers = [("authorization", key.as_str())];
    for body in ["{\"name\": \"canary-2", "[\"canary-2\"]", "canary-2"] {
        let unreadable = server
            .send(Method::POST, "/api/data/User/", &headers, body)
            .await;
        assert_eq!(unreadable.status, StatusCode::BAD_REQUEST);
        assert!(!unreadable.text.contains("canary"), "{}", unreadable.text);
    }
}

#[tokio::test]
async fn lists_have_pages_and_totals() {
    let server = Server::new();
    let key = server.key("reseller-administrator", "sys.R").await;
    for number in 0..7 {
        server
            .world
            .add(&format!("user{number}"), "operator", "sys.R")
            .await;
    }
    server.world.add("outside", "operator", "sys.S").await;
    let mut path = "/api/data/User/?limit=3&hierarchy=sys.R".to_owned();
    let mut names = Vec::new();
    for expected in [3, 3, 1] {
        let page = server.get(&key, &path).await.json();
        let resources = page["resources"].as_array().unwrap();
        assert_eq!(resources.len(), expected);
        names.extend(
            resources
                .iter()
                .map(|user| user["name"].as_str().unwrap().to_owned()),
        );
        assert_eq!(
            (&page["pagination"]["total"], &page["pagination"]["limit"]),
            (&json!(7), &json!(3))
        );
        path = page["pagination"]["next"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
    }
    assert!(path.is_empty());
    names.sort_unstable();
    let expected: Vec<String> = (0..7).map(|number| format!("user{number}")).collect();
    assert_eq!(names, expected);

    let skipped = server
        .get(&key, "/api/data/User/?skip=5&count=false")
        .await
        .json();
    assert_eq!(skipped["resources"].as_array().unwrap().len(), 2);
    assert_eq!(
        skipped["pagination"],
        json!({"skip": 5, "limit": 50, "total": null, "total_is_exact": false, "next": null})
    );
    let outside = server.get(&key, "/api/data/User/?hierarchy=sys.S").await;
    assert_eq!(outside.status, StatusCode::NOT_FOUND);
    let wrong = server.get(&key, "/api/data/User/?cursor=x").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn key_is_shown_once_rotated_and_revoked() {
    let server = Server::new();
    let admin = server.key("reseller-administrator", "sys.R").await;
    let body = json!({
        "name": "billing", "hierarchy": "sys.R", "grants": [{"role": "machine", "node": "sys.R"}],
    });
    let added = server.post(&admin, "/api/data/ApiKey/", body).await;
    assert_eq!(added.status, StatusCode::CREATED);
    assert_eq!(added.headers[header::CACHE_CONTROL], "no-store");
    let added = added.json();
    let text = added["key"].as_str().unwrap();
    let path = format!("/api/data/ApiKey/{}/", added["pkid"].as_str().unwrap());
    let session = async |text: &str| server.get(&format!("Bearer {text}"), "/api/session/").await;
    assert_eq!(session(text).await.json()["name"], "billing");
    for shown in [
        server.get(&admin, &path).await,
        server.get(&admin, "/api/data/ApiKey/").await,
    ] {
        assert!(!shown.text.contains(text) && shown.text.contains("billing"));
    }

    let rotate = format!("{path}+Rotate/");
    let rotated = server
        .post(&admin, &rotate, json!({"overlap_seconds": 60}))
        .await
        .json();
    let second = rotated["key"].as_str().unwrap();
    assert_eq!(session(text).await.status, StatusCode::OK);
    assert_eq!(session(second).await.status, StatusCode::OK);
    server
        .post(&admin, &format!("{path}+Revoke/"), Value::Null)
        .await;
    for ended in [session(text).await, session(second).await] {
        assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
    }
    let own = server
        .get(&format!("Bearer {second}"), "/api/data/User/")
        .await;
    assert_eq!(own.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn routes_need_their_permissions() {
    let server = Server::new();
    let user = server.world.add("ada", "operator", "sys.R").await;
    let keys = [
        ("", StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED),
        ("operator", StatusCode::FORBIDDEN, StatusCode::FORBIDDEN),
        ("auditor", StatusCode::FORBIDDEN, StatusCode::OK),
        (
            "customer-administrator",
            StatusCode::OK,
            StatusCode::FORBIDDEN,
        ),
        ("reseller-administrator", StatusCode::OK, StatusCode::OK),
    ];
    for (role, administer, audit) in keys {
        let key = match role {
            "" => "Bearer rel_wrong".to_owned(),
            role => server.key(role, "sys.R").await,
        };
        let user = format!("/api/data/User/{}/", user.pkid);
        for path in ["/api/data/User/", "/api/data/ApiKey/", &user] {
            assert_eq!(
                server.get(&key, path).await.status,
                administer,
                "{role} {path}"
            );
        }
        let events = server.get(&key, "/api/data/AuditEvent/").await;
        assert_eq!(events.status, audit, "{role}");
    }
}

#[tokio::test]
async fn session_begins_and_ends_by_the_api() {
    let server = Server::new();
    server
        .world
        .add_with_password("ada", "operator", "sys.R")
        .await;
    let log_in = |password: &str| json!({"name": "Ada", "password": password}).to_string();
    let refused = server
        .send(
            Method::POST,
            "/api/session/",
            &[],
            &log_in("canary-3-wrong"),
        )
        .await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(!refused.text.contains("canary"));

    let same_site = [("sec-fetch-site", "same-origin")];
    let begun = server
        .send(Method::POST, "/api/session/", &same_site, &log_in(PASSWORD))
        .await;
    assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.text);
    let cookie = begun.headers[header::SET_COOKIE].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let token = cookie.split('=').nth(1).unwrap();
    assert!(!begun.text.contains(token) && !begun.text.contains(PASSWORD));

    let with_cookie = [("cookie", cookie.as_str())];
    let shown = server
        .send(Method::GET, "/api/session/", &with_cookie, "")
        .await
        .json();
    assert_eq!(
        (&shown["kind"], &shown["name"]),
        (&json!("user"), &json!("ada"))
    );
    let role = json!({"role": "operator", "title": "Operator", "node": "sys.R"});
    assert_eq!(shown["roles"], json!([role]));
    assert_eq!(shown["operations"]["refresh"], json!(["sys.R"]));
    assert!(shown["operations"].get("delete").is_none());
    assert!(shown["session"]["expires"].is_u64());

    let foreign = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "cross-site"),
    ];
    let refused = server
        .send(Method::DELETE, "/api/session/", &foreign, "")
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let ended = server
        .send(Method::DELETE, "/api/session/", &with_cookie, "")
        .await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert!(
        ended.headers[header::SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    let after = server
        .send(Method::GET, "/api/session/", &with_cookie, "")
        .await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn log_in_with_failures_says_when_to_retry() {
    let server = Server::new();
    let body = json!({"name": "ada", "password": PASSWORD}).to_string();
    for _ in 0..5 {
        let refused = server.send(Method::POST, "/api/session/", &[], &body).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    let delayed = server.send(Method::POST, "/api/session/", &[], &body).await;
    assert_eq!(delayed.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(delayed.headers[header::RETRY_AFTER], "1");
}

#[tokio::test]
async fn requests_of_a_principal_are_limited() {
    let server = Server::new();
    let key = server.key("operator", "sys").await;
    for _ in 0..1200 {
        assert_eq!(
            server.get(&key, "/api/session/").await.status,
            StatusCode::OK
        );
    }
    let limited = server.get(&key, "/api/session/").await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.headers[header::RETRY_AFTER], "1");
    assert_eq!(
        limited.headers[header::CONTENT_TYPE],
        "application/problem+json"
    );
}

#[tokio::test]
async fn audit_log_is_exported_as_lines() {
    let server = Server::new();
    let key = server.key("auditor", "sys.R").await;
    for number in 0..1100 {
        let event = crate::access::audit::NewAuditEvent::new(
            crate::access::audit::Actor::anonymous(),
            ClientAddress::default(),
            &format!("operation-{number}"),
            &node("sys.R.C"),
        );
        crate::access::audit::record(&server.world.parts, event)
            .await
            .unwrap();
    }
    server.world.add("outside", "operator", "sys.S").await;
    let export = server
        .get(&key, "/api/data/AuditEvent/?format=ndjson")
        .await;
    assert_eq!(export.headers[header::CONTENT_TYPE], "application/x-ndjson");
    let lines: Vec<Value> = export
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1101);
    assert_eq!(lines[0]["operation"], "operation-1099");
    assert_eq!(lines[1100]["operation"], "add-api-key");
    let page = server
        .get(&key, "/api/data/AuditEvent/?limit=1")
        .await
        .json();
    assert_eq!(page["resources"][0], lines[0]);
    assert_eq!(page["pagination"]["total"], 1101);
}
