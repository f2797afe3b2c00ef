//! Requests wait for the end of their calls for a limited time, and a call continues without its request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use relation_e2e::world::{World, WorldBuilder};
use relation_host::imports::Import;
use serde_json::{Value, json};

use crate::support::{Client, Gate, Response, principal};

/// Waits until a transaction has ended, and returns it.
async fn ended(client: &Client, href: &str) -> Value {
    let ended = async {
        loop {
            let shown = client.get(href).await.expect(200);
            if shown["status"] != "Processing" {
                return shown;
            }
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, ended).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_call_goes_on_after_the_response() {
    let gate = Arc::new(Gate::default());
    let builder = WorldBuilder::default().interceptor(Arc::clone(&gate) as _);
    let world = builder.start().await;
    let root = principal("provider-administrator", "sys");
    let patient = Client::anonymous(&world).await.with(root.clone());
    let (pkid, _) = patient.add("sys.A", "Contoso").await;
    let href = format!("/api/relation/SparkCustomer/{pkid}/");
    let client = Client::with_options(&world, |options| options.call_wait = Duration::ZERO).await;
    let client = client.with(root);

    gate.is_closed.store(true, Ordering::SeqCst);
    let change = json!({ "name": "Fabrikam" });
    let response = client.json(Method::PATCH, &href, &change).await.expect(202);
    let transaction = response["href"].as_str().unwrap();
    let shown = client.get(transaction).await.expect(200);
    assert_eq!(shown["status"], "Processing", "{shown}");
    gate.opened.notify_one();
    assert_eq!(ended(&client, transaction).await["status"], "Success");
    let shown = client.get(&href).await.expect(200);
    assert_eq!(shown["data"]["name"], "Fabrikam");
}

/// A call that is held, and a client that does not wait for ends.
struct Held {
    _world: World,
    gate: Arc<Gate>,
    client: Client,
    /// The address of the transaction.
    href: String,
    /// The page of the transaction.
    page: String,
}

impl Held {
    async fn start(import: Import, method: Method, action: &str) -> Self {
        let gate = Arc::new(Gate {
            import: Some(import),
            ..Gate::default()
        });
        let builder = WorldBuilder::default().interceptor(Arc::clone(&gate) as _);
        let world = builder.start().await;
        let root = principal("provider-administrator", "sys");
        let patient = Client::anonymous(&world).await.with(root.clone());
        let (pkid, _) = patient.add("sys.A", "Contoso").await;
        let client = Client::with_options(&world, |options| options.call_wait = Duration::ZERO);
        let client = client.await.with(root);
        gate.is_closed.store(true, Ordering::SeqCst);
        let path = format!("/api/relation/SparkCustomer/{pkid}/{action}");
        let running = client.json(method, &path, &json!({})).await.expect(202);
        gate.reached.notified().await;
        let id = running["transaction_id"].as_str().unwrap();
        Self {
            href: format!("/api/tool/Transaction/{id}/"),
            page: client.get(format!("/transactions/{id}")).await.text,
            _world: world,
            gate,
            client,
        }
    }

    async fn cancel(&self) -> Response {
        let cancel = format!("{}cancel/", self.href);
        self.client.json(Method::POST, &cancel, &json!({})).await
    }

    async fn end(&self) -> Value {
        self.gate.opened.notify_one();
        ended(&self.client, &self.href).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn running_import_is_asked_to_end() {
    let held = Held::start(Import::StorageGet, Method::POST, "+SyncUsers/").await;
    let page = &held.page;
    assert!(page.contains("Stop after this step"), "{page}");
    let asked = held.cancel().await.expect(202);
    let detail = asked["detail"].as_str().unwrap();
    assert!(detail.contains("was asked to end"), "{asked}");
    held.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_delete_is_not_reported_as_canceled() {
    let held = Held::start(Import::StorageCommit, Method::DELETE, "").await;
    let page = &held.page;
    assert!(!page.contains("/cancel\""), "{page}");
    let refused = held.cancel().await;
    let detail = refused.expect(409)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("runs already"), "{detail}");
    let ended = held.end().await;
    assert_eq!(ended["status"], "Success");
    assert!(!ended["log"].to_string().contains("cancel"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_leaves_cancels_nothing() {
    let gate = Arc::new(Gate::default());
    let builder = WorldBuilder::default().interceptor(Arc::clone(&gate) as _);
    let world = builder.start().await;
    let client = Client::anonymous(&world).await;
    let client = Arc::new(client.with(principal("provider-administrator", "sys")));
    let (pkid, _) = client.add("sys.A", "Contoso").await;
    let href = format!("/api/relation/SparkCustomer/{pkid}/");
    gate.is_closed.store(true, Ordering::SeqCst);
    let (leaving, path) = (Arc::clone(&client), href.clone());
    let request = tokio::spawn(async move {
        let change = json!({ "name": "Fabrikam" });
        leaving.json(Method::PATCH, &path, &change).await.status
    });
    gate.reached.notified().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    gate.opened.notify_one();
    let newest = client
        .get("/api/tool/Transaction/?limit=1")
        .await
        .expect(200);
    let transaction = newest["resources"][0]["href"].as_str().unwrap();
    assert_eq!(ended(&client, transaction).await["status"], "Success");
    let shown = client.get(&href).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert_eq!(shown.json()["data"]["name"], "Fabrikam");
}
