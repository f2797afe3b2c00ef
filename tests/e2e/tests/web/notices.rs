//! Settings of notices, tests of recipients, deliveries and previews.

mod deliveries;
mod secrets;
mod settings;

use relation_e2e::world::World;
use relation_host::clock::Clock as _;
use relation_host::store::{Change, Commit};
use relation_host::types::{Document, Key, Reference};
use serde_json::{Value, json};

pub use self::deliveries::Stored;
use crate::support::Client;

const SETTINGS: &str = "/api/data/NoticeSettings/";
const DELIVERIES: &str = "/api/data/NoticeDelivery/";
/// The path of a webhook, which must not be shown.
const PATH: &str = "canary-path-91d2?key=canary-query-77ab";

/// Returns a webhook.
fn webhook(id: &str, url: &str) -> Value {
    json!({ "type": "webhook", "id": id, "name": format!("The {id}"), "url": url })
}

/// Returns the events of an operation, the earliest first.
async fn events(client: &Client, operation: &str) -> Vec<Value> {
    let list = client.get("/api/data/AuditEvent/").await.expect(200);
    let events = list["resources"].as_array().unwrap().iter().rev();
    let events = events.filter(|event| event["operation"] == operation);
    events.cloned().collect()
}

/// Returns the names of the changed fields of an event.
fn changed(event: &Value) -> Vec<&str> {
    let changes = event["changes"].as_array().unwrap().iter();
    changes
        .map(|change| change["field"].as_str().unwrap())
        .collect()
}

/// Puts a document into the store of a world.
async fn put(world: &World, reference: Reference, node: &str, body: &Value, keys: Vec<Key>) {
    let document = Document {
        reference,
        hierarchy: node.parse().unwrap(),
        version: 0,
        body: body.to_string(),
        keys,
    };
    let commit = Commit {
        changes: vec![Change::Put(document)],
        now: world.clock.now(),
        ..Commit::default()
    };
    world.host().store().commit(commit).await.unwrap();
}
