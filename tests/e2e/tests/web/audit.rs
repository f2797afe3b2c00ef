//! The audit log of changes of records: the person, the fields, and no value of a secret.

use axum::body::Body;
use axum::http::{Method, Request, header};
use relation_e2e::world::WorldBuilder;
use serde_json::{Value, json};

use crate::support::{Client, principal};

const EVENTS: &str = "/api/data/AuditEvent/";

/// Returns the events that a client sees, the earliest first.
async fn events(client: &Client) -> Vec<Value> {
    let list = client.get(EVENTS).await.expect(200);
    let events = list["resources"].as_array().unwrap().iter();
    events.rev().cloned().collect()
}

fn operations(events: &[Value]) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for event in events {
        let operation = event["operation"].as_str().unwrap();
        found.push((operation, event["result"].as_str().unwrap()));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_the_api_are_recorded() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let client = anonymous.with(principal("provider-administrator", "sys.A"));
    let (pkid, added) = client.add("sys.A.B", "Contoso").await;
    let href = format!("/api/relation/SparkCustomer/{pkid}/");
    let change = json!({ "account_email": "it@example.com", "name": "Contoso" });
    let changed = client.json(Method::PATCH, &href, &change).await.expect(200);
    let wrong = json!({ "account_email": "canary-1", "token": "canary-2", "canary-3": "canary-4" });
    client.json(Method::PATCH, &href, &wrong).await.expect(422);
    let proxy = json!({ "http_proxy": "http://bob:canary-5@proxy.example.com:3128/" });
    let later = format!("{href}?nowait=true");
    let queued = client.json(Method::PATCH, &later, &proxy).await.expect(202);
    let action = format!("{href}+CheckTokenExpiry/");
    client
        .json(Method::POST, &action, &json!({}))
        .await
        .expect(200);
    let dry = format!("{href}?dry_run=true");
    client
        .json(Method::DELETE, &dry, &json!({}))
        .await
        .expect(200);
    let bulk = json!({ "hrefs": [href], "data": { "name": "Fabrikam" } });
    let path = "/api/relation/SparkCustomer/";
    let bulk = client.json(Method::PATCH, path, &bulk).await.expect(202);
    let cancel = format!("{}cancel/", bulk["href"].as_str().unwrap());
    client
        .json(Method::POST, &cancel, &json!({}))
        .await
        .expect(200);
    client
        .json(Method::DELETE, &href, &json!({}))
        .await
        .expect(200);

    let events = events(&client).await;
    let expected = [
        ("add-record", "success"),
        ("modify-record", "success"),
        ("modify-record", "refused"),
        ("modify-record", "queued"),
        ("CheckTokenExpiry", "success"),
        ("modify-record", "queued"),
        ("cancel-transaction", "success"),
        ("delete-record", "success"),
    ];
    assert_eq!(operations(&events), expected);
    for event in &events {
        assert_eq!(event["actor"]["name"], "provider-administrator@sys.A");
        assert!(event["transaction"].is_string(), "{event}");
    }
    assert_eq!(events[0]["transaction"], added.as_str());
    assert_eq!(events[0]["object"]["pkid"], pkid.as_str());
    assert_eq!(events[0]["object"]["name"], "Contoso");
    assert_eq!(events[1]["node"], "sys.A.B");
    assert_eq!(events[1]["transaction"], changed["transaction_id"]);
    // The name is the same as before.
    let change = json!([{ "field": "account_email", "after": "it@example.com" }]);
    assert_eq!(events[1]["changes"], change);
    // A queued request is recorded when it is accepted.
    assert_eq!(events[3]["transaction"], queued["transaction_id"]);
    assert_eq!(events[3]["changes"], json!([{ "field": "http_proxy" }]));
    // The auditors of the record's node may not see the bulk, but its part.
    let part = format!("{}.0001", bulk["transaction_id"].as_str().unwrap());
    assert_eq!(events[5]["transaction"], part.as_str());
    let auditor = anonymous.with(principal("auditor", "sys.A.B"));
    let part = auditor.get(format!("/api/tool/Transaction/{part}/")).await;
    assert_eq!(part.expect(200)["subject_name"], "Contoso");
    let export = client.get(format!("{EVENTS}?format=ndjson")).await;
    for secret in ["canary-1", "canary-2", "canary-4", "canary-5"] {
        assert!(!export.text.contains(secret), "{secret}: {}", export.text);
    }
    let page = client.get("/audit").await;
    assert!(page.text.contains("modify-record") && page.text.contains("it@example.com"));
    let elsewhere = anonymous.with(principal("auditor", "sys.AB"));
    assert!(self::events(&elsewhere).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_add_is_recorded_once() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    let add = || {
        Request::post("/api/relation/SparkCustomer/?hierarchy=sys.A")
            .header(header::CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", "order-17")
            .body(Body::from(r#"{"name": "Contoso"}"#))
            .unwrap()
    };
    let first = client.send(add()).await.expect(201);
    for _ in 0..2 {
        client.send(add()).await.expect(200);
    }
    let events = events(&client).await;
    assert_eq!(operations(&events), [("add-record", "success")]);
    assert_eq!(events[0]["transaction"], first["transaction_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_the_page_are_recorded() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    let post = async |path: &str, fields: &str| {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(fields.to_owned()))
            .unwrap();
        let response = client.send(request).await;
        assert_eq!(response.status, 303, "{response:?}");
        response.headers[header::LOCATION]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let added = post("/organizations/new", "hierarchy=sys.A&name=Contoso").await;
    let path = added.split('?').next().unwrap();
    post(&format!("{path}/edit"), "name=Fabrikam&was.name=Contoso").await;
    post(&format!("{path}/connect"), "grant=organization").await;
    post(&format!("{path}/delete"), "confirmed=yes").await;
    let events = events(&client).await;
    let expected = [
        ("add-record", "success"),
        ("modify-record", "success"),
        ("Connect", "success"),
        ("delete-record", "success"),
    ];
    assert_eq!(operations(&events), expected);
    let change = json!([{ "field": "name", "before": "Contoso", "after": "Fabrikam" }]);
    assert_eq!(events[1]["changes"], change);
}
