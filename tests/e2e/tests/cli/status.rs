//! A glance at an installation, and its exit codes for monitoring.

use std::time::Duration;

use relation_e2e::cli_world::{CliWorld, NODE};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(86_400);

/// Returns the status, and checks the exit code.
#[track_caller]
fn status(world: &CliWorld, code: i32) -> Value {
    let output = world
        .workspace
        .relation(["status", "--json"])
        .run()
        .exits(code);
    serde_json::from_str(&output.stdout).expect("the status as JSON")
}

#[test]
fn status_says_who_must_act() {
    let world = CliWorld::new();
    let contoso = world.add_customer("Contoso");
    world
        .workspace
        .json(["add", "--hierarchy", NODE, "--name", "Fabrikam"]);
    // The first import, which pasted tokens have started, is due within seconds.
    let first_import = world.workspace.relation(["run", "--until-idle"]);
    first_import.run().succeeds();

    let fine = status(&world, 0);
    assert_eq!(fine["verdict"], "ok");
    assert_eq!(fine["customers"]["total"], 2);
    assert_eq!(fine["customers"]["by_state"]["connected"], 1);
    assert_eq!(fine["customers"]["by_state"]["not-connected"], 1);
    assert_eq!(fine["wakeups"]["due"], 0);
    assert_eq!(fine["needs_person"], json!([]));

    let text = world.workspace.relation(["status"]).run().succeeds().stdout;
    assert!(text.starts_with("status     ok\n"), "{text}");

    // An import that is not tried again.
    for list in ["/v1/roles", "/v1/licenses"] {
        let forbidden = webex_emulator::Fault::status(list, 403);
        world.emulator.inject(forbidden);
    }
    let sync = ["sync", "Contoso"];
    world.workspace.relation(sync).run().exits(4);
    let stuck = status(&world, 4);
    assert_eq!(stuck["verdict"], "needs-person");
    assert_eq!(stuck["needs_person"], json!([]));
    assert_eq!(stuck["failed_imports"][0]["retry"], Value::Null);
    let text = world.workspace.relation(["status"]).run().exits(4);
    assert!(text.stdout.starts_with("status     needs a person\n"));
    text.reports(&[
        "customers need a person: Contoso\nhint: correct the cause; `relation-host sync",
    ]);
    world.workspace.relation(sync).run().succeeds();
    status(&world, 0);

    // Webex cannot be reached.
    let outage = webex_emulator::Fault::status("/v1/access_token", 503);
    world.emulator.inject(outage);
    world
        .workspace
        .relation(["refresh", "Contoso"])
        .run()
        .exits(5);
    let out = status(&world, 6);
    let problem = out["problems"][0].to_string();
    assert!(
        problem.contains("the last refresh of every connected customer failed"),
        "{problem}"
    );
    world
        .workspace
        .relation(["refresh", "Contoso"])
        .run()
        .succeeds();
    status(&world, 0);

    // A list of an import cannot be read.
    let forbidden = webex_emulator::Fault::status("/v1/licenses", 403);
    world.emulator.inject(forbidden);
    world.workspace.relation(sync).run().exits(1);
    let partial = status(&world, 4);
    assert_eq!(partial["alerts"][0]["code"], "WEBEX_IMPORT_LIST_FAILED");
    world.workspace.relation(sync).run().succeeds();
    status(&world, 0);

    // No host runs the due wakeups.
    world.time.advance(8 * DAY);
    let late = status(&world, 6);
    assert_eq!(late["verdict"], "problem");
    let problem = late["problems"][0].to_string();
    assert!(problem.contains("relation-host run"), "{problem}");

    world.emulator.revoke(&contoso.organization);
    let run = world.workspace.relation(["run", "--until-idle"]).run();
    run.exits(4);
    let refused = status(&world, 4);
    assert_eq!(refused["verdict"], "needs-person");
    assert_eq!(refused["needs_person"][0]["name"], "Contoso");
    assert_eq!(refused["needs_person"][0]["states"], json!(["reauthorize"]));
    assert_eq!(refused["alerts"][0]["code"], "WEBEX_REAUTHORIZE");
    assert_eq!(refused["alert_counts"]["critical"], 1);

    let text = world.workspace.relation(["status"]).run().exits(4);
    for part in [
        "needs a person",
        "Contoso",
        "1 reauthorize, 1 not-connected",
    ] {
        assert!(
            text.stdout.to_lowercase().contains(part) || text.stdout.contains(part),
            "{part}:\n{}",
            text.stdout
        );
    }
}

