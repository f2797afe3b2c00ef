//! Tests of reported problems: each has the customer's name, the reason once, and the next step.

use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::process::ProgramOutput;
use serde_json::{Value, json};
use webex_emulator::Fault;

const TOKEN: &str = "/v1/access_token";
const NAME: &str = "Contoso & Co";

/// Counts the occurrences of `text` in stdout and stderr, which a terminal shows together.
fn count(output: &ProgramOutput, text: &str) -> usize {
    output.stdout.matches(text).count() + output.stderr.matches(text).count()
}

fn transactions(world: &CliWorld) -> Vec<Value> {
    let listed = world.workspace.json(["transactions"]);
    listed["items"].as_array().unwrap().clone()
}

#[test]
fn failure_is_told_once_with_the_customers_name() {
    let world = CliWorld::new();
    let customer = world.add_customer(NAME);
    let workspace = &world.workspace;
    world.emulator.inject(Fault::status(TOKEN, 503));
    let retrying = workspace.relation(["refresh", NAME]).run().exits(5);
    assert_eq!(count(&retrying, "503"), 1, "{retrying:?}");

    world.emulator.revoke(&customer.grant);
    let again = "hint: `relation-host connect 'Contoso & Co'` connects the customer again, or \
                 `relation-host modify 'Contoso & Co' --tokens FILE`";
    for command in ["refresh", "check-expiry", "sync"] {
        let refused = workspace.relation([command, NAME]).run().exits(4);
        let refused = refused.reports(&[again]);
        assert_eq!(
            count(&refused, "invalid_grant"),
            1,
            "{command}: {refused:?}"
        );
        assert!(!refused.stdout.contains("at the expiry"), "{refused:?}");
    }
    let invoked = ["invoke", "TestConnection", NAME];
    workspace.relation(invoked).run().exits(4).reports(&[again]);
    let hint = "hint: `relation-host connect 'Contoso & Co'` connects the customer again";
    workspace
        .relation(["status"])
        .run()
        .exits(4)
        .reports(&[hint]);
    let elsewhere = ["--config", "relation.toml", "refresh", NAME];
    let hint = "hint: `relation-host --config relation.toml connect 'Contoso & Co'` connects";
    workspace
        .relation(elsewhere)
        .run()
        .exits(4)
        .reports(&[hint]);

    let deleted = workspace.relation(["delete", NAME, "--yes"]).run();
    let deleted = deleted.succeeds();
    let tokens = "tokens: not revoked: Webex refuses both tokens already";
    assert!(deleted.stdout.contains(tokens), "{deleted:?}");
    assert_eq!(deleted.stderr, "");
}

#[test]
fn hint_for_a_new_customer_is_to_connect() {
    let world = CliWorld::new();
    world.add(NAME).run().succeeds();
    for command in ["refresh", "sync"] {
        let refused = world.workspace.relation([command, NAME]).run().exits(4);
        refused.reports(&["`relation-host connect 'Contoso & Co'` connects the customer, or"]);
    }
    // A name that does not select the record is replaced by the pkid.
    let workspace = &world.workspace;
    let elsewhere = ["add", "--hierarchy", "sys.Elsewhere", "--name", NAME];
    workspace.relation(elsewhere).run().succeeds();
    let option = ["add", "--hierarchy", NODE, "--name=-dash"];
    workspace.relation(option).run().succeeds();
    for arguments in [&[NAME, "--hierarchy", NODE][..], &["--", "-dash"]] {
        let shown = workspace.relation(["--json", "show"]).args(arguments).run();
        let shown = shown.succeeds().json();
        let pkid = shown["connection"]["pkid"].as_str().unwrap();
        let refused = workspace.relation(["refresh"]).args(arguments).run();
        let hint = format!("`relation-host connect {pkid}` connects the customer");
        refused.exits(4).reports(&[&hint]);
    }
}

#[test]
fn run_names_the_customer_that_needs_a_person() {
    let world = CliWorld::new();
    let customer = world.add_customer(NAME);
    world.emulator.revoke(&customer.grant);
    world
        .time
        .advance(std::time::Duration::from_secs(8 * 86_400));
    let run = world.workspace.relation(["run", "--until-idle"]).run();
    let run = run.exits(4);
    assert!(run.stdout.contains("1 needs a person"), "{run:?}");
    run.reports(&["`relation-host connect 'Contoso & Co'` connects the customer again"]);
}

#[test]
fn failed_revocation_is_told_once() {
    let world = CliWorld::new();
    world.add_customer(NAME);
    let fault = Fault::status("/v1/authorizations", 500).always();
    world.emulator.inject(fault);
    let deleted = world.workspace.relation(["delete", NAME, "--yes"]).run();
    let deleted = deleted.succeeds();
    assert_eq!(count(&deleted, "status 500"), 1, "{deleted:?}");
    let tokens = "tokens: could not be revoked, and are valid until their expiry: ";
    assert!(deleted.stdout.contains(tokens), "{deleted:?}");
}

