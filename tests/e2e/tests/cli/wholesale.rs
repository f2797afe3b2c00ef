//! `wholesale`: the customers of a wholesale partner, as the command changes and shows them.

use std::time::Duration;

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::Program;
use serde_json::Value;
use webex_emulator::{Consent, ProvisioningOutcome, WholesaleSettings};

const REDIRECT: &str = "https://relation.example.com/webex";

/// Creates a connected wholesale partner. Webex carries changes out immediately, with this outcome.
fn partner(outcome: ProvisioningOutcome) -> CliWorld {
    let world = CliWorld::new().with_config_line(&format!("connect.redirect = \"{REDIRECT}\""));
    world.emulator.add_redirect_uri(REDIRECT);
    let mut settings = WholesaleSettings::default();
    settings.outcome = outcome;
    settings.duration = Duration::ZERO;
    world.emulator.set_wholesale(settings);
    let contoso = world.emulator.create_organization("Contoso");
    world.add("Contoso").arg("--wholesale").run().succeeds();
    let grant = ["--grant", "wholesale-customers", "--json"];
    let begin = world.workspace.relation(["connect", "Contoso", "--begin"]);
    let begun = begin.args(grant).run().succeeds().json();
    let link = begun["url"].as_str().unwrap();
    let consent = Consent::accept(&contoso.uuid);
    let callback = world.emulator.authorize(link, &consent).unwrap();
    let complete = ["connect", "--complete", &callback];
    world.workspace.relation(complete).run().succeeds();
    world
}

fn wholesale(world: &CliWorld, arguments: &[&str]) -> Program {
    world.workspace.relation(["wholesale"]).args(arguments)
}

fn add(world: &CliWorld) -> Program {
    wholesale(world, &["add", "Contoso", "c-17"]).args([
        "--provisioning-id",
        "P1",
        "--packages",
        "webex_meetings,cx_voice_ports",
        "--name",
        "Newcomer",
        "--email",
        "boss@newcomer.example",
        "--address-line1",
        "1 Main Street",
        "--city",
        "Austin",
        "--country",
        "US",
    ])
}

#[test]
fn wholesale_customer_is_added_modified_and_deleted() {
    let world = partner(ProvisioningOutcome::Provisioned);
    let added = add(&world).arg("--json").run().succeeds().json();
    assert_eq!(added["state"], "provisioned", "{added:#}");
    assert!(added["transaction"].is_string());
    let listed = wholesale(&world, &["list", "Contoso"]).run().succeeds();
    for text in ["c-17", "webex_meetings, cx_voice_ports", "add: provisioned"] {
        assert!(listed.stdout.contains(text), "{}", listed.stdout);
    }

    let modify = [
        "modify",
        "Contoso",
        "c-17",
        "--remove-packages",
        "cx_voice_ports",
    ];
    let modify = wholesale(&world, &modify).arg("--no-wait").run();
    modify
        .succeeds()
        .reports(&["`relation-host run` must be running"]);
    world.time.advance(Duration::from_secs(10));
    let check = ["show", "Contoso", "c-17", "--check"];
    let checked = wholesale(&world, &check).run().succeeds();
    assert!(
        checked.stdout.ends_with("c-17 is provisioned\n"),
        "{}",
        checked.stdout
    );
    let shown = world
        .workspace
        .json(["wholesale", "show", "Contoso", "c-17"]);
    let packages = shown["imported"]["packages"].clone();
    assert_eq!(packages, Value::from(vec!["webex_meetings"]));

    let delete = ["delete", "Contoso", "c-17"];
    wholesale(&world, &delete)
        .run()
        .exits(2)
        .reports(&["--yes"]);
    let delete = wholesale(&world, &delete).args(["--yes", "--no-wait"]);
    delete.run().succeeds();
    world.time.advance(Duration::from_secs(10));
    let checked = wholesale(&world, &check).run().succeeds();
    assert!(
        checked.stdout.contains("Webex has deleted c-17"),
        "{}",
        checked.stdout
    );
    let gone = ["show", "Contoso", "c-18"];
    wholesale(&world, &gone)
        .run()
        .exits(3)
        .reports(&["--check"]);
}

#[test]
fn wholesale_change_that_fails_has_an_exit_code() {
    let world = partner(ProvisioningOutcome::Error);
    let failed = add(&world).arg("--json").run().exits(1);
    assert!(failed.stdout.contains("\"failed\""), "{}", failed.stdout);
    let error = failed.error();
    assert_eq!(error["kind"], "failed");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("already in use"),
        "{error:#}"
    );

    let wrong = ["add", "Contoso", "c-18", "--packages", "attendant_console"];
    let wrong = wholesale(&world, &wrong).run().exits(2);
    wrong.reports(&[
        "packages: attendant_console needs one of",
        "city: is required",
    ]);
    let started = add(&world).arg("--no-wait").run();
    started
        .exits(2)
        .reports(&["external_id: Webex has a customer with this id"]);
}
