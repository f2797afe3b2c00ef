//! Replays the stored histories of earlier releases: a change of the workflows' commands that breaks running workflows
//! fails here. `RELATION_SAVE_HISTORIES=tests/histories` in a run of `life.rs` stores new ones.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::path::{Path, PathBuf};

use relation_temporal::{AddCustomer, Onboard, SparkCustomer};
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

fn histories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories")
}

/// Replays a history. The error says why it does not fit the workflows.
async fn replay(json: &str) -> Result<(), String> {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<AddCustomer>()
        .and_then(|options| options.register_workflow::<Onboard>())
        .and_then(|options| options.register_workflow::<SparkCustomer>());
    let replayer = WorkflowReplayer::new(options.unwrap().build()).unwrap();
    let history = WorkflowHistory::from_json(json.as_bytes()).unwrap();
    let replayed = replayer.replay_workflow(history).await;
    replayed.map(drop).map_err(|error| format!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_histories_are_replayed() {
    let mut replayed = 0;
    for entry in std::fs::read_dir(histories()).unwrap() {
        let path = entry.unwrap().path();
        let history = std::fs::read_to_string(&path).unwrap();
        let result = replay(&history).await;
        result.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        replayed += 1;
    }
    assert!(replayed > 1, "there are histories in tests/histories");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_with_other_commands_is_refused() {
    let history = std::fs::read_to_string(histories().join("SparkCustomer.json")).unwrap();
    let other = history.replace("relation.wake", "relation.show");
    assert_ne!(history, other);
    let error = replay(&other).await.unwrap_err();
    assert!(
        error.contains("relation.show") || error.contains("ondeterminis"),
        "{error}"
    );
}
