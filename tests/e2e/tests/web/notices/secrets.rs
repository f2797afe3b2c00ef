//! Secrets of recipients, which are shown once, and tests of recipients.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use relation_e2e::world::{DAY, World, WorldBuilder};
use relation_host::clock::Clock as _;
use relation_host::types::Reference;
use ring::hmac;
use serde_json::{Value, json};

use super::{PATH, SETTINGS, changed, events, webhook};
use crate::support::{Client, notices, principal};

const NODE: &str = "sys.A";

/// A request that the receiver got: its headers and its body.
type Received = (HeaderMap, String);

#[derive(Default)]
struct Inbox {
    received: Mutex<Vec<Received>>,
    /// The statuses of the next responses; 204 afterwards.
    statuses: Mutex<VecDeque<u16>>,
}

async fn receive(State(inbox): State<Arc<Inbox>>, request: Request) -> (StatusCode, String) {
    let (parts, body) = request.into_parts();
    // The whole path is needed, also after the settings were saved without it.
    if parts.uri.to_string() != format!("/{PATH}") {
        return (StatusCode::NOT_FOUND, parts.uri.to_string());
    }
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    inbox.received.lock().push((parts.headers, body));
    let status = inbox.statuses.lock().pop_front().unwrap_or(204);
    let status = StatusCode::from_u16(status).unwrap();
    (status, "the reply of the receiver".to_owned())
}

async fn start_receiver() -> (SocketAddr, Arc<Inbox>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let inbox = Arc::new(Inbox::default());
    let router = Router::new()
        .fallback(receive)
        .with_state(Arc::clone(&inbox));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, inbox)
}

/// Returns whether one of the signatures is by this secret.
fn is_signed((headers, body): &Received, secret: &str) -> bool {
    let header = |name: &str| headers[name].to_str().unwrap();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key.unwrap());
    let signed = format!("{id}.{at}.{body}");
    header("webhook-signature").split(' ').any(|signature| {
        let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap());
        hmac::verify(&key, signed.as_bytes(), &tag.unwrap()).is_ok()
    })
}

/// Returns whether a recipient's secret is stored.
async fn has_secret(world: &World, name: &str) -> bool {
    let pkid = stored_pkid(world).await;
    let owner = Reference::new("host/NoticeSettings", pkid.parse().unwrap());
    let sealed = world.host().store().sealed(&owner, name).await;
    sealed.unwrap().is_some()
}

