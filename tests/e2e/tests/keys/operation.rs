//! `keys list`, `rotate` and `retire` beside a running host.

use std::sync::Arc;

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::eventually;
use relation_host::store::Store as _;
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::store::stash::{Stash, StashedCommit};
use relation_host::types::{Pkid, Reference, Timestamp};
use serde_json::{Value, json};

use crate::{last, listed};

#[test]
fn a_key_is_rotated_and_retired_while_a_host_runs() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let customers = ["Contoso", "Fabrikam"].map(|name| world.add_customer(name));
    let refresh_all = || {
        for customer in &customers {
            let refresh = ["refresh", &customer.pkid];
            workspace.relation(refresh).run().succeeds();
        }
    };
    // Pasted tokens are refreshed soon. The service must not do that during the rotation, which counts the secrets.
    refresh_all();
    let service = workspace.relation(["run"]).start();
    eventually("the service runs", || {
        service
            .stderr()
            .contains("running due wakeups")
            .then_some(())
    });
    assert_eq!(listed(workspace), [(1, 4, 0)]);
    workspace
        .relation(["keys", "retire", "1"])
        .run()
        .exits(1)
        .reports(&["data key 1 is the newest", "keys rotate"]);

    let rotated = workspace.relation(["keys", "rotate", "--step", "1", "--json"]);
    let rotated = rotated.run().succeeds();
    let first = rotated.stdout.lines().next().unwrap();
    let progress = json!({ "event": "progress", "done": 0, "total": 4 });
    assert_eq!(first.parse::<Value>().unwrap(), progress);
    let expected = json!({
        "event": "end", "data_key": 2, "added": true, "resealed": 4, "older": [1], "unopened": []
    });
    assert_eq!(last(&rotated.stdout), expected);
    assert_eq!(listed(workspace), [(1, 0, 0), (2, 4, 0)]);
    let again = workspace.relation(["keys", "rotate"]).run().succeeds();
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    assert!(again.stdout.contains("keys retire 1"), "{}", again.stdout);

    workspace.relation(["keys", "retire", "1"]).run().succeeds();
    let twice = workspace.relation(["keys", "retire", "1"]).run().succeeds();
    assert!(twice.stdout.contains("retired already"), "{}", twice.stdout);
    workspace
        .relation(["keys", "retire", "9"])
        .run()
        .exits(3)
        .reports(&["there is no data key 9"]);
    assert_eq!(listed(workspace), [(2, 4, 0)]);
    refresh_all();
    workspace.relation(["keys", "check"]).run().succeeds();
    service.terminate();
    service.wait().succeeds();
    world.emulator.assert_sound();
}

#[test]
fn store_without_secrets_has_no_data_key() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let made = SqliteStore::open(workspace.path("relation.db"), &SqliteOptions::default());
    drop(made.unwrap());
    let none = workspace.relation(["keys", "list"]).run().succeeds();
    assert!(none.stdout.contains("no data key yet"), "{}", none.stdout);
    assert!(!workspace.path("relation.key").exists());
    let refused = workspace.relation(["keys", "rotate"]).run().exits(3);
    refused.reports(&["has no keys yet", "relation-host init"]);
    workspace.relation(["init"]).run().succeeds();
    workspace.relation(["keys", "rotate"]).run().succeeds();
    assert_eq!(listed(workspace), [(1, 0, 0), (2, 0, 0)]);
    workspace.relation(["keys", "retire", "1"]).run().succeeds();
}

#[test]
fn a_key_that_the_stash_needs_is_not_retired() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    workspace.relation(["run", "--until-idle"]).run().succeeds();
    let directory = workspace.path("relation.db-stash");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = SqliteOptions::default();
        let store = SqliteStore::open(workspace.path("relation.db"), &options).unwrap();
        let keys = KeyFile::new(workspace.path("relation.key"));
        let sealer = Sealer::open(&store, keys, Timestamp(0)).await.unwrap();
        let stash = Stash::new(&directory, store.id(), Arc::new(sealer));
        let kept = StashedCommit {
            subject: Reference::record(Pkid::random()),
            epoch: 1,
            since: Timestamp(1),
            transaction: "t1".to_owned(),
            checks: Vec::new(),
            changes: Vec::new(),
        };
        stash.keep(&kept).unwrap();
    });
    workspace.relation(["keys", "rotate"]).run().succeeds();
    let retire = || workspace.relation(["keys", "retire", "1"]).run();
    retire().exits(1).reports(&[
        "the stash",
        "holds 1 that are sealed with it",
        "relation-host stash apply",
    ]);
    assert_eq!(listed(workspace), [(1, 0, 0), (2, 0, 0)]);
    std::fs::remove_dir_all(directory).unwrap();
    retire().succeeds();
}