#[test]
fn local_fault_is_a_problem_of_status() {
    let world = CliWorld::new();
    world.add_customer("Contoso");
    let workspace = &world.workspace;
    let read = |file: &str| std::fs::read_to_string(workspace.path(file)).unwrap();
    let without = |key: &str| {
        let text = read("relation.toml");
        let lines = text.lines().filter(|line| !line.starts_with(key));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(status(&world, 0)["problems"], json!([]));
    for (file, content, message, hint) in [
        (
            "relation.toml",
            without("webex.client-id"),
            "webex.client-id is not configured",
            "integration's page",
        ),
        (
            "relation.toml",
            without("webex.client-secret-file"),
            "webex.client-secret-file is not configured",
            "integration's page",
        ),
        (
            "relation.toml",
            without("egress.allow") + "egress.allow = [\"https://webexapis.com\"]\n",
            "webex.base-url is http://127.0.0.1",
            "egress.allow",
        ),
        (
            "client-secret",
            String::new(),
            "client-secret is empty",
            "relation-host init",
        ),
        (
            "relation.key",
            "nonsense".to_owned(),
            "cannot read the key file",
            "key-file",
        ),
    ] {
        let before = read(file);
        workspace.write(file, &content);
        let found = status(&world, 6);
        assert_eq!(found["verdict"], "problem");
        let problems = found["problems"].as_array().unwrap();
        assert_eq!(problems.len(), 1, "{message}: {problems:?}");
        for (member, part) in [("message", message), ("hint", hint)] {
            let text = problems[0][member].as_str().unwrap();
            assert!(text.contains(part), "{part}: {text}");
        }
        workspace.write(file, &before);
    }
    std::fs::remove_file(workspace.path("client-secret")).unwrap();
    let missing = status(&world, 6)["problems"][0].to_string();
    assert!(missing.contains("client secret"), "{missing}");
}

#[test]
fn status_reports_a_base_address_without_a_version() {
    let world = CliWorld::new();
    world.add_customer("Contoso");
    let workspace = &world.workspace;
    let toml = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
    let address = world.emulator.base_url();
    let wrong = toml.replace(&address, address.trim_end_matches("/v1"));
    workspace.write("relation.toml", &wrong);
    // No call has failed yet.
    assert_eq!(status(&world, 0)["problems"], json!([]));
    for command in [
        &["refresh", "Contoso"][..],
        &["sync", "Contoso"],
        &["check", "Contoso"],
    ] {
        let failed = workspace.relation(command).run().exits(6);
        let text = format!("{}{}", failed.stdout, failed.stderr);
        let is_named = text.contains("404 Not Found") && text.contains("webex.base-url");
        assert!(is_named, "{command:?}: {text}");
    }
    world.time.advance(Duration::from_secs(120));
    workspace.relation(["run", "--until-idle"]).run().exits(6);
    let problems = status(&world, 6)["problems"].take();
    assert_eq!(problems.as_array().unwrap().len(), 1, "{problems:#}");
    let problem = &problems[0];
    for (member, part) in [
        ("message", "1 customer is retrying, and webex.base-url is"),
        ("hint", "`relation-host refresh Contoso`"),
    ] {
        let text = problem[member].as_str().unwrap();
        assert!(text.contains(part), "{part}: {text}");
    }
    workspace.write("relation.toml", &toml);
    workspace.relation(["refresh", "Contoso"]).run().succeeds();
    assert_eq!(status(&world, 0)["problems"], json!([]));
}

#[test]
fn what_needs_a_person_is_listed_first_with_its_alert() {
    let world = CliWorld::new();
    world.add_customer("Alpine");
    let contoso = world.add_customer("Contoso");
    world.emulator.revoke(&contoso.organization);
    world
        .workspace
        .relation(["refresh", "Contoso"])
        .run()
        .exits(4);
    let listed = world.workspace.json(["list"]);
    let names = [&listed["items"][0]["name"], &listed["items"][1]["name"]];
    assert_eq!(names, ["Contoso", "Alpine"]);
    assert_eq!(listed["items"][0]["alert"]["code"], "WEBEX_REAUTHORIZE");
    assert_eq!(
        listed["items"][0]["account_number"],
        contoso.organization.uuid.as_str()
    );
    let by_name = world.workspace.json(["list", "--sort", "name"]);
    assert_eq!(by_name["items"][0]["name"], "Alpine");
    let refused = world.workspace.json(["list", "--state", "reauthorize"]);
    assert_eq!(refused["items"].as_array().unwrap().len(), 1);

    let alerts = world.workspace.json(["alerts"]);
    assert_eq!(alerts["items"][0]["customer"], "Contoso");
    assert_eq!(alerts["items"][0]["severity"], "critical");
    let minor = world.workspace.json(["alerts", "--severity", "minor"]);
    assert_eq!(minor["items"], json!([]));
    world
        .workspace
        .relation(["alerts", "--severity", "high"])
        .run()
        .exits(2)
        .reports(&["severities are critical, major, minor, info"]);
    world
        .workspace
        .relation(["alerts", "--cursor", "nonsense"])
        .run()
        .exits(2)
        .reports(&["is not a cursor"]);
}
