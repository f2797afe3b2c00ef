//! `keys list`, `rotate` and `retire` beside a running host.

use std::sync::Arc;

use relation_e2e::process::eventually;
use relation_e2e::scene::Scene;
use relation_host::store::Store as _;
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::store::stash::{Stash, StashedCommit};
use relation_host::types::{Pkid, Reference, Timestamp};
use serde_json::{Value, json};

use crate::{last, listed};

#[test]
fn a_key_is_rotated_and_retired_while_a_host_runs() {
    let scene = Scene::new();
    let place = &scene.place;
    let customers = ["Contoso", "Fabrikam"].map(|name| scene.customer(name));
    let service = place.relation(["run"]).start();
    eventually("the service runs", || {
        service
            .stderr()
            .contains("running due wakeups")
            .then_some(())
    });
    assert_eq!(listed(place), [(1, 4, 0)]);
    place
        .relation(["keys", "retire", "1"])
        .run()
        .exits(1)
        .says(&["data key 1 is the newest", "keys rotate"]);

    let rotated = place.relation(["keys", "rotate", "--step", "1", "--json"]);
    let rotated = rotated.run().done();
    let first = rotated.stdout.lines().next().unwrap();
    let progress = json!({ "event": "progress", "done": 0, "total": 4 });
    assert_eq!(first.parse::<Value>().unwrap(), progress);
    let expected = json!({
        "event": "end", "data_key": 2, "added": true, "resealed": 4, "older": [1], "unopened": []
    });
    assert_eq!(last(&rotated.stdout), expected);
    assert_eq!(listed(place), [(1, 0, 0), (2, 4, 0)]);
    let again = place.relation(["keys", "rotate"]).run().done();
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    assert!(again.stdout.contains("keys retire 1"), "{}", again.stdout);

    place.relation(["keys", "retire", "1"]).run().done();
    let twice = place.relation(["keys", "retire", "1"]).run().done();
    assert!(twice.stdout.contains("retired already"), "{}", twice.stdout);
    place
        .relation(["keys", "retire", "9"])
        .run()
        .exits(3)
        .says(&["there is no data key 9"]);
    assert_eq!(listed(place), [(2, 4, 0)]);
    for customer in &customers {
        place.relation(["refresh", &customer.pkid]).run().done();
    }
    place.relation(["keys", "check"]).run().done();
    service.terminate();
    service.end().done();
    scene.emulator.assert_sound();
}

#[test]
fn a_store_without_secrets_has_no_key_until_a_host_makes_one() {
    let scene = Scene::new();
    let place = &scene.place;
    let made = SqliteStore::open(place.path("relation.db"), &SqliteOptions::default());
    drop(made.unwrap());
    let none = place.relation(["keys", "list"]).run().done();
    assert!(none.stdout.contains("no data key yet"), "{}", none.stdout);
    assert!(!place.path("relation.key").exists());
    place.relation(["keys", "rotate"]).run().done();
    assert_eq!(listed(place), [(1, 0, 0), (2, 0, 0)]);
    place.relation(["keys", "retire", "1"]).run().done();
}

#[test]
fn a_key_that_the_stash_needs_is_not_retired() {
    let scene = Scene::new();
    let place = &scene.place;
    place.relation(["run", "--until-idle"]).run().done();
    let directory = place.path("relation.db-stash");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = SqliteOptions::default();
        let store = SqliteStore::open(place.path("relation.db"), &options).unwrap();
        let keys = KeyFile::new(place.path("relation.key"));
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
    place.relation(["keys", "rotate"]).run().done();
    let retire = || place.relation(["keys", "retire", "1"]).run();
    retire().exits(1).says(&[
        "the stash",
        "holds 1 that are sealed with it",
        "relation-host stash apply",
    ]);
    assert_eq!(listed(place), [(1, 0, 0), (2, 0, 0)]);
    std::fs::remove_dir_all(directory).unwrap();
    retire().done();
}
