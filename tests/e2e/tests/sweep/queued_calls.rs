//! `kill -9` at every step of a queued call.

use relation_e2e::World;
use relation_host::transactions::{Status, Transaction, TransactionFilter};
use relation_host::types::{Pkid, QUEUED_CALL_MODEL, RECORD_MODEL};
use relation_host::{AddRequest, QueuedCall};
use serde_json::json;

use crate::{resume, run_victim};

fn contoso() -> AddRequest {
    AddRequest {
        hierarchy: "sys.Provider.Reseller.Customer".parse().unwrap(),
        fields: relation_e2e::world::object(json!({ "name": "Contoso" })),
        token_response: None,
        idempotency_key: None,
    }
}

/// Returns a world in which a call is queued: a delete, or an add. Returns the id of the call's transaction too.
async fn world_with_queued_call(deletes: bool) -> (World, String) {
    let world = World::start().await;
    let host = world.host();
    let call = match deletes {
        false => QueuedCall::Add(contoso()),
        true => QueuedCall::Delete {
            pkid: host.add(contoso()).await.unwrap().value.connection.pkid,
        },
    };
    let id = host.submit(call).await.expect("the call is stored");
    (world, id)
}

async fn read(world: &World, id: &str) -> Transaction {
    let found = world.host().store().transaction(id).await.unwrap();
    found.expect("an acknowledged call has a transaction")
}

async fn sweep_of_a_queued_call(deletes: bool) {
    let (world, _) = world_with_queued_call(deletes).await;
    let pkid = Pkid::random();
    let due = ["due", pkid.as_str()];
    let steps = run_victim(&world, 0, &due);
    println!("an undisturbed call has {} steps", steps.len());
    for wanted in ["before begin", "after commit", "after end"] {
        assert!(steps.iter().any(|step| step == wanted), "{steps:?}");
    }
    for (index, step) in steps.iter().enumerate() {
        let (world, id) = world_with_queued_call(deletes).await;
        run_victim(&world, index + 1, &due);
        resume(&world).await;
        let ended = read(&world, &id).await;
        println!("  killed {step:<20} {}", ended.message);
        assert_eq!(ended.status, Status::Success, "{step}: {}", ended.message);
        let records = world.bodies(RECORD_MODEL).await.len();
        assert_eq!(records, usize::from(!deletes), "{step}");
        assert_eq!(world.bodies(QUEUED_CALL_MODEL).await.len(), 0, "{step}");
        let filter = TransactionFilter {
            action: Some(ended.action),
            ..TransactionFilter::default()
        };
        let calls = world.host().store().transactions(&filter, None, 9).await;
        assert_eq!(calls.unwrap().items.len(), 1, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_queued_add() {
    sweep_of_a_queued_call(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_queued_delete() {
    sweep_of_a_queued_call(true).await;
}
