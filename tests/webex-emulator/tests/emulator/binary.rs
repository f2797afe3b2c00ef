//! The program with its control plane, as a process.

use std::io::Write as _;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::process::Command;
use webex_emulator::DEFAULT_CLIENT_ID;

use crate::program::Program;
use crate::support::{refresh_request, send, text, token_request};

#[tokio::test]
async fn program_prints_its_address_and_stops_on_signal() {
    for signal in ["-INT", "-TERM"] {
        let program = Program::start(&[]).await;
        let expected = format!("/v1 (client id {DEFAULT_CLIENT_ID})\n");
        assert!(program.first_line.ends_with(&expected));
        assert!(program.base_url.starts_with("http://127.0.0.1:"));
        assert_eq!(program.stop(signal).await, (0, String::new()));
    }
}

#[tokio::test]
async fn a_grant_from_the_control_plane_can_be_refreshed() {
    let program = Program::start(&["--access-ttl", "20s", "--refresh-ttl", "60s"]).await;
    let response = program
        .control("POST", "organizations", json!({"displayName": "Example"}))
        .await;
    assert_eq!(response.status, StatusCode::CREATED);
    let organization = response.json();
    assert_eq!(organization["displayName"], "Example");
    for field in ["id", "uuid"] {
        let grant = program
            .post("grants", json!({"organization": organization[field]}))
            .await;
        assert_eq!(grant["expires_in"], 20);
        assert_eq!(grant["refresh_token_expires_in"], 60);
        assert_eq!(grant["token_type"], "Bearer");
        let refreshed = program.refresh(text(&grant, "refresh_token")).await;
        assert_eq!(refreshed.status, StatusCode::OK);
    }
    let scopes = json!(["spark:people_read", "cjp:config_read"]);
    let grant = program
        .post(
            "grants",
            json!({"organization": organization["uuid"], "scopes": scopes}),
        )
        .await;
    assert_eq!(grant["scope"], "spark:people_read cjp:config_read");
}

#[tokio::test]
async fn options_reach_the_emulator() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    writeln!(secret, "from a file").unwrap();
    let program = Program::start(&[
        "--mode",
        "omit-refresh-token",
        "--client-id",
        "Cmine",
        "--client-secret-file",
        secret.path().to_str().unwrap(),
        "--error-style",
        "webex",
        "--bare-responses",
    ])
    .await;
    let organization = program
        .post("organizations", json!({"displayName": "Example"}))
        .await;
    let grant = program
        .post("grants", json!({"organization": organization["id"]}))
        .await;
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", "Cmine"),
        ("client_secret", "from a file"),
        ("refresh_token", text(&grant, "refresh_token")),
    ];
    let refreshed = send(token_request(&program.base_url, &fields))
        .await
        .unwrap();
    let keys: Vec<_> = refreshed
        .json()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(keys, ["access_token", "expires_in"]);

    let refused = program.refresh(text(&grant, "refresh_token")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.json().get("message").is_some());
}

#[tokio::test]
async fn control_plane_sets_modes_faults_and_revocations() {
    let program = Program::start(&[]).await;
    let organization = program
        .post("organizations", json!({"displayName": "Example"}))
        .await;
    let grant = program
        .post("grants", json!({"organization": organization["id"]}))
        .await;
    let token = text(&grant, "refresh_token");

    let mode = json!({"mode": "rotate", "reuse_detection": true});
    assert_eq!(program.post("mode", mode.clone()).await, mode);
    for fault in [
        json!({"path": "/v1", "kind": "status", "status": 502, "body": {"a": 1}}),
        json!({"path": "/v1", "kind": "rate-limited", "retry_after": "30"}),
        json!({"path": "/v1", "kind": "reset-before", "count": 2}),
        json!({"path": "/v1", "kind": "patch", "patch": {"expires_in": 0}}),
        json!({"path": "/v1", "kind": "latency", "latency": "1ms"}),
        json!({"path": "/v1", "kind": "huge-body", "bytes": 100, "count": null}),
    ] {
        program.post("faults", fault).await;
    }
    assert_eq!(program.refresh(token).await.json(), json!({"a": 1}));
    assert_eq!(program.refresh(token).await.header("retry-after"), "30");
    for _ in 0..2 {
        let reset = send(refresh_request(&program.base_url, token)).await;
        assert!(reset.unwrap_err().contains("reset"));
    }
    let rotated = program.refresh(token).await.json();
    assert_eq!(rotated["expires_in"], 0);
    let cleared = program.control("DELETE", "faults", Value::Null).await;
    assert_eq!(cleared.status, StatusCode::NO_CONTENT);

    program
        .post("revoke", json!({"token": rotated["refresh_token"]}))
        .await;
    program
        .post("revoke", json!({"organization": organization["uuid"]}))
        .await;
    let refused = program.refresh(text(&rotated, "refresh_token")).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    assert_eq!(program.get("violations").await, json!([]));
    program.refresh(token).await;
    let violations = program.get("violations").await;
    assert_eq!(violations.as_array().unwrap().len(), 1);

    let requests = program.get("requests").await;
    let statuses: Vec<_> = requests
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request["status"].clone())
        .collect();
    let expected = json!([502, 429, "reset", "reset", 200, 400, 400]);
    assert_eq!(Value::Array(statuses), expected);
    assert_eq!(requests[0]["grant_type"], "refresh_token");
    assert!(!requests.to_string().contains(token));
    assert_eq!(program.get("in-flight").await["max"], 1);
}

#[tokio::test]
async fn invalid_control_request_is_explained() {
    let program = Program::start(&[]).await;
    let cases = [
        (
            "organizations",
            json!({"name": "Example"}),
            400,
            "unknown field `name`",
        ),
        ("grants", json!({"organization": "nobody"}), 404, "nobody"),
        ("mode", json!({"mode": "sideways"}), 400, "sideways"),
        (
            "faults",
            json!({"path": "/v1", "kind": "gremlin"}),
            400,
            "gremlin",
        ),
        (
            "faults",
            json!({"path": "/v1", "kind": "latency", "latency": "soon"}),
            400,
            "expected number",
        ),
        ("clients", json!({"clientId": "Cwho"}), 404, "Cwho"),
        ("consent", json!({"organization": "nobody"}), 404, "nobody"),
        (
            "organizations/nobody/roles",
            json!({"name": "One"}),
            404,
            "nobody",
        ),
        (
            "paging",
            json!({"listing": "unicorns", "paging": null}),
            400,
            "unicorns",
        ),
        (
            "revoke",
            json!({"token": "never issued"}),
            404,
            "no such token",
        ),
    ];
    for (path, body, status, part) in cases {
        let response = program.control("POST", path, body).await;
        assert_eq!(response.status.as_u16(), status, "{path}");
        let error = text(&response.json(), "error").to_owned();
        assert!(error.contains(part), "{path}: {error}");
    }
}

#[tokio::test]
async fn missing_secret_file_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_webex-emulator"))
        .args(["--client-secret-file", "/nowhere/secret"])
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("/nowhere/secret"), "{error}");
}
