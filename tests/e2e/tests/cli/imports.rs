//! Imports by `relation-host sync`, as a person reads them and as a program does.

use relation_e2e::scene::{NODE, Scene};
use webex_emulator::{DEFAULT_SCOPES, Fault, License, Listing, Organization, Paging};

const LICENSES: &str = "/v1/licenses";

/// Adds a customer whose tokens have these scopes.
fn customer(scene: &Scene, scopes: &[&str]) -> Organization {
    let organization = scene.emulator.create_organization("Contoso");
    let grant = scene.emulator.grant(&organization, scopes.iter().copied());
    scene
        .place
        .relation(["add", "--hierarchy", NODE, "--name", "Contoso"])
        .args(["--account-number", &organization.uuid, "--tokens", "-"])
        .stdin(grant.json().to_string())
        .run()
        .done();
    organization
}

fn list_licenses(scene: &Scene, organization: &Organization, count: u64, page: usize) {
    let licenses = (1..=count).map(|n| License::new(&format!("License {n}"), n));
    scene.emulator.set_licenses(organization, licenses);
    let paging = Paging::by(page);
    scene.emulator.set_paging(Listing::Licenses, paging);
}

#[test]
fn what_was_imported_is_told_in_a_table_and_shown_afterwards() {
    let scene = Scene::new();
    customer(&scene, &DEFAULT_SCOPES);
    let said = scene.place.relation(["sync", "Contoso"]).run().done();
    let table = [
        "MODEL",
        "FOUND",
        "device/spark/Role",
        "device/spark/License",
        "imported 6 roles (6 added) and 3 licences (3 added)",
    ];
    for text in table {
        assert!(said.stdout.contains(text), "{text}:\n{}", said.stdout);
    }
    let shown = scene
        .place
        .relation(["show", "Contoso"])
        .run()
        .done()
        .stdout;
    assert!(shown.contains("IMPORTED"), "{shown}");
    assert!(!shown.contains("not yet"), "{shown}");
    let shown = scene.place.json(["show", "Contoso"]);
    assert_eq!(shown["imports"][0]["lists"][1]["found"], 3);
    let transactions = scene.place.json(["transactions"]);
    let actions = transactions["items"].as_array().unwrap().iter();
    let actions: Vec<_> = actions
        .map(|each| each["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["sync", "add"]);
}

#[test]
fn a_large_import_runs_to_its_end_and_a_program_reads_the_sums() {
    let scene = Scene::new();
    let organization = customer(&scene, &DEFAULT_SCOPES);
    list_licenses(&scene, &organization, 300, 5);
    let report = scene.place.json(["sync", "Contoso", "roles-licenses"]);
    assert_eq!(report["continues"], serde_json::Value::Null);
    assert_eq!(report["done"], report["total"]);
    assert_eq!(report["models"][1]["added"], 300);
    assert!(report["transaction"].is_string());
    let wakeups = scene.place.json(["show", "Contoso"])["wakeups"].clone();
    let wakeups = wakeups.as_array().unwrap().iter();
    assert!(wakeups.clone().all(|wakeup| wakeup["id"] != "sync"));

    let dry = scene
        .place
        .relation(["delete", "Contoso", "--dry-run"])
        .run()
        .done();
    assert!(dry.stdout.contains("300 documents"), "{}", dry.stdout);
    assert!(dry.stdout.lines().count() < 40, "{}", dry.stdout);
}

#[test]
fn a_fault_in_the_middle_says_that_it_goes_on_and_so_it_does() {
    let scene = Scene::new();
    let organization = customer(&scene, &DEFAULT_SCOPES);
    list_licenses(&scene, &organization, 300, 5);
    let fault = Fault::rate_limited(LICENSES, "0").skipping(40);
    scene.emulator.inject(fault);
    scene
        .place
        .relation(["sync", "Contoso"])
        .run()
        .exits(5)
        .says(&[
            "asked to wait",
            "what was imported stays",
            "relation-host run",
        ]);
    scene.place.relation(["run", "--until-idle"]).run().done();
    let shown = scene.place.json(["show", "Contoso"]);
    assert_eq!(shown["imports"][0]["lists"][1]["found"], 300);
}

#[test]
fn what_a_person_has_to_do_is_exit_code_four() {
    let scene = Scene::new();
    customer(&scene, &["spark-admin:organizations_read"]);
    scene
        .place
        .relation(["sync", "Contoso"])
        .run()
        .exits(4)
        .says(&["spark-admin:roles_read", "tracking id", "hint:"]);
}

#[test]
fn what_cannot_be_imported_is_a_usage_error_and_nobody_to_import_for_is_not_found() {
    let scene = Scene::new();
    let place = &scene.place;
    place.relation(["sync", "Nobody"]).run().exits(3);
    let refused = place.relation(["sync", "Nobody", "everything"]).run();
    refused.exits(2).says(&["roles-licenses"]);
}

#[test]
fn suddenly_short_list_waits_for_a_person_who_accepts_it() {
    let scene = Scene::new();
    let organization = customer(&scene, &DEFAULT_SCOPES);
    list_licenses(&scene, &organization, 300, 100);
    scene.place.relation(["sync", "Contoso"]).run().done();
    list_licenses(&scene, &organization, 20, 2);
    let held = scene.place.relation(["sync", "Contoso"]).run().done();
    let said = "lacks 280 of the 300 that are stored";
    assert!(held.stdout.contains(said), "{}", held.stdout);
    assert!(held.stdout.contains("--accept-removals"), "{}", held.stdout);
    let shown = scene.place.relation(["show", "Contoso"]).run().done();
    let code = "WEBEX_IMPORT_REMOVALS_HELD";
    assert!(shown.stdout.contains(code), "{}", shown.stdout);
    let report = scene.place.json(["sync", "Contoso", "--accept-removals"]);
    assert_eq!(report["models"][1]["removed"], 280);
    let shown = scene.place.relation(["show", "Contoso"]).run().done();
    assert!(!shown.stdout.contains(code), "{}", shown.stdout);
}
