//! Imports by `relation-host sync`, as text for people and as JSON for programs.

use relation_e2e::cli_world::{CliWorld, NODE};
use webex_emulator::{DEFAULT_SCOPES, Fault, License, Listing, Organization, Paging};

const LICENSES: &str = "/v1/licenses";

/// Adds a customer whose tokens have these scopes.
fn customer(world: &CliWorld, scopes: &[&str]) -> Organization {
    let organization = world.emulator.create_organization("Contoso");
    let grant = world.emulator.grant(&organization, scopes.iter().copied());
    world
        .workspace
        .relation(["add", "--hierarchy", NODE, "--name", "Contoso"])
        .args(["--account-number", &organization.uuid, "--tokens", "-"])
        .stdin(grant.json().to_string())
        .run()
        .succeeds();
    organization
}

fn list_licenses(world: &CliWorld, organization: &Organization, count: u64, page: usize) {
    let licenses = (1..=count).map(|n| License::new(&format!("License {n}"), n));
    world.emulator.set_licenses(organization, licenses);
    let paging = Paging::with_size(page);
    world.emulator.set_paging(Listing::Licenses, paging);
}

#[test]
fn import_counts_are_printed_and_shown() {
    let world = CliWorld::new();
    customer(&world, &DEFAULT_SCOPES);
    let printed = world
        .workspace
        .relation(["sync", "Contoso"])
        .run()
        .succeeds();
    let table = [
        "MODEL",
        "FOUND",
        "device/spark/Role",
        "device/spark/License",
        "imported 6 roles (6 added) and 3 licenses (3 added)",
    ];
    for text in table {
        assert!(printed.stdout.contains(text), "{text}:\n{}", printed.stdout);
    }
    let shown = world
        .workspace
        .relation(["show", "Contoso"])
        .run()
        .succeeds()
        .stdout;
    assert!(shown.contains("IMPORTED"), "{shown}");
    assert!(!shown.contains("not yet"), "{shown}");
    let shown = world.workspace.json(["show", "Contoso"]);
    assert_eq!(shown["imports"][0]["lists"][1]["found"], 3);
    let transactions = world.workspace.json(["transactions"]);
    let actions = transactions["items"].as_array().unwrap().iter();
    let actions: Vec<_> = actions
        .map(|each| each["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["sync", "add"]);
}

#[test]
fn large_import_completes_with_totals_in_json() {
    let world = CliWorld::new();
    let organization = customer(&world, &DEFAULT_SCOPES);
    list_licenses(&world, &organization, 300, 5);
    let report = world.workspace.json(["sync", "Contoso", "roles-licenses"]);
    assert_eq!(report["continues"], serde_json::Value::Null);
    assert_eq!(report["done"], report["total"]);
    assert_eq!(report["models"][1]["added"], 300);
    assert!(report["transaction"].is_string());
    let wakeups = world.workspace.json(["show", "Contoso"])["wakeups"].clone();
    let wakeups = wakeups.as_array().unwrap().iter();
    assert!(
        wakeups
            .clone()
            .all(|wakeup| wakeup["id"] != "sync.roles-licenses")
    );

    let dry = world
        .workspace
        .relation(["delete", "Contoso", "--dry-run"])
        .run()
        .succeeds();
    assert!(dry.stdout.contains("300 documents"), "{}", dry.stdout);
    assert!(dry.stdout.lines().count() < 40, "{}", dry.stdout);
}

#[test]
fn interrupted_import_is_reported_and_continues() {
    let world = CliWorld::new();
    let organization = customer(&world, &DEFAULT_SCOPES);
    list_licenses(&world, &organization, 300, 5);
    let fault = Fault::rate_limited(LICENSES, "0").skipping(40);
    world.emulator.inject(fault);
    world
        .workspace
        .relation(["sync", "Contoso"])
        .run()
        .exits(5)
        .reports(&[
            "rate-limited",
            "what was imported stays",
            "relation-host run",
        ]);
    world
        .workspace
        .relation(["run", "--until-idle"])
        .run()
        .succeeds();
    let shown = world.workspace.json(["show", "Contoso"]);
    assert_eq!(shown["imports"][0]["lists"][1]["found"], 300);
}

#[test]
fn status_names_a_failed_import_while_one_waits() {
    let world = CliWorld::new();
    let organization = customer(&world, &DEFAULT_SCOPES);
    list_licenses(&world, &organization, 300, 5);
    let workspace = &world.workspace;
    let fault = Fault::rate_limited(LICENSES, "60").skipping(40);
    world.emulator.inject(fault);
    workspace.relation(["sync", "Contoso"]).run().exits(5);
    let find_failed = || workspace.json(["status"])["failed_imports"][0]["transaction"].clone();
    let failed = find_failed();
    assert!(failed.is_string(), "{failed}");
    let waiting = workspace.relation(["sync", "Contoso", "all"]).run();
    let waiting = waiting.succeeds();
    assert!(waiting.stdout.contains("waits until"), "{waiting:?}");
    assert_eq!(find_failed(), failed);
}

#[test]
fn missing_scope_exits_with_code_4() {
    let world = CliWorld::new();
    customer(&world, &["spark-admin:organizations_read"]);
    world
        .workspace
        .relation(["sync", "Contoso"])
        .run()
        .exits(4)
        .reports(&["spark-admin:roles_read", "tracking id", "hint:"]);
}

#[test]
fn unknown_data_sync_or_customer_is_rejected() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    workspace.relation(["sync", "Nobody"]).run().exits(3);
    customer(&world, &DEFAULT_SCOPES);
    let refused = workspace.relation(["sync", "Contoso", "everything"]).run();
    refused.exits(2).reports(&["data sync", "roles-licenses"]);
}

#[test]
fn short_list_is_held_until_accepted() {
    let world = CliWorld::new();
    let organization = customer(&world, &DEFAULT_SCOPES);
    list_licenses(&world, &organization, 300, 100);
    world
        .workspace
        .relation(["sync", "Contoso"])
        .run()
        .succeeds();
    list_licenses(&world, &organization, 20, 2);
    let held = world
        .workspace
        .relation(["sync", "Contoso"])
        .run()
        .succeeds();
    let printed = "lacks 280 of the 300 that are stored";
    assert!(held.stdout.contains(printed), "{}", held.stdout);
    assert!(held.stdout.contains("--accept-removals"), "{}", held.stdout);
    let shown = world
        .workspace
        .relation(["show", "Contoso"])
        .run()
        .succeeds();
    let code = "WEBEX_IMPORT_REMOVALS_HELD";
    assert!(shown.stdout.contains(code), "{}", shown.stdout);
    let report = world
        .workspace
        .json(["sync", "Contoso", "--accept-removals"]);
    assert_eq!(report["models"][1]["removed"], 280);
    let shown = world
        .workspace
        .relation(["show", "Contoso"])
        .run()
        .succeeds();
    assert!(!shown.stdout.contains(code), "{}", shown.stdout);
}