#[test]
fn transactions_have_names_and_are_found_by_prefix() {
    let world = CliWorld::new();
    let customer = world.add_customer(NAME);
    let workspace = &world.workspace;
    workspace.json(["delete", NAME, "--dry-run"]);
    workspace.json(["invoke", "TestConnection", NAME]);
    world.emulator.inject(Fault::status("/v1/roles", 403));
    workspace.relation(["sync", NAME]).run().exits(1);
    let wrong = ["connect", "--complete"];
    let state = format!("{}.x", customer.pkid);
    let callback = format!("http://127.0.0.1:8400/callback?code=c&state={state}");
    let wrong = workspace.relation(wrong).arg(callback).run();
    wrong.exits(4);

    let listed = transactions(&world);
    let actions: Vec<&str> = listed
        .iter()
        .map(|each| each["action"].as_str().unwrap())
        .collect();
    let expected = [
        "complete-connect",
        "sync",
        "TestConnection",
        "delete (dry run)",
        "add",
    ];
    assert_eq!(actions, expected);
    for transaction in &listed {
        assert_eq!(transaction["subject_name"], NAME, "{transaction:#}");
    }

    let id = listed[1]["id"].as_str().unwrap();
    let shortest = (1..=id.len())
        .find(|length| {
            let matching = |each: &&Value| {
                let each = each["id"].as_str().unwrap();
                each.starts_with(&id[..*length])
            };
            listed.iter().filter(matching).count() == 1
        })
        .unwrap();
    let prefix = &id[..shortest];
    assert_eq!(workspace.json(["transactions", prefix])["id"], id);
    let upper = prefix.to_uppercase();
    let followed = ["transactions", &upper, "--follow"];
    workspace.relation(followed).run().exits(1);

    let ambiguous = workspace.relation(["transactions", &id[..1]]).run();
    let ambiguous = ambiguous.exits(2);
    ambiguous.reports(&[
        "several transactions",
        id,
        "sync Contoso & Co",
        "more characters of the id",
    ]);
    let unknown = workspace.relation(["transactions", "ffff"]).run();
    unknown.exits(3).reports(&["\"ffff\""]);
}

#[test]
fn retried_refresh_shows_failures_and_reason() {
    let world = CliWorld::new();
    world.add_customer(NAME);
    let workspace = &world.workspace;
    world.emulator.inject(Fault::status(TOKEN, 503).times(2));
    workspace.relation(["refresh", NAME]).run().exits(5);
    // A failure before the next attempt is due does not count.
    world.time.advance(std::time::Duration::from_secs(120));
    workspace.relation(["refresh", NAME]).run().exits(5);
    let shown = workspace.json(["show", NAME])["wakeups"].take();
    let listed = workspace.json(["wakeups"])["items"].take();
    for wakeups in [&shown, &listed] {
        let mut wakeups = wakeups.as_array().unwrap().iter();
        let refresh = wakeups.find(|wakeup| wakeup["id"] == "refresh").unwrap();
        assert_eq!(refresh["attempts"], 2, "{refresh:#}");
        let reason = refresh["last_error"].as_str().unwrap();
        assert!(reason.contains("503"), "{reason}");
    }
    let text = workspace.relation(["wakeups", NAME]).run().succeeds();
    assert!(text.stdout.contains("LAST ERROR"), "{text:?}");
    assert!(text.stdout.contains("503"), "{text:?}");
}

#[test]
fn failed_import_shows_until_the_next_success() {
    let world = CliWorld::new();
    world.add_customer(NAME);
    let workspace = &world.workspace;
    let fault = Fault::status("/v1/roles", 503);
    world.emulator.inject(fault.always());
    workspace.relation(["sync", NAME]).run().exits(5);
    let status = workspace.relation(["status"]).run().succeeds().stdout;
    let shown = workspace.relation(["show", NAME]).run().succeeds().stdout;
    for text in [&status, &shown] {
        let parts = ["failed import", "503", "relation-host sync 'Contoso & Co'"];
        for part in parts {
            let found = text.contains(part) || text.to_lowercase().contains(part);
            assert!(found, "{part}:\n{text}");
        }
    }
    let there = workspace.json(["status", "--config", "relation.toml"]);
    let hint = there["failed_imports"][0]["hint"].as_str().unwrap();
    let command = "`relation-host --config relation.toml sync 'Contoso & Co'`";
    assert!(hint.contains(command), "{hint}");
    let failed = workspace.json(["status"])["failed_imports"].take();
    assert_eq!(failed[0]["name"], NAME);
    assert!(failed[0]["at"].is_number(), "{failed:#}");
    let id = failed[0]["transaction"].as_str().unwrap();
    assert_eq!(workspace.json(["transactions", id])["action"], "sync");
    let shown = workspace.json(["show", NAME]);
    assert_eq!(shown["failed_import"], failed[0]);

    world.emulator.clear_faults();
    workspace.json(["invoke", "SyncRolesLicenses", NAME]);
    assert_eq!(workspace.json(["status"])["failed_imports"], json!([]));
    let shown = workspace.json(["show", NAME]);
    assert_eq!(shown["failed_import"], Value::Null);
}

