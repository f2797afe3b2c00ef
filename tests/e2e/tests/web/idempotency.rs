//! Adds with an idempotency key: repeated ones, and different ones with the same key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, header};
use relation_e2e::world::{World, WorldBuilder};
use relation_host::schedule::DispatcherOptions;
use serde_json::{Value, json};

use crate::support::{Client, Gate, Response, location, post, principal};

const NODE: &str = "sys.Provider.Customer";
const RECORDS: &str = "/api/relation/SparkCustomer/";
const KEY: &str = "order-17";
const NOWAIT: &str = "&nowait=true";

struct Adds {
    world: World,
    client: Client,
}

impl Adds {
    async fn start() -> Self {
        let world = WorldBuilder::default().start().await;
        let client = Client::anonymous(&world).await;
        let client = client.with(principal("provider-administrator", "sys"));
        Self { world, client }
    }

    async fn send(&self, query: &str, body: &Value) -> Response {
        send(&self.client, query, body).await
    }

    async fn run_queue(&self) {
        let dispatcher = self.world.host().dispatcher(DispatcherOptions::default());
        dispatcher.run_until_idle().await.unwrap();
    }

    async fn names(&self) -> Vec<String> {
        let list = self.client.get(format!("{RECORDS}?order_by=name")).await;
        let list = list.expect(200);
        let resources = list["resources"].as_array().unwrap().iter();
        let names = resources.map(|each| each["data"]["name"].as_str().unwrap().to_owned());
        names.collect()
    }
}

