//! `kill -9` at every step of a queued call.

use relation_e2e::World;
use relation_host::transactions::{Status, Transaction, TransactionFilter};
use relation_host::types::{Pkid, QUEUED_CALL_MODEL, RECORD_MODEL};
use relation_host::{AddRequest, QueuedCall};
use serde_json::json;

use crate::{resume, run_victim, version};

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

/// Returns a world in which a modification of one version of a record is queued, the id of its transaction, and the record.
async fn world_with_queued_modification() -> (World, String, Pkid) {
    let world = World::start().await;
    let host = world.host();
    let pkid = host.add(contoso()).await.unwrap().value.connection.pkid;
    let version = version(&world, &pkid).await;
    let call = QueuedCall::Modify {
        pkid: pkid.clone(),
        fields: relation_e2e::world::object(json!({ "account_email": "it@example.com" })),
        token_response: None,
    };
    let id = host.for_version(Some(version)).submit(call).await;
    (world, id.expect("the call is stored"), pkid)
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

/// Kills a host at every step of a queued modification of one version. `changes`: before the next attempt, another call
/// modifies the record.
async fn sweep_of_a_queued_modification(changes: bool) {
    let (world, ..) = world_with_queued_modification().await;
    let due = Pkid::random();
    let due = ["due", due.as_str()];
    let steps = run_victim(&world, 0, &due);
    let committed = steps.iter().position(|step| step == "after commit");
    let committed = committed.expect("the call commits");
    for (index, step) in steps.iter().enumerate() {
        let (world, id, pkid) = world_with_queued_modification().await;
        run_victim(&world, index + 1, &due);
        let is_committed = world.record(&pkid).await["account_email"] == "it@example.com";
        assert_eq!(is_committed, index >= committed, "{step}");
        if changes {
            let other =
                relation_e2e::world::object(json!({ "account_email": "other@example.com" }));
            let host = world.new_host().await;
            let _ = host
                .modify(&pkid, other, None)
                .await
                .expect("the record is free");
        }
        resume(&world).await;
        let ended = read(&world, &id).await;
        println!("  killed {step:<20} {}", ended.message);
        let expected = match changes && !is_committed {
            true => Status::Fail,
            false => Status::Success,
        };
        assert_eq!(ended.status, expected, "{step}: {}", ended.message);
        let email = match changes {
            true => "other@example.com",
            false => "it@example.com",
        };
        let record = world.record(&pkid).await;
        assert_eq!(record["account_email"], email, "{step}");
        let kept = world.bodies(QUEUED_CALL_MODEL).await.len();
        assert_eq!(kept, usize::from(expected == Status::Fail), "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_queued_modification_of_a_version() {
    sweep_of_a_queued_modification(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_queued_modification_and_another() {
    sweep_of_a_queued_modification(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_queued_add() {
    sweep_of_a_queued_call(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_queued_delete() {
    sweep_of_a_queued_call(true).await;
}
