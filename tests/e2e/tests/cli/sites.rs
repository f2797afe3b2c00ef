//! Sites of locations: `mapping` and `sites`, and what `delete` leaves.

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::ProgramOutput;
use serde_json::{Value, json};
use webex_emulator::{DEFAULT_SCOPES, Listing};

/// Adds a customer whose organization has these locations.
fn customer(world: &CliWorld, locations: &[&str]) {
    let organization = world.emulator.create_organization("Contoso");
    let grant = world.emulator.grant(&organization, DEFAULT_SCOPES);
    let add = ["--account-number", &organization.uuid, "--tokens", "-"];
    world
        .add("Contoso")
        .args(add)
        .stdin(grant.json().to_string())
        .run()
        .succeeds();
    let locations = locations
        .iter()
        .map(|name| json!({"id": name, "name": name}));
    let locations = locations.collect::<Vec<Value>>();
    world
        .emulator
        .set_entries(&organization, Listing::Locations, locations)
        .unwrap();
}

#[track_caller]
fn assert_prints(output: &ProgramOutput, texts: &[&str]) {
    for text in texts {
        assert!(output.stdout.contains(text), "{text}:\n{}", output.stdout);
    }
}

#[test]
fn sites_are_placed_listed_and_kept() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    customer(&world, &["Berlin", "Rome"]);
    let add = ["mapping", "add", "Contoso", "Germany", "berlin"];
    let added = workspace.relation(add).run().succeeds();
    assert_prints(&added, &["placed below Germany"]);
    let refused = ["mapping", "add", "Contoso", "a.b", " "];
    let refused = workspace.relation(refused).run().exits(2);
    refused.reports(&["intermediate_node", "search_string"]);
    let listed = workspace.json(["mapping", "list", "Contoso"]);
    assert_eq!(listed["items"][0]["intermediate_node"], "Germany");
    workspace
        .relation(["sync", "Contoso", "all"])
        .run()
        .succeeds();

    let sites = workspace.json(["sites", "Contoso"]);
    let sites = sites["items"].as_array().unwrap();
    let find = |name: &str| sites.iter().find(|site| site["name"] == name).unwrap();
    let node = "sys.Provider.Reseller.Germany.Berlin";
    assert_eq!(find("Berlin")["hierarchy"], node);
    assert_eq!(find("Rome")["location"]["imported"], true);
    let printed = workspace.relation(["sites", "Contoso"]).run().succeeds();
    assert_prints(&printed, &["SITE", node, "imported"]);

    let dry = workspace.json(["delete", "Contoso", "--dry-run"]);
    let kept = json!([
        {"model": "data/NetworkDeviceList", "count": 1},
        {"model": "data/Site", "count": 2},
        {"model": "data/WebexLocationNodeMapping", "count": 1},
    ]);
    assert_eq!(dry["kept"], kept);
    let deleted = workspace.relation(["delete", "Contoso", "--yes"]).run();
    assert_prints(&deleted.succeeds(), &["stays", "2 data/Site"]);
}

#[test]
fn removed_mapping_is_not_listed() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    customer(&world, &[]);
    let mapping = |action| ["mapping", action, "Contoso", "Germany", "berlin"];
    workspace.relation(mapping("add")).run().succeeds();
    workspace.relation(mapping("remove")).run().succeeds();
    let listed = workspace.json(["mapping", "list", "Contoso"]);
    assert_eq!(listed["items"], json!([]));
    let again = workspace.relation(mapping("remove")).run().exits(2);
    again.reports(&["there is no mapping"]);
}