async fn send(client: &Client, query: &str, body: &Value) -> Response {
    let request = Request::post(format!("{RECORDS}?hierarchy={NODE}{query}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("Idempotency-Key", KEY)
        .body(Body::from(body.to_string()));
    client.send(request.unwrap()).await
}

#[track_caller]
fn assert_reused(response: &Response) {
    let problem = response.expect(422);
    assert_eq!(problem["code"], "idempotency-key-reused", "{problem}");
    assert!(problem["hint"].is_string(), "{problem}");
    assert_eq!(problem["transaction_id"], Value::Null, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_with_other_fields_is_refused() {
    let adds = Adds::start().await;
    let contoso = json!({ "name": "Contoso", "account_email": "it@example.com" });
    let first = adds.send("", &contoso).await.expect(201);
    for other in [
        json!({ "name": "Fabrikam" }),
        json!({ "name": "Contoso", "account_email": "other@example.com" }),
        json!({ "name": "Contoso" }),
    ] {
        assert_reused(&adds.send("", &other).await);
        assert_reused(&adds.send(NOWAIT, &other).await);
    }
    let elsewhere = Request::post(format!("{RECORDS}?hierarchy=sys.Elsewhere"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("Idempotency-Key", KEY)
        .body(Body::from(contoso.to_string()));
    assert_reused(&adds.client.send(elsewhere.unwrap()).await);

    // The order of the fields and the data of the platform do not matter.
    let same = json!({
        "data": { "account_email": "it@example.com", "name": "Contoso" },
        "request_meta": { "external_id": "2" },
    });
    let second = adds.send("", &same).await.expect(200);
    assert_eq!(second["pkid"], first["pkid"]);
    let queued = adds.send(NOWAIT, &same).await.expect(202);
    assert_eq!(queued["transaction_id"], first["transaction_id"]);
    assert_eq!(adds.names().await, ["Contoso"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_queued_add_has_the_first_transaction() {
    let adds = Adds::start().await;
    let contoso = json!({ "name": "Contoso" });
    let first = adds.send(NOWAIT, &contoso).await.expect(202);
    let second = adds.send(NOWAIT, &contoso).await.expect(202);
    assert_eq!(second["transaction_id"], first["transaction_id"]);
    assert_reused(&adds.send(NOWAIT, &json!({ "name": "Fabrikam" })).await);
    adds.run_queue().await;
    let third = adds.send(NOWAIT, &contoso).await.expect(202);
    assert_eq!(third["transaction_id"], first["transaction_id"]);
    assert_reused(&adds.send("", &json!({ "name": "Fabrikam" })).await);
    let shown = adds.send("", &contoso).await.expect(200);
    assert_eq!(shown["replayed"], true);
    assert_eq!(adds.names().await, ["Contoso"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_of_another_principal_is_another_key() {
    let adds = Adds::start().await;
    let first = adds.send("", &json!({ "name": "Contoso" })).await;
    let first = first.expect(201);
    let other = Client::anonymous(&adds.world).await;
    let other = other.with(principal("provider-administrator", "sys"));
    let added = send(&other, "", &json!({ "name": "Fabrikam" })).await;
    let added = added.expect(201);
    assert_ne!(added["pkid"], first["pkid"]);
    assert_reused(&send(&other, "", &json!({ "name": "Contoso" })).await);
    assert_eq!(adds.names().await, ["Contoso", "Fabrikam"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_add_and_deleted_record_free_the_key() {
    let adds = Adds::start().await;
    let wrong = json!({ "name": "Contoso", "account_email": "none" });
    let refused = adds.send("", &wrong).await;
    refused.expect(422);
    assert_eq!(refused.error_fields(), ["account_email"]);
    let first = adds.send("", &json!({ "name": "Contoso" })).await;
    let href = first.expect(201)["href"].as_str().unwrap().to_owned();
    let deleted = Request::delete(&href).body(Body::empty()).unwrap();
    adds.client.send(deleted).await.expect(200);
    let second = adds.send("", &json!({ "name": "Fabrikam" })).await;
    second.expect(201);
    // A request that is refused before its call begins does not bind the key either.
    let href = second.json()["href"].as_str().unwrap().to_owned();
    let deleted = Request::delete(&href).body(Body::empty()).unwrap();
    adds.client.send(deleted).await.expect(200);
    let long = json!({ "name": "Contoso", "notes": "x".repeat(1_000_000) });
    assert!(adds.send("", &long).await.status.is_client_error());
    adds.send("", &json!({ "name": "Adatum" }))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_add_waits_for_the_first_one() {
    let gate = Arc::new(Gate::default());
    let builder = WorldBuilder::default().interceptor(Arc::clone(&gate) as _);
    let world = builder.start().await;
    let client = Client::anonymous(&world).await;
    let client = Arc::new(client.with(principal("provider-administrator", "sys")));
    let contoso = json!({ "name": "Contoso" });
    gate.is_closed.store(true, Ordering::SeqCst);
    let (sender, body) = (Arc::clone(&client), contoso.clone());
    let first = tokio::spawn(async move { send(&sender, "", &body).await.expect(201) });
    gate.reached.notified().await;
    assert_reused(&send(&client, "", &json!({ "name": "Fabrikam" })).await);
    let queued = send(&client, NOWAIT, &contoso).await.expect(202);
    let (sender, body) = (Arc::clone(&client), contoso.clone());
    let second = tokio::spawn(async move { send(&sender, "", &body).await.expect(200) });
    gate.opened.notify_one();
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(queued["transaction_id"], first["transaction_id"]);
    assert_eq!(second["pkid"], first["pkid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn form_changed_after_saving_adds_another_record() {
    let adds = Adds::start().await;
    let form = |name| {
        [
            ("hierarchy", NODE),
            ("idempotency_key", KEY),
            ("name", name),
        ]
    };
    let address = |text: String| text.split('?').next().unwrap().to_owned();
    let mut added = Vec::new();
    for name in ["Contoso", "Contoso", "Fabrikam"] {
        let saved = post(&adds.client, "/organizations/new", &form(name)).await;
        added.push(address(location(&saved)));
    }
    assert_eq!(added[0], added[1]);
    assert_ne!(added[0], added[2]);
    assert_eq!(adds.names().await, ["Contoso", "Fabrikam"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_has_neither_the_key_nor_the_request_in_clear() {
    let adds = Adds::start().await;
    let secret = "http://user:canary-proxy-password@192.0.2.1:3128";
    let body =
        json!({ "name": "Contoso", "account_email": "it@example.com", "http_proxy": secret });
    adds.send("", &body).await;
    let stored = adds.world.bodies("host/IdempotencyKey").await;
    assert_eq!(stored.len(), 1);
    let text = format!("{stored:?}");
    for hidden in [KEY, "canary", "Contoso", "it@example.com"] {
        assert!(!text.contains(hidden), "{text}");
    }
    for record in adds.world.bodies("data/SparkCustomer").await {
        assert_ne!(record["idempotency_key"], KEY);
    }
}
