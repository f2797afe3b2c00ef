//! Changes of one version of a record: a concurrent change is not overwritten.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use relation_e2e::world::{World, WorldBuilder};
use serde_json::{Value, json};

use crate::support::{Client, Gate, principal};

const NODE: &str = "sys.Provider.Customer";

struct TestRecord {
    world: World,
    gate: Arc<Gate>,
    client: Arc<Client>,
    /// The address of the record in the API.
    href: String,
    pkid: String,
}

impl TestRecord {
    async fn start() -> Self {
        let gate = Arc::new(Gate::default());
        let builder = WorldBuilder::default().interceptor(Arc::clone(&gate) as _);
        let world = builder.start().await;
        let client = Client::anonymous(&world).await;
        let client = client.with(principal("provider-administrator", "sys"));
        let (pkid, _) = client.add(NODE, "Contoso").await;
        Self {
            world,
            gate,
            client: Arc::new(client),
            href: format!("/api/relation/SparkCustomer/{pkid}/"),
            pkid,
        }
    }

    async fn etag(&self) -> String {
        let shown = self.client.get(&self.href).await;
        shown.headers[header::ETAG].to_str().unwrap().to_owned()
    }

    fn change(&self, etag: &str, fields: &Value) -> Request<Body> {
        Request::patch(&self.href)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::IF_MATCH, etag)
            .body(Body::from(fields.to_string()))
            .unwrap()
    }

    /// Runs `second` while a change by the API holds the lease of the record, and returns its output.
    async fn run_during_a_change<T>(&self, fields: Value, second: impl Future<Output = T>) -> T {
        self.gate.is_closed.store(true, Ordering::SeqCst);
        let (client, href) = (Arc::clone(&self.client), self.href.clone());
        let first =
            tokio::spawn(async move { client.json(Method::PATCH, &href, &fields).await.status });
        self.gate.reached.notified().await;
        let mut second = pin!(second);
        // The second request has read the version from before the change, and waits for the record.
        let is_waiting = poll_fn(|context| Poll::Ready(second.as_mut().poll(context).is_pending()));
        assert!(is_waiting.await);
        self.gate.opened.notify_one();
        assert_eq!(first.await.unwrap(), StatusCode::OK);
        second.await
    }

    async fn shown(&self) -> Value {
        self.client.get(&self.href).await.expect(200)["data"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_is_compared_under_the_lease() {
    let record = TestRecord::start().await;
    let etag = record.etag().await;
    let second = record.change(&etag, &json!({ "name": "Second" }));
    let second = record.client.send(second);
    let second = record.run_during_a_change(json!({ "name": "First" }), second);
    let refused = second.await.expect(412);
    // It was refused by the call, not before it.
    assert!(refused["transaction_id"].is_string(), "{refused}");
    assert_eq!(record.shown().await["name"], "First");
    let (etag, fields) = (record.etag().await, json!({ "name": "Third" }));
    let again = record.client.send(record.change(&etag, &fields)).await;
    again.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_is_refused_where_it_is_not_compared() {
    let record = TestRecord::start().await;
    let etag = record.etag().await;
    let bulk = json!({ "hrefs": [record.href], "data": { "name": "Bulk" } });
    let delete = json!({ "hrefs": [record.href] });
    let (records, users) = ("/api/relation/SparkCustomer/", "/api/data/User/");
    let add = format!("{records}?hierarchy={NODE}");
    for (method, path, body) in [
        ("PATCH", records, bulk),
        ("DELETE", records, delete),
        ("POST", &add, json!({ "name": "Fabrikam" })),
        ("POST", users, json!({ "name": "ada", "hierarchy": NODE })),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::IF_MATCH, &etag)
            .body(Body::from(body.to_string()))
            .unwrap();
        let refused = record.client.send(request).await;
        let problem = refused.expect(400);
        assert_eq!(refused.error_fields(), ["If-Match"], "{method} {path}");
        let hint = problem["hint"].as_str().unwrap();
        assert!(hint.contains("version of one record"), "{hint}");
    }
    record
        .world
        .run_for(std::time::Duration::from_secs(1))
        .await;
    assert_eq!(record.shown().await["name"], "Contoso");
    for path in [records, users] {
        let list = record.client.get(format!("{path}?hierarchy={NODE}")).await;
        let expected = usize::from(path == records);
        let found = list.expect(200)["resources"].as_array().unwrap().len();
        assert_eq!(found, expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_of_a_queued_change_is_kept() {
    let record = TestRecord::start().await;
    let etag = record.etag().await;
    let mut queued = record.change(&etag, &json!({ "name": "Queued" }));
    *queued.uri_mut() = format!("{}?nowait=true", record.href).parse().unwrap();
    let queued = record.client.send(queued).await.expect(202);
    let now = json!({ "name": "Now" });
    let changed = record.client.json(Method::PATCH, &record.href, &now).await;
    changed.expect(200);
    record
        .world
        .run_for(std::time::Duration::from_secs(1))
        .await;
    let transaction = queued["href"].as_str().unwrap();
    let ended = record.client.get(transaction).await.expect(200);
    assert_eq!(ended["status"], "Fail", "{ended}");
    assert!(
        ended["message"]
            .as_str()
            .unwrap()
            .contains("changed in the meantime")
    );
    assert_eq!(record.shown().await["name"], "Now");
}

#[tokio::test(flavor = "multi_thread")]
async fn form_shows_a_concurrent_change_beside_its_own() {
    let record = TestRecord::start().await;
    let form = |version: &str| {
        let fields = format!("name=Mine&was.name=Contoso&version={version}");
        Request::post(format!("/organizations/{}/edit", record.pkid))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(fields))
            .unwrap()
    };
    let version = record.etag().await.trim_matches('"').to_owned();
    // Another field does not matter.
    let sent = record.client.send(form(&version));
    let other = json!({ "account_email": "it@example.com" });
    let saved = record.run_during_a_change(other, sent).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{saved:?}");
    let shown = record.shown().await;
    assert_eq!(
        (&shown["name"], &shown["account_email"]),
        (&json!("Mine"), &json!("it@example.com"))
    );

    record
        .client
        .json(Method::PATCH, &record.href, &json!({ "name": "Contoso" }))
        .await
        .expect(200);
    let version = record.etag().await.trim_matches('"').to_owned();
    let sent = record.client.send(form(&version));
    let theirs = json!({ "name": "Theirs" });
    let refused = record.run_during_a_change(theirs, sent).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    assert!(refused.text.contains("Theirs") && refused.text.contains("value=\"Mine\""));
    assert_eq!(record.shown().await["name"], "Theirs");
}
