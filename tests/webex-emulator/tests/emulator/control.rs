//! Consent, roles and licenses through the program's control plane.

use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt as _;
use webex_emulator::DEFAULT_CLIENT_ID;

use crate::program::Program;
use crate::support::{TestResponse, form, send, text};

#[tokio::test]
async fn options_and_control_plane_steer_consent() {
    let redirect = "http://127.0.0.1:7777/callback";
    let mut program = Program::start(&[
        "--organization",
        "First",
        "--redirect-uri",
        redirect,
        "--scope",
        "spark-admin:people_read spark-admin:roles_read",
        "--require-pkce",
        "--code-ttl",
        "1m",
        "--code-reuse-revokes",
    ])
    .await;
    let mut line = String::new();
    program.stdout.read_line(&mut line).await.unwrap();
    assert!(line.starts_with("organization First has the id "), "{line}");
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let decide = async |redirect: &str, scope: &str, challenge: &str| {
        let fields = [
            ("response_type", "code"),
            ("client_id", DEFAULT_CLIENT_ID),
            ("redirect_uri", redirect),
            ("scope", scope),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
            ("decision", "accept"),
        ];
        let request = Request::post(format!("{}/authorize", program.base_url))
            .body(form(&fields))
            .unwrap();
        send(request).await.unwrap()
    };
    let location = |response: &TestResponse| response.header("location").to_owned();
    let roles = "spark-admin:roles_read";
    let response = decide(redirect, roles, challenge).await;
    assert!(location(&response).contains("?code="));
    let without_pkce = decide(redirect, roles, "").await;
    assert!(location(&without_pkce).contains("error=invalid_request"));
    let unregistered = decide(redirect, "spark-admin:licenses_read", challenge).await;
    assert!(location(&unregistered).contains("error=invalid_scope"));

    let second = "http://localhost:7777/";
    let client = json!({"redirectUris": [second], "scopes": ["spark-admin:licenses_read"]});
    let registered = program.post("clients", client).await;
    assert_eq!(registered["clientId"], DEFAULT_CLIENT_ID);
    let refused = decide(redirect, roles, challenge).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let response = decide(second, "spark-admin:licenses_read", challenge).await;
    assert!(location(&response).starts_with("http://localhost:7777/?code="));

    let organization = program
        .post("organizations", json!({"displayName": "Second"}))
        .await;
    let proposal = json!({
        "organization": organization["id"],
        "without": ["spark-admin:licenses_read"],
    });
    let proposed = program.post("consent", proposal).await;
    assert_eq!(proposed["organization"]["displayName"], "Second");
    let nothing = decide(second, "spark-admin:licenses_read", challenge).await;
    assert!(location(&nothing).contains("error=invalid_scope"));
    let first = program.post("consent", json!({})).await;
    assert_eq!(first["organization"]["displayName"], "First");
}

#[tokio::test]
async fn control_plane_changes_directory_and_paging() {
    let program = Program::start(&[]).await;
    let organization = program
        .post("organizations", json!({"displayName": "Example"}))
        .await;
    let grant = program
        .post("grants", json!({"organization": organization["id"]}))
        .await;
    let base = format!("organizations/{}", text(&organization, "uuid"));
    let roles = json!([{"name": "One"}, {"name": "Two"}]);
    let roles = program
        .control("PUT", &format!("{base}/roles"), roles)
        .await
        .json();
    let one = text(&roles[0], "id");
    let renamed = json!({"id": one, "name": "Uno"});
    program
        .post(&format!("{base}/roles"), renamed.clone())
        .await;
    let paging = json!({"page_size": 1, "defect": {"kind": "link-to-itself", "page": 1}});
    program
        .post("paging", json!({"listing": "roles", "paging": paging}))
        .await;
    let list = async || {
        let request = Request::get(format!("{}/roles", program.base_url))
            .header(
                "authorization",
                format!("Bearer {}", text(&grant, "access_token")),
            )
            .body(String::new())
            .unwrap();
        send(request).await.unwrap()
    };
    let page = list().await;
    assert_eq!(page.json(), json!({"items": [renamed]}));
    let itself = format!("<{}/roles>; rel=\"next\"", program.base_url);
    assert_eq!(page.header("link"), itself);
    program
        .post("paging", json!({"listing": "roles", "paging": null}))
        .await;
    let path = format!("{base}/roles/{one}");
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        let removed = program.control("DELETE", &path, Value::Null).await;
        assert_eq!(removed.status, status);
    }
    assert_eq!(list().await.json(), json!({"items": [roles[1]]}));

    let license = json!({"name": "Calling", "totalUnits": 5});
    let made = program.post(&format!("{base}/licenses"), license).await;
    assert_eq!(made["totalUnits"], 5);
    let listed = program.get(&format!("{base}/licenses")).await;
    assert!(listed.as_array().unwrap().contains(&made));
}
