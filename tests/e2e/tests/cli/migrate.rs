//! `migrate`: the move of a store with its customers to another one.

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::eventually;
use serde_json::Value;

/// Asserts that an output has none of the tokens.
fn assert_hidden(output: &str, tokens: &[&str]) {
    for token in tokens {
        assert!(!output.contains(token), "{output}");
    }
}

/// Returns the last line of output in JSON.
fn last(output: &str) -> Value {
    let line = output.lines().last().expect("a line");
    serde_json::from_str(line).expect("a line of JSON")
}

/// Moves between stores, and refreshes a customer in each.
fn move_through(stores: &[&str]) {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let customer = world.add_customer("Contoso");
    let tokens = [
        customer.grant.access_token(),
        customer.grant.refresh_token(),
    ];
    let mut from = "sqlite:relation.db";
    for to in stores {
        let between = ["migrate", "--from", from, "--to", to];
        let plan = workspace.json(between.iter().chain(&["--dry-run"]));
        assert_eq!(plan["obstacles"], Value::Array(Vec::new()));
        let moved = workspace.relation(between.iter().chain(&["--json"])).run();
        let moved = moved.succeeds();
        assert_hidden(&(moved.stdout.clone() + &moved.stderr), &tokens);
        let end = last(&moved.stdout);
        assert_eq!(end["event"], "end");
        let counts = |rows: &Value| rows.as_array().unwrap().clone();
        for (planned, moved) in counts(&plan["to_move"]).iter().zip(counts(&end["moved"])) {
            assert_eq!(planned["count"], moved["count"], "{planned}");
            let is_secret = moved["rows"] == "secrets";
            assert_eq!(moved["digest"].is_null(), is_secret, "{moved}");
        }
        let name = if to.starts_with("sqlite:") {
            to
        } else {
            "postgres"
        };
        assert!(end["configure"].as_str().unwrap().contains(name), "{end}");

        let refused = workspace.relation(["refresh", "Contoso", "--store", from]);
        refused
            .run()
            .exits(6)
            .reports(&["it was moved to", "--reopen"]);
        workspace.json(["list", "--store", from]);
        workspace.json(["refresh", "Contoso", "--store", to]);
        workspace
            .relation(["keys", "check", "--store", to])
            .run()
            .succeeds();
        let again = workspace.relation(between).run().succeeds();
        assert!(again.stdout.contains("was moved to"), "{}", again.stdout);
        from = to;
    }
}

#[test]
fn moved_customer_is_refreshed_in_the_new_file() {
    move_through(&["sqlite:other.db"]);
}

#[test]
#[cfg(unix)]
fn customer_moves_to_postgres_and_back() {
    let Some(cluster) = relation_test_postgres::Cluster::shared().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    move_through(&[database.url(), "sqlite:other.db"]);
}

#[test]
fn killed_move_is_continued() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    world.add_customer("Contoso");
    let arguments = [
        "migrate",
        "--to",
        "sqlite:other.db",
        "--step",
        "1",
        "--json",
    ];
    let running = workspace.relation(arguments).start();
    eventually("a row is copied", || {
        running.stdout().contains(r#""done":2"#).then_some(())
    });
    running.kill();
    workspace
        .relation(["list", "--store", "sqlite:other.db"])
        .run()
        .exits(6)
        .reports(&["into it is not finished", "--from sqlite:relation.db"]);
    workspace
        .relation(["refresh", "Contoso"])
        .run()
        .exits(6)
        .reports(&["its move to sqlite:other.db is not finished"]);
    let moved = workspace.relation(arguments).run().succeeds();
    assert_eq!(last(&moved.stdout)["continued"], true);
    workspace.json(["refresh", "Contoso", "--store", "sqlite:other.db"]);
}

#[test]
fn move_with_a_host_or_onto_customers_is_refused() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    world.add_customer("Contoso");
    workspace.json(["init", "--store", "sqlite:other.db"]);
    let add = ["add", "--hierarchy", "sys", "--name", "Other"];
    workspace.json(add.iter().chain(&["--store", "sqlite:other.db"]));
    let arguments = ["migrate", "--to", "sqlite:other.db"];
    workspace
        .relation(arguments)
        .run()
        .exits(6)
        .reports(&["it is not empty", "documents"]);
    let service = workspace.relation(["run"]).start();
    eventually("the service runs", || {
        service
            .stderr()
            .contains("running due wakeups")
            .then_some(())
    });
    let arguments = ["migrate", "--to", "sqlite:new.db"];
    let refused = workspace.relation(arguments).run().exits(6);
    refused.reports(&[
        "is in use",
        "relation.db-holder-",
        "stop `relation-host run`",
    ]);
    service.terminate();
    service.wait().succeeds();
    workspace.relation(arguments).run().succeeds();
    let reopen = ["migrate", "--reopen"];
    let opened = workspace.relation(reopen).run().succeeds();
    assert!(opened.stdout.contains("can use sqlite:relation.db again"));
    workspace.json(["refresh", "Contoso"]);
    workspace
        .relation(reopen)
        .run()
        .exits(3)
        .reports(&["was not moved"]);
}
