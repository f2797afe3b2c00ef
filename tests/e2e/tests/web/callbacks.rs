//! Callbacks: the end of a transaction is posted to the address that the request names, at least once.

mod bounds;
mod refusals;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use relation_e2e::world::{World, WorldBuilder};
use relation_host::WakeupOutcome;
use relation_host::egress::{Client as EgressClient, ClientOptions, Policy};
use relation_host::schedule::DispatcherOptions;
use relation_host::store::{Change, Commit};
use relation_host::transactions::to_callback;
use relation_host::types::Wakeup;
use ring::hmac;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{Client, principal};

const RECORDS: &str = "/api/relation/SparkCustomer/";
const AUTH: &str = "/api/data/ApiCallbackAuth/";
const PASSWORD: &str = "canary-password-51e0";
const TOKEN: &str = "canary-token-77b2";
const IN_URL: &str = "canary-query-c0de";
const SIGNING_KEY: &[u8] = b"canary-signing-key-of-32-bytes!!";

fn signing_secret() -> String {
    format!("whsec_{}", STANDARD.encode(SIGNING_KEY))
}

/// A request that the receiver got.
#[derive(Clone, Debug)]
struct Received {
    path: String,
    headers: HeaderMap,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks the signature as a receiver does.
    fn is_signed(&self) -> bool {
        let (id, at) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = format!("{id}.{at}.{}", self.body);
        let key = hmac::Key::new(hmac::HMAC_SHA256, SIGNING_KEY);
        let tag = self.header("webhook-signature").strip_prefix("v1,");
        let tag = tag.and_then(|tag| STANDARD.decode(tag).ok());
        tag.is_some_and(|tag| hmac::verify(&key, signed.as_bytes(), &tag).is_ok())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Inbox {
    received: Mutex<Vec<Received>>,
    /// The statuses of the next responses; 204 afterwards.
    statuses: Mutex<VecDeque<u16>>,
    /// Whether responses wait for `release`.
    is_held: Mutex<bool>,
    release: Notify,
}

/// A server that receives callbacks.
struct Receiver {
    address: SocketAddr,
    inbox: Arc<Inbox>,
}

async fn receive(State(inbox): State<Arc<Inbox>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    inbox.received.lock().push(Received {
        path: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let is_held = *inbox.is_held.lock();
    if is_held {
        inbox.release.notified().await;
    }
    let status = inbox.statuses.lock().pop_front().unwrap_or(204);
    let location = [(header::LOCATION, "/elsewhere")];
    (StatusCode::from_u16(status).unwrap(), location).into_response()
}

impl Receiver {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inbox = Arc::new(Inbox::default());
        let router = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&inbox));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inbox }
    }