#[test]
fn refused_tokens_show_no_remaining_lifetime() {
    let world = CliWorld::new();
    let customer = world.add_customer(NAME);
    let workspace = &world.workspace;
    world.emulator.revoke(&customer.grant);
    workspace.relation(["refresh", NAME]).run().exits(4);
    let listed = workspace.relation(["list"]).run().succeeds().stdout;
    assert!(listed.contains("unknown"), "{listed}");
    assert!(listed.contains("refused"), "{listed}");
    assert!(!listed.contains("89 d"), "{listed}");
    let shown = workspace.relation(["show", NAME]).run().succeeds().stdout;
    assert!(shown.contains("refresh token  refused by Webex"), "{shown}");
    assert!(shown.contains("(unless Webex has revoked it)"), "{shown}");
    assert!(!shown.contains("89 d 23 h left"), "{shown}");
}

#[test]
fn alert_of_the_installation_is_listed() {
    let world = CliWorld::new();
    world.add_customer(NAME);
    let workspace = &world.workspace;
    assert_eq!(workspace.json(["list"])["installation_alerts"], json!([]));
    let body = json!({ "error": "invalid_client" });
    world
        .emulator
        .inject(Fault::status_with_body(TOKEN, 401, body));
    workspace.relation(["refresh", NAME]).run().exits(6);
    let listed = workspace.relation(["list"]).run().succeeds().stdout;
    let line = "\ncritical WEBEX_INTEGRATION_REFUSED, all customers: ";
    assert!(listed.contains(line), "{listed}");
    let listed = workspace.json(["list"]);
    let alert = &listed["installation_alerts"][0];
    assert_eq!(alert["code"], "WEBEX_INTEGRATION_REFUSED");

    // The hint's command ends the problem.
    let failed = workspace.relation(["status", "--json"]).run().exits(6);
    let hint = failed.json()["problems"][0]["hint"].take();
    let hint = hint.as_str().unwrap();
    let command = format!("`relation-host refresh '{NAME}'` ends this problem");
    assert!(hint.contains(&command), "{hint}");
    workspace.relation(["refresh", NAME]).run().succeeds();
    workspace.relation(["status"]).run().succeeds();
}

#[test]
fn refresh_without_client_id_and_secret_names_both() {
    let world = CliWorld::new();
    world.add_customer(NAME);
    let workspace = &world.workspace;
    let toml = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
    let lines = toml
        .lines()
        .filter(|line| !line.starts_with("webex.client-"));
    workspace.write("relation.toml", &lines.collect::<Vec<_>>().join("\n"));
    let refused = workspace.relation(["refresh", NAME, "--json"]).run();
    let error = refused.exits(6).error();
    assert_eq!(error["kind"], "problem");
    let message = error["message"].as_str().unwrap();
    for setting in ["webex.client-id", "webex.client-secret-file"] {
        assert!(message.contains(setting), "{message}");
    }
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains("integration's page at Webex"), "{hint}");
    assert_eq!(
        workspace.json(["show", NAME])["connection"]["state"],
        "connected"
    );
}

#[test]
fn shared_organization_is_a_warning() {
    let world = CliWorld::new();
    let first = world.add_customer(NAME);
    let grant = world.emulator.grant(
        &first.organization,
        relation_e2e::world::SCOPES.iter().copied(),
    );
    let add = [
        "add",
        "--hierarchy",
        "sys.Provider.Other",
        "--name",
        "Other",
    ];
    let added = world.workspace.relation(add).args(["--tokens", "-"]);
    let added = added.stdin(grant.json().to_string()).run().succeeds();
    let warning = format!("warning: {NAME} at {NODE} has the same Webex organization");
    added.reports(&[&warning]);
}

#[test]
fn region_is_given_by_value_or_title() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let add = |name: &str, region: &str| {
        let contact_center = ["--contact-center", "--region", region];
        world.add(name).args(contact_center).run()
    };
    for (name, region) in [("One", "EU"), ("Two", "EU (Frankfurt)"), ("Three", "eu")] {
        add(name, region).succeeds();
        let shown = workspace.json(["show", name]);
        assert_eq!(shown["fields"]["base_url_setting"], "EU", "{region}");
    }
    add("Four", "Mars")
        .exits(2)
        .reports(&["UK, EU (\"EU (Frankfurt)\"), Japan"]);
    let described = workspace.relation(["describe"]).run().succeeds().stdout;
    assert!(described.contains("EU (\"EU (Frankfurt)\")"), "{described}");
}
