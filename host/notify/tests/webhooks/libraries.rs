//! The official library of Python verifies our signatures.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use relation_notify::webhook::{DEFAULT_OVERLAP, Rotation, SigningKeys};
use serde_json::{Value, json};

use super::packages;
use super::support::{
    Behavior, NO_CONTENT, Received, Server, client, deliver_at, expiring, real_time,
    report_skipped, secret, secret_text, webhook_with,
};

/// Verifies requests with the library, each with a secret.
fn verify(library: &Path, cases: &[(&str, &Received)]) -> Vec<String> {
    let cases: Vec<Value> = cases
        .iter()
        .map(|(secret, request)| {
            let headers = request.headers.iter();
            let headers = headers.map(|(name, value)| (name.clone(), Value::from(value.as_str())));
            let headers: serde_json::Map<_, _> = headers.collect();
            json!({ "secret": secret, "headers": headers, "body": request.body })
        })
        .collect();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/webhooks/verify.py");
    let mut python = Command::new("python3")
        .arg(program)
        .env("PYTHONPATH", library)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    stdin
        .write_all(Value::from(cases).to_string().as_bytes())
        .unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Sends a message with keys at a time, and returns the request.
async fn receive(keys: SigningKeys, now: DateTime<Utc>) -> Received {
    let server = Server::start(Behavior::respond(&[NO_CONTENT])).await;
    let webhook = webhook_with(client(&[&server.origin()]), &server.origin(), keys);
    deliver_at(&webhook, "msg_1", &expiring(), now)
        .await
        .unwrap();
    server.received().remove(0)
}

/// Returns keys whose secret 1 was replaced by secret 2.
fn rotated(at: DateTime<Utc>) -> SigningKeys {
    let secrets = Rotation::new(secret(1)).rotate(secret(2), at, DEFAULT_OVERLAP);
    SigningKeys {
        secrets: secrets.unwrap(),
        ..SigningKeys::new(secret(9))
    }
}

const VALID: &str = "valid";
const NO_MATCH: &str = "No matching signature found";

#[tokio::test]
async fn official_library_verifies_our_signatures() {
    let library = match packages::install("standardwebhooks-1.1.0", &["standardwebhooks==1.1.0"]) {
        Ok(library) => library,
        Err(reason) => return report_skipped(&reason),
    };
    let now = real_time();
    let during = receive(rotated(now - TimeDelta::hours(23)), now).await;
    let after = receive(rotated(now - TimeDelta::hours(25)), now).await;
    let six_minutes = TimeDelta::minutes(6);
    let early = receive(SigningKeys::new(secret(1)), now - six_minutes).await;
    let late = receive(SigningKeys::new(secret(1)), now + six_minutes).await;
    let mut changed = during.clone();
    changed.body = changed.body.replace("Contoso", "Fabrikam");
    let (old, new, other) = (secret_text(1), secret_text(2), secret_text(3));
    let cases = [
        (old.as_str(), &during),
        (&new, &during),
        (&other, &during),
        (&old, &after),
        (&new, &after),
        (&old, &early),
        (&old, &late),
        (&old, &changed),
    ];
    let expected = [
        VALID,
        VALID,
        NO_MATCH,
        NO_MATCH,
        VALID,
        "Message timestamp too old",
        "Message timestamp too new",
        NO_MATCH,
    ];
    assert_eq!(verify(&library, &cases), expected);
}
