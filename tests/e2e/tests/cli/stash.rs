//! `stash`: lists kept results without store and key, and applies them by a command or before one.

use relation_e2e::faulty_store::{Operation, StoreFault};
use relation_e2e::process::{Program, Workspace};
use relation_e2e::world::{CLIENT_SECRET, DAY};
use relation_e2e::{Customer, World};
use serde_json::json;

/// Creates a world whose store did not take Webex's response to a refresh.
fn kept() -> (World, Customer, Workspace) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (world, customer) = runtime.block_on(async {
        let world = World::start().await;
        let customer = world.add_customer("Contoso").await;
        world.clock.advance(DAY);
        world
            .store_faults
            .inject(StoreFault::failing(Operation::Commit).times(u32::MAX));
        let refused = world.host().refresh(&customer.pkid).await;
        refused.expect_err("the store takes nothing");
        (world, customer)
    });
    let workspace = Workspace::new(&world.emulator.base_url(), CLIENT_SECRET);
    std::fs::copy(world.key_file(), workspace.path("relation.key")).unwrap();
    (world, customer, workspace)
}

fn stash(world: &World, workspace: &Workspace, command: &str) -> Program {
    let store = format!("sqlite:{}", world.database().display());
    workspace.relation(["stash", command, "--store", &store])
}

#[test]
fn waiting_entry_is_listed_and_applied() {
    let (world, customer, workspace) = kept();
    let listed = stash(&world, &workspace, "list")
        .arg("--json")
        .run()
        .succeeds()
        .json();
    let item = &listed["items"][0];
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed:#}");
    assert_eq!(item["state"], "waiting");
    assert_eq!(item["subject"]["pkid"], customer.pkid.as_str());
    assert_eq!(item["data_key"], 1);
    for member in ["epoch", "since", "transaction", "file"] {
        assert!(!item[member].is_null(), "{member}: {item:#}");
    }
    let human = stash(&world, &workspace, "list").run().succeeds().stdout;
    assert!(
        human.contains("waiting") && human.contains(" ago"),
        "{human}"
    );

    let applied = stash(&world, &workspace, "apply")
        .arg("--json")
        .run()
        .succeeds()
        .json();
    assert_eq!(
        applied,
        json!({ "applied": 1, "superseded": 0, "quarantined": 0, "waiting": 0 })
    );
    let listed = stash(&world, &workspace, "list")
        .arg("--json")
        .run()
        .succeeds();
    assert_eq!(listed.json()["items"], json!([]));
}

#[test]
fn foreign_file_is_shown_and_quarantined() {
    let (world, _, workspace) = kept();
    std::fs::write(world.stash().join("notes.txt"), "mine").unwrap();
    let states = || {
        let listed = stash(&world, &workspace, "list")
            .arg("--json")
            .run()
            .succeeds();
        let items = listed.json()["items"].as_array().unwrap().clone();
        let states = items.iter().map(|item| item["state"].to_string());
        states.collect::<Vec<_>>()
    };
    assert_eq!(states(), ["\"waiting\"", "\"unreadable\""]);
    let output = stash(&world, &workspace, "apply").run().succeeds();
    assert!(output.stderr.contains("notes.txt"), "{}", output.stderr);
    assert_eq!(states(), ["\"quarantined\""]);
}

#[test]
fn the_list_needs_neither_store_nor_key() {
    let world = relation_e2e::cli_world::CliWorld::new().without_store();
    let listed = world.workspace.json(["stash", "list"]);
    assert_eq!(listed["items"], json!([]));
    assert!(!world.workspace.path("relation.db").exists());
}
