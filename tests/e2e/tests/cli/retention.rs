//! The retention of transactions, and who removes them.

use std::time::Duration;

use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::world::DAY;

fn actions(world: &CliWorld) -> Vec<String> {
    let listed = world.workspace.json(["transactions", "--all"]);
    let items = listed["items"].as_array().unwrap().iter().rev();
    items
        .map(|item| format!("{} {}", item["action"], item["status"]).replace('"', ""))
        .collect()
}

/// Creates a customer, and another one whose every refresh fails.
fn world() -> CliWorld {
    let world = CliWorld::new();
    let add = ["add", "--hierarchy", NODE, "--name", "Fabrikam"];
    world.workspace.relation(add).run().succeeds();
    world
        .workspace
        .relation(["refresh", "Fabrikam"])
        .run()
        .exits(4);
    world
}

fn run(world: &CliWorld) {
    let run = ["run", "--until-idle"];
    world.workspace.relation(run).run().succeeds();
}

#[test]
fn old_transactions_are_removed_and_failures_later() {
    let world = world();
    let whole = ["add Success", "refresh Fail"];
    assert_eq!(actions(&world), whole);
    world.time.advance(89 * DAY);
    run(&world);
    assert_eq!(actions(&world), whole);
    world.time.advance(2 * DAY);
    // Only a dispatcher removes transactions.
    world
        .workspace
        .relation(["show", "Fabrikam"])
        .run()
        .succeeds();
    assert_eq!(actions(&world), whole);
    run(&world);
    assert_eq!(actions(&world), ["refresh Fail"]);
    world.time.advance(275 * DAY);
    run(&world);
    assert!(actions(&world).is_empty());
    world
        .workspace
        .relation(["show", "Fabrikam"])
        .run()
        .succeeds();
}

#[test]
fn retention_is_configurable() {
    let world = world()
        .with_config_line("transactions.keep = \"2h\"")
        .with_config_line("transactions.keep-failures = \"1h\"");
    world.time.advance(Duration::from_secs(5_400));
    run(&world);
    assert_eq!(actions(&world), ["add Success"]);
    world.time.advance(Duration::from_secs(5_400));
    run(&world);
    assert!(actions(&world).is_empty());
}
