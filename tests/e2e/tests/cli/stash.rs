//! `stash`: what it keeps is listed without store and key, and applied by a command or before one.

use relation_e2e::faulty_store::{Operation, StoreFault};
use relation_e2e::process::{Place, Program};
use relation_e2e::world::{CLIENT_SECRET, DAY};
use relation_e2e::{Customer, World};
use serde_json::json;

/// A world whose store did not take what Webex answered to a refresh.
fn kept() -> (World, Customer, Place) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (world, customer) = runtime.block_on(async {
        let world = World::start().await;
        let customer = world.customer("Contoso").await;
        world.clock.advance(DAY);
        world
            .store_faults
            .inject(StoreFault::failing(Operation::Commit).times(u32::MAX));
        let refused = world.host().refresh(&customer.pkid).await;
        refused.expect_err("the store takes nothing");
        (world, customer)
    });
    let place = Place::of(&world.emulator.base_url(), CLIENT_SECRET);
    std::fs::copy(world.key_file(), place.path("relation.key")).unwrap();
    (world, customer, place)
}

fn stash(world: &World, place: &Place, command: &str) -> Program {
    let store = format!("sqlite:{}", world.database().display());
    place.relation(["stash", command, "--store", &store])
}

#[test]
fn what_waits_is_listed_and_applied() {
    let (world, customer, place) = kept();
    let listed = stash(&world, &place, "list")
        .arg("--json")
        .run()
        .done()
        .json();
    let item = &listed["items"][0];
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed:#}");
    assert_eq!(item["state"], "waiting");
    assert_eq!(item["subject"]["pkid"], customer.pkid.as_str());
    assert_eq!(item["data_key"], 1);
    for member in ["epoch", "since", "transaction", "file"] {
        assert!(!item[member].is_null(), "{member}: {item:#}");
    }
    let human = stash(&world, &place, "list").run().done().stdout;
    assert!(
        human.contains("waiting") && human.contains(" ago"),
        "{human}"
    );

    let applied = stash(&world, &place, "apply")
        .arg("--json")
        .run()
        .done()
        .json();
    assert_eq!(
        applied,
        json!({ "applied": 1, "superseded": 0, "set_aside": 0, "waiting": 0 })
    );
    let listed = stash(&world, &place, "list").arg("--json").run().done();
    assert_eq!(listed.json()["items"], json!([]));
}

#[test]
fn what_is_no_entry_is_shown_and_moved_aside() {
    let (world, _, place) = kept();
    std::fs::write(world.stash().join("notes.txt"), "mine").unwrap();
    let states = || {
        let listed = stash(&world, &place, "list").arg("--json").run().done();
        let items = listed.json()["items"].as_array().unwrap().clone();
        let states = items.iter().map(|item| item["state"].to_string());
        states.collect::<Vec<_>>()
    };
    assert_eq!(states(), ["\"waiting\"", "\"unreadable\""]);
    let ran = stash(&world, &place, "apply").run().done();
    assert!(ran.stderr.contains("notes.txt"), "{}", ran.stderr);
    assert_eq!(states(), ["\"set-aside\""]);
}

#[test]
fn the_list_needs_neither_store_nor_key() {
    let scene = relation_e2e::scene::Scene::new();
    let listed = scene.place.json(["stash", "list"]);
    assert_eq!(listed["items"], json!([]));
    assert!(!scene.place.path("relation.db").exists());
}
