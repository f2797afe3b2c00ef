//! Bounds of deliveries, and the audit log of the credentials that they use.

use std::time::Duration;

use axum::http::Method;
use relation_e2e::world::WorldBuilder;
use relation_host::egress::{Client as EgressClient, ClientOptions, Policy};
use relation_host::transactions::to_callback;
use relation_host::types::CALLBACK_MODEL;
use serde_json::{Value, json};

use super::{RECORDS, Receiver, add_credentials, administrator, callback, submit};
use crate::support::Client;

/// The maximum number of concurrent requests to one receiver.
const MAX_REQUESTS: u64 = 4;
const CALLBACKS: usize = 11;

/// Adds a record with a callback, which is due afterwards.
async fn add(client: &Client, name: &str, url: &str) -> String {
    let path = format!("{RECORDS}?hierarchy=sys.A");
    let input = json!({ "name": name, "request_meta": { "callback_url": url } });
    let added = client.json(Method::POST, &path, &input).await.expect(201);
    added["transaction_id"].as_str().unwrap().to_owned()
}

async fn count_attempts(client: &Client, ids: &[String]) -> u64 {
    let mut begun = 0;
    for id in ids {
        begun += callback(client, id).await["attempts"].as_u64().unwrap();
    }
    begun
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_receiver_gets_few_requests_and_holds_no_other() {
    let (slow, fast) = (Receiver::start().await, Receiver::start().await);
    let policy = Policy::parse_callbacks(&[slow.origin(), fast.origin()]).unwrap();
    let egress = EgressClient::new(policy, ClientOptions::default()).unwrap();
    let world = WorldBuilder::default().callbacks(egress).start().await;
    let client = administrator(&world, "sys").await;
    *slow.inbox.is_held.lock() = true;
    let mut ids = Vec::new();
    for number in 0..CALLBACKS {
        ids.push(add(&client, &format!("Slow {number}"), &slow.url()).await);
    }
    let store = world.host().store();
    for id in &ids {
        let due = store.wakeups(&to_callback(id).unwrap()).await.unwrap();
        for due in due {
            world.host().run_wakeup(due).await.unwrap();
        }
    }
    // Attempts that wait for their receiver are not begun: they are in the store.
    assert_eq!(count_attempts(&client, &ids).await, MAX_REQUESTS);
    let quick = add(&client, "Fast", &fast.url()).await;
    let due = store.wakeups(&to_callback(&quick).unwrap()).await.unwrap();
    world.host().run_wakeup(due[0].clone()).await.unwrap();
    while callback(&client, &quick).await["state"] != "delivered" {
        tokio::task::yield_now().await;
    }
    assert_eq!(count_attempts(&client, &ids).await, MAX_REQUESTS);
    assert!(slow.received().len() as u64 <= MAX_REQUESTS);

    // The end of one delivery makes the next one due, long before its own wakeup.
    *slow.inbox.is_held.lock() = false;
    slow.inbox.release.notify_waiters();
    let release = async {
        loop {
            slow.inbox.release.notify_one();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = world.run_for(Duration::from_secs(1)) => {}
        () = release => {}
    }
    for id in &ids {
        let shown = callback(&client, id).await;
        assert_eq!(
            (&shown["state"], &shown["attempts"]),
            (&json!("delivered"), &json!(1))
        );
    }
    assert_eq!(slow.received().len(), CALLBACKS);
    let stored = world.bodies(CALLBACK_MODEL).await;
    assert_eq!(stored.len(), CALLBACKS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_use_of_credentials_is_audited() {
    let receiver = Receiver::start().await;
    let world = receiver.world().await;
    let client = administrator(&world, "sys").await;
    let credentials = add_credentials(&client, "sys", "crm").await;
    let meta = json!({ "callback_url": receiver.url(), "callback_auth": "crm" });
    receiver.respond_with(&[503]);
    let used = submit(&client, "Contoso", &meta).await;
    let without = json!({ "callback_url": receiver.url() });
    world.run_for(Duration::from_secs(10)).await;
    submit(&client, "Fabrikam", &without).await;
    world.run_for(Duration::from_secs(10)).await;
    let events = async || {
        let listed = client.get("/api/data/AuditEvent/").await.expect(200);
        let events = listed["resources"].as_array().unwrap().clone().into_iter();
        let events = events.filter(|event| event["operation"] == "use-callback-auth");
        events.collect::<Vec<Value>>()
    };
    // The second attempt is a use of its own.
    let uses = events().await;
    assert_eq!(uses.len(), 2, "{uses:?}");
    for event in &uses {
        assert_eq!(event["actor"]["name"], "provider-administrator@sys");
        assert_eq!(event["object"]["name"], "crm");
        assert_eq!(event["object"]["pkid"], credentials["pkid"]);
        assert_eq!(event["transaction"], used.as_str());
        assert_eq!(event["node"], "sys.A");
        assert_eq!(event["result"], "success");
    }
    assert!(uses[0]["at"].as_u64() > uses[1]["at"].as_u64(), "{uses:?}");

    // Credentials that were deleted are not used.
    let queued = submit(&client, "Adatum", &meta).await;
    let path = format!("{}{}/", super::AUTH, credentials["pkid"].as_str().unwrap());
    let deleted = client.json(Method::DELETE, &path, &json!({})).await;
    assert!(deleted.status.is_success(), "{deleted:?}");
    world.run_for(Duration::from_secs(1)).await;
    let shown = callback(&client, &queued).await;
    assert_eq!(shown["last_error"], "the credentials were deleted");
    assert_eq!(events().await.len(), 2);
}