    fn url(&self) -> String {
        format!("http://{}/hook?key={IN_URL}", self.address)
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn respond_with(&self, statuses: &[u16]) {
        self.inbox.statuses.lock().extend(statuses);
    }

    fn received(&self) -> Vec<Received> {
        self.inbox.received.lock().clone()
    }

    /// Starts a world whose policy permits this receiver.
    async fn world(&self) -> World {
        let policy = Policy::parse_callbacks(&[self.origin()]).unwrap();
        let client = EgressClient::new(policy, ClientOptions::default()).unwrap();
        WorldBuilder::default().callbacks(client).start().await
    }
}

async fn administrator(world: &World, node: &str) -> Client {
    let anonymous = Client::anonymous(world).await;
    anonymous.with(principal("provider-administrator", node))
}

/// Submits an add at `sys.A` with a callback; returns the transaction.
async fn submit(client: &Client, name: &str, meta: &Value) -> String {
    let path = format!("{RECORDS}?hierarchy=sys.A&nowait=true");
    let input = json!({ "name": name, "request_meta": meta });
    let queued = client.json(Method::POST, &path, &input).await.expect(202);
    queued["transaction_id"].as_str().unwrap().to_owned()
}

async fn callback(client: &Client, id: &str) -> Value {
    let shown = client.get(format!("/api/tool/Transaction/{id}/")).await;
    shown.expect(200)["callback"].clone()
}

async fn add_credentials(client: &Client, node: &str, name: &str) -> Value {
    let input = json!({
        "name": name, "hierarchy": node, "user_name": "relation", "password": PASSWORD,
        "signing_secret": signing_secret(),
    });
    client.json(Method::POST, AUTH, &input).await.expect(201)
}

#[tokio::test(flavor = "multi_thread")]
async fn success_and_failure_are_posted_and_signed() {
    let receiver = Receiver::start().await;
    let world = receiver.world().await;
    let client = administrator(&world, "sys").await;
    add_credentials(&client, "sys", "crm").await;
    let meta = json!({ "callback_url": receiver.url(), "callback_auth": "crm" });
    let success = submit(&client, "Contoso", &meta).await;
    assert_eq!(callback(&client, &success).await["state"], "waiting");
    world.run_for(Duration::from_secs(1)).await;
    // The name is taken, so this add fails.
    let failure = submit(&client, "Contoso", &meta).await;
    world.run_for(Duration::from_secs(1)).await;
    // A request that waits for its call has a callback too.
    let record = client
        .get(format!("{RECORDS}?name=Contoso"))
        .await
        .expect(200);
    let href = record["resources"][0]["href"].as_str().unwrap().to_owned();
    let change = json!({ "data": { "account_email": "it@example.com" }, "request_meta": meta });
    let modified = client.json(Method::PATCH, &href, &change).await.expect(200);
    let modified = modified["transaction_id"].as_str().unwrap().to_owned();
    world.run_for(Duration::from_secs(1)).await;

    for (id, status) in [
        (&success, "Success"),
        (&failure, "Fail"),
        (&modified, "Success"),
    ] {
        let received: Vec<Received> = receiver.received();
        let mut found = received.iter().filter(|each| each.json().get(id).is_some());
        let posted = found.next().unwrap_or_else(|| panic!("{id}: {received:?}"));
        assert!(found.next().is_none(), "{id} is posted once");
        assert!(posted.is_signed(), "{posted:?}");
        assert_eq!(posted.header("webhook-id"), format!("msg_{id}"));
        assert!(posted.header("authorization").starts_with("Basic "));
        assert_eq!(posted.path, format!("/hook?key={IN_URL}"));
        let polled = client
            .get(format!("/api/tool/Transaction/{id}/poll/"))
            .await;
        assert_eq!(posted.json(), polled.expect(200));
        assert_eq!(posted.json()[id]["status"], status);
        let shown = callback(&client, id).await;
        assert_eq!(
            (&shown["delivered"], &shown["attempts"]),
            (&json!(true), &json!(1))
        );
        assert_eq!(shown["receiver"], receiver.origin());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_receiver_gets_the_same_message_again() {
    let receiver = Receiver::start().await;
    let world = receiver.world().await;
    let client = administrator(&world, "sys").await;
    receiver.respond_with(&[503, 302]);
    let id = submit(
        &client,
        "Contoso",
        &json!({ "callback_url": receiver.url() }),
    )
    .await;
    world.run_for(Duration::from_secs(1)).await;
    let shown = callback(&client, &id).await;
    assert_eq!(
        (&shown["state"], &shown["attempts"]),
        (&json!("waiting"), &json!(1))
    );
    assert!(
        shown["last_error"].as_str().unwrap().contains("503"),
        "{shown}"
    );
    world.run_for(Duration::from_secs(5)).await;
    let shown = callback(&client, &id).await;
    assert!(
        shown["last_error"]
            .as_str()
            .unwrap()
            .contains("redirects are not followed")
    );
    world.run_for(Duration::from_secs(15)).await;
    let shown = callback(&client, &id).await;
    assert_eq!(
        (&shown["state"], &shown["attempts"]),
        (&json!("delivered"), &json!(3))
    );
    assert_eq!(shown["last_error"], Value::Null);
    let received = receiver.received();
    assert!(received.iter().all(|each| each.path.starts_with("/hook")));
    assert!(
        received
            .iter()
            .all(|each| each.header("webhook-id") == format!("msg_{id}"))
    );

    // A receiver that never accepts is given up after a day, one that is gone immediately.
    receiver.respond_with(&[410]);
    let gone = submit(
        &client,
        "Adatum",
        &json!({ "callback_url": receiver.url() }),
    )
    .await;
    world.run_for(Duration::from_secs(1)).await;
    assert_eq!(callback(&client, &gone).await["state"], "failed");
    receiver.respond_with(&[500; 100]);
    let dead = submit(
        &client,
        "Fabrikam",
        &json!({ "callback_url": receiver.url() }),
    )
    .await;
    world.run_for(Duration::from_secs(23 * 3600)).await;
    assert_eq!(callback(&client, &dead).await["state"], "waiting");
    world.run_for(Duration::from_secs(2 * 3600)).await;
    let shown = callback(&client, &dead).await;
    assert_eq!(
        (&shown["state"], &shown["delivered"]),
        (&json!("failed"), &json!(false))
    );
    let attempts = receiver.received().len();
    world.run_for(Duration::from_secs(24 * 3600)).await;
    assert_eq!(receiver.received().len(), attempts);
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_and_cancellation_have_one_callback() {
    let receiver = Receiver::start().await;
    let world = receiver.world().await;
    let client = administrator(&world, "sys").await;
    let meta = json!({ "callback_url": receiver.url() });
    let mut hrefs = Vec::new();
    for name in ["Contoso", "Fabrikam"] {
        hrefs.push(format!("{RECORDS}{}/", client.add("sys.A", name).await.0));
    }
    let canceled = submit(&client, "Adatum", &meta).await;
    let cancel = format!("/api/tool/Transaction/{canceled}/cancel/");
    client
        .json(Method::POST, &cancel, &json!({}))
        .await
        .expect(200);
    let body = json!({ "hrefs": hrefs, "request_meta": meta });
    let bulk = client
        .json(Method::DELETE, RECORDS, &body)
        .await
        .expect(202);
    let bulk = bulk["transaction_id"].as_str().unwrap();
    world.run_for(Duration::from_secs(1)).await;
    let received = receiver.received();
    assert_eq!(received.len(), 2, "{received:?}");
    let status = |id: &str| {
        received
            .iter()
            .find_map(|each| each.json().get(id).cloned())
    };
    assert_eq!(status(&canceled).unwrap()["status"], "Fail");
    assert_eq!(status(bulk).unwrap()["status"], "Success");
}

#[tokio::test(flavor = "multi_thread")]
async fn host_killed_after_the_end_loses_no_callback() {
    let receiver = Receiver::start().await;
    let world = receiver.world().await;
    let client = administrator(&world, "sys").await;
    let path = format!("{RECORDS}?hierarchy=sys.A");
    let input = json!({ "name": "Contoso", "request_meta": { "callback_url": receiver.url() } });
    let added = client.json(Method::POST, &path, &input).await.expect(201);
    let id = added["transaction_id"].as_str().unwrap();
    // The host was killed before it made the wakeup due: the wakeup is as it was before the call.
    let host = world.new_host().await;
    let now = host.clock().now();
    let subject = to_callback(id).unwrap();
    let wakeup = Wakeup {
        id: "callback".to_owned(),
        subject,
        due: now.after(Duration::from_secs(10)),
        deadline: None,
        payload: id.to_owned(),
    };
    let commit = Commit {
        changes: vec![Change::Schedule(wakeup)],
        now,
        ..Commit::default()
    };
    host.store().commit(commit).await.unwrap();
    let dispatcher = host.dispatcher(DispatcherOptions::default());
    let until = now.after(Duration::from_secs(9));
    dispatcher.run_through(&world.clock, until).await.unwrap();
    assert_eq!(receiver.received().len(), 0);
    let until = now.after(Duration::from_secs(11));
    dispatcher.run_through(&world.clock, until).await.unwrap();
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(callback(&client, id).await["state"], "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_receiver_holds_no_place_of_the_dispatcher() {
    let receiver = Receiver::start().await;
    let world = receiver.world().await;
    let client = administrator(&world, "sys").await;
    *receiver.inbox.is_held.lock() = true;
    let path = format!("{RECORDS}?hierarchy=sys.A");
    let input = json!({ "name": "Contoso", "request_meta": { "callback_url": receiver.url() } });
    let added = client.json(Method::POST, &path, &input).await.expect(201);
    let id = added["transaction_id"].as_str().unwrap();
    let subject = to_callback(id).unwrap();
    let due = world
        .host()
        .store()
        .wakeups(&subject)
        .await
        .unwrap()
        .remove(0);
    assert!(due.wakeup.due <= world.host().clock().now());
    let outcome = world.host().run_wakeup(due).await.unwrap();
    assert!(matches!(outcome, WakeupOutcome::Gone), "{outcome:?}");
    let shown = callback(&client, id).await;
    assert_eq!(
        (&shown["state"], &shown["attempts"]),
        (&json!("waiting"), &json!(1))
    );
    receiver.inbox.release.notify_one();
    *receiver.inbox.is_held.lock() = false;
    world.run_for(Duration::from_secs(1)).await;
    let shown = callback(&client, id).await;
    assert_eq!(
        (&shown["state"], &shown["attempts"]),
        (&json!("delivered"), &json!(1))
    );
}