async fn stored_pkid(world: &World) -> String {
    let filter = relation_host::types::Filter {
        model: "host/NoticeSettings".to_owned(),
        hierarchy: None,
        equals: Vec::new(),
    };
    let page = world.host().store().find(&filter, None, 10).await.unwrap();
    page.items[0].reference.pkid.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn test_returns_the_reply_of_the_receiver() {
    let world = WorldBuilder::default().start().await;
    let (address, inbox) = start_receiver().await;
    let origin = format!("http://{address}");
    let notices = notices(&world, std::slice::from_ref(&origin));
    let anonymous = Client::with_options(&world, |options| options.notices = Some(notices)).await;
    let client = anonymous.with(principal("provider-administrator", NODE));
    let path = format!("{SETTINGS}{NODE}/");
    let input = json!({ "recipients": [
        webhook("tickets", &format!("{origin}/{PATH}")), "it@example.com",
    ] });
    let saved = client.json(Method::PUT, &path, &input).await.expect(200);
    let secret = saved["new_secrets"][0]["signing_secret"].as_str().unwrap();
    let test = async |id: &str| {
        let path = format!("{path}recipients/{id}/+Test/");
        client.json(Method::POST, &path, &json!({})).await
    };
    let again = json!({ "recipients": saved["data"]["recipients"] });
    client.json(Method::PUT, &path, &again).await.expect(200);
    let report = test("tickets").await.expect(200);
    assert_eq!(report["sent"], true, "{report}");
    assert!(is_signed(&inbox.received.lock()[0], secret));

    let rotate = format!("{path}recipients/tickets/+RotateSecret/");
    let rotated = client.json(Method::POST, &rotate, &json!({})).await;
    let rotated = rotated.expect(200);
    let new_secret = rotated["signing_secret"].as_str().unwrap();
    let end = world.clock.now().after(DAY).0;
    let shown = client.get(&path).await.expect(200);
    assert_eq!(shown["secrets"]["tickets"]["overlap_end"], end);
    test("tickets").await.expect(200);
    {
        let received = inbox.received.lock();
        assert!(is_signed(&received[1], secret) && is_signed(&received[1], new_secret));
    }
    world.clock.advance(DAY);
    inbox.statuses.lock().push_back(500);
    let failed = test("tickets").await.expect(200);
    assert_eq!(failed["sent"], false, "{failed}");
    let reply = failed["reply"].as_str().unwrap();
    assert!(reply.contains("500"), "{reply}");
    assert!(!reply.contains("canary"), "{reply}");
    let received = inbox.received.lock()[2].clone();
    assert!(!is_signed(&received, secret) && is_signed(&received, new_secret));
    // The operator has configured no mail server.
    let mail = test("it@example.com").await.expect(200);
    assert_eq!(mail["sent"], false, "{mail}");
    assert_eq!(test("unknown").await.status, 404);

    let tests = events(&client, "test-notice-recipient").await;
    let results: Vec<&Value> = tests.iter().map(|event| &event["result"]).collect();
    assert_eq!(results, ["success", "success", "failed", "failed"]);
    let log = client.get("/api/data/AuditEvent/").await.text;
    for canary in [secret, new_secret, "canary"] {
        assert!(!log.contains(canary), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_never_read_back() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let client = anonymous.with(principal("provider-administrator", NODE));
    let path = format!("{SETTINGS}{NODE}/");
    let noc = |address: &str| json!({ "type": "snmp", "id": "noc", "name": "NOC", "address": address, "version": "v2c" });
    let v3 = json!({
        "type": "snmp", "id": "v3", "name": "V3", "address": "192.0.2.3", "version": "v3", "user": "u",
    });
    let hook = webhook("tickets", &format!("https://hooks.example.com/{PATH}"));
    let save = async |recipients: Value| {
        let input = json!({ "recipients": recipients });
        client.json(Method::PUT, &path, &input).await.expect(200)
    };
    let first = save(json!([noc("192.0.2.1"), v3, hook])).await;
    let secret = first["new_secrets"][0]["signing_secret"].as_str().unwrap();
    assert_eq!(first["secrets"]["noc"]["set"], false);
    let set = async |id: &str, body: &Value| {
        let path = format!("{path}recipients/{id}/secrets/");
        client.json(Method::PUT, &path, body).await
    };
    let community = json!({ "community": "canary-community" });
    let passwords = json!({
        "auth_password": "canary-auth-password", "privacy_password": "canary-privacy-password",
    });
    for (id, body, fields) in [
        ("noc", &passwords, vec!["auth_password"]),
        ("noc", &json!({}), vec!["community"]),
        ("noc", &json!({ "community": "" }), vec!["community"]),
        ("v3", &community, vec!["community"]),
        (
            "noc",
            &json!({ "community": "", "x": 1 }),
            vec!["community", "x"],
        ),
        (
            "v3",
            &json!({ "auth_password": "canary", "privacy_password": "short" }),
            vec!["auth_password", "privacy_password"],
        ),
    ] {
        let refused = set(id, body).await;
        refused.expect(422);
        assert_eq!(refused.error_fields(), fields, "{id}");
        assert!(!refused.text.contains("canary"), "{refused:?}");
    }
    assert_eq!(set("tickets", &community).await.status, 404);
    assert_eq!(set("noc", &community).await.status, 204);
    assert_eq!(set("v3", &passwords).await.status, 204);
    let shown = client.get(&path).await;
    let states = shown.expect(200)["secrets"].clone();
    for id in ["noc", "v3", "tickets"] {
        assert_eq!(states[id]["set"], true, "{id}");
    }
    for path in [
        path.clone(),
        format!("{path}resolved/"),
        SETTINGS.to_owned(),
        format!("{SETTINGS}?format=ndjson"),
        "/api/data/AuditEvent/".to_owned(),
    ] {
        let response = client.get(&path).await;
        for canary in ["canary", secret] {
            assert!(!response.text.contains(canary), "{path}: {response:?}");
        }
    }

    // A community is not sent to another receiver. The password of a user is never sent.
    let moved_v3 = json!({
        "type": "snmp", "id": "v3", "name": "V3", "address": "192.0.2.4", "version": "v3", "user": "u",
    });
    let moved = save(json!([noc("192.0.2.2"), moved_v3, hook])).await;
    assert_eq!(moved["secrets"]["noc"]["set"], false);
    assert_eq!(moved["secrets"]["v3"]["set"], true);
    for name in ["webhook.tickets", "webhook-url.tickets", "snmp.v3"] {
        assert!(has_secret(&world, name).await, "{name}");
    }
    // An address without a path has nothing to hide.
    save(json!([webhook("tickets", "https://hooks.example.com/")])).await;
    assert!(!has_secret(&world, "webhook-url.tickets").await);
    save(json!([hook])).await;
    assert!(has_secret(&world, "webhook-url.tickets").await);
    save(json!([])).await;
    for name in [
        "webhook.tickets",
        "webhook-url.tickets",
        "snmp.v3",
        "snmp.noc",
    ] {
        assert!(!has_secret(&world, name).await, "{name}");
    }
    let back = save(json!([hook])).await;
    assert_ne!(back["new_secrets"][0]["signing_secret"], secret);

    let saves = events(&client, "save-notice-settings").await;
    let fields: Vec<Vec<&str>> = saves.iter().map(changed).collect();
    assert_eq!(fields[1], ["recipients", "secrets.noc"]);
    let secrets = events(&client, "set-notice-secrets").await;
    let fields: Vec<Vec<&str>> = secrets.iter().map(changed).collect();
    assert_eq!(fields, [["secrets.noc"], ["secrets.v3"]]);
}
