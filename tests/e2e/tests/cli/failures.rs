//! Failures and their report to people and programs: exit codes, hints, all field errors together.

use relation_e2e::cli_world::{CliWorld, NODE};
use serde_json::{Value, json};
use webex_emulator::{Emulator, Fault, Mode};

const TOKEN: &str = "/v1/access_token";

#[test]
fn exit_code_0_leaves_stderr_empty() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let output = world
        .workspace
        .relation(["refresh", &customer.pkid])
        .run()
        .succeeds();
    assert_eq!(output.stderr, "");
    for arguments in [["--help"], ["--version"], ["help"]] {
        world.workspace.relation(arguments).run().succeeds();
    }
    let help = world.workspace.relation(["--help"]).run().succeeds().stdout;
    assert!(help.contains("5  try again later"), "{help}");
}

#[test]
fn exit_code_2_for_command_line_errors() {
    let world = CliWorld::new().without_store();
    let workspace = &world.workspace;
    for arguments in [
        vec!["refrsh"],
        vec!["list", "--color"],
        vec!["show"],
        vec!["add", "--name", "Contoso"],
        vec!["add", "--hierarchy", "sys..Contoso", "--name", "Contoso"],
        vec!["list", "--limit", "0"],
        vec!["run", "--concurrency", "0"],
    ] {
        let output = workspace.relation(&arguments).run().exits(2);
        assert!(output.stderr.starts_with("error: "), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let error = workspace
            .relation(&arguments)
            .arg("--json")
            .run()
            .exits(2)
            .error();
        assert_eq!(error["kind"], "usage", "{arguments:?}");
    }
    workspace
        .relation(["refrsh"])
        .run()
        .exits(2)
        .reports(&["refresh"]);
    assert!(!workspace.path("relation.db").exists(), "nothing was begun");
}

#[test]
fn exit_code_2_for_invalid_fields_reports_all() {
    let world = CliWorld::new();
    let fields = json!({
        "name": "x".repeat(1025),
        "account_email": "nobody",
        "account_number": "not-an-organization",
        "webex_contact_center": true,
        "http_proxy": "ftp://proxy.example.com/",
        "shadow": [{ "name": "one" }, { "name": "two" }],
        "token": "one",
        "token_repeat": "another",
        "emial_domain": "contoso.example",
    });
    let add = || {
        let add = ["add", "--hierarchy", NODE, "--fields", "-"];
        world.workspace.relation(add).stdin(fields.to_string())
    };
    let faulty = [
        "name",
        "account_email",
        "account_number",
        "base_url_setting",
        "http_proxy",
        "shadow",
        "token_repeat",
        "emial_domain",
    ];
    let reported = add()
        .run()
        .exits(2)
        .reports(&["\nhint: ", "email_domain"])
        .stderr;
    for field in faulty {
        assert!(
            reported.contains(&format!("\n  {field}: ")),
            "{field}:\n{reported}"
        );
    }
    let error = add().arg("--json").run().exits(2).error();
    assert_eq!(error["kind"], "invalid");
    let field_errors: Vec<&Value> = error["field_errors"].as_array().unwrap().iter().collect();
    for field in faulty {
        let found = field_errors.iter().any(|fault| fault["field"] == field);
        assert!(found, "{field}: {field_errors:#?}");
    }
    assert!(
        world.workspace.json(["list"])["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn exit_code_3_for_not_found() {
    let world = CliWorld::new();
    world.add_customer("Contoso");
    let error = world
        .workspace
        .relation(["show", "Nobody", "--json"])
        .run()
        .exits(3)
        .error();
    assert_eq!(error["kind"], "not-found");
    assert!(error["hint"].as_str().unwrap().contains("list"), "{error}");
}

#[test]
fn reauthorization_has_exit_code_4() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let pkid = customer.pkid.as_str();
    world.emulator.revoke(&customer.grant);
    let output = world
        .workspace
        .relation(["refresh", pkid, "--json"])
        .run()
        .exits(4);
    assert_eq!(
        output.json()["outcome"],
        "reauthorize",
        "the outcome is data"
    );
    let error = output.error();
    assert_eq!(error["kind"], "reauthorize");
    assert!(
        error["hint"].as_str().unwrap().contains("modify"),
        "{error}"
    );
    let transaction = error["transaction"].as_str().unwrap();
    assert_eq!(
        world.workspace.json(["transactions", transaction])["action"],
        "refresh"
    );
    assert_eq!(world.state(&customer), "reauthorize");
    let checked = world
        .workspace
        .relation(["check-expiry", pkid])
        .run()
        .exits(4);
    assert!(checked.stderr.contains("\nhint: "), "{}", checked.stderr);

    let never = world
        .workspace
        .json(["add", "--hierarchy", NODE, "--name", "Fabrikam"]);
    assert_eq!(never["connection"]["state"], "not-connected");
    world
        .workspace
        .relation(["refresh", "Fabrikam"])
        .run()
        .exits(4);
    world.emulator.assert_sound();
}

#[test]
fn exit_code_5_for_retry_later() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let pkid = customer.pkid.as_str();
    for fault in [
        Fault::status(TOKEN, 503),
        Fault::rate_limited(TOKEN, "60"),
        Fault::reset_after(TOKEN),
        Fault::malformed_json(TOKEN),
    ] {
        world.emulator.inject(fault);
        let output = world
            .workspace
            .relation(["refresh", pkid, "--json"])
            .run()
            .exits(5);
        assert_eq!(output.json()["outcome"], "retrying");
        assert_eq!(output.error()["kind"], "unavailable");
        assert_eq!(world.state(&customer), "retrying");
    }
    world.workspace.relation(["refresh", pkid]).run().succeeds();
    assert_eq!(world.state(&customer), "connected");

    // Without a stored wakeup that would try again, the command fails as Webex did.
    let (_, grant) = world.organization_with_grant("Fabrikam");
    world
        .emulator
        .inject(Fault::status("/v1/organizations", 503).always());
    world
        .workspace
        .relation([
            "add",
            "--hierarchy",
            NODE,
            "--name",
            "Fabrikam",
            "--tokens",
            "-",
        ])
        .stdin(grant.json().to_string())
        .run()
        .exits(5);
    assert_eq!(
        world.workspace.json(["list"])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn exit_code_6_for_the_operator_in_every_command() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let (_, grant) = world.organization_with_grant("Fabrikam");
    let workspace = &world.workspace;
    let text = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
    let pkid = customer.pkid.as_str();
    for (key, line, reason) in [
        (
            "egress.allow",
            "egress.allow = [\"https://webexapis.com\"]",
            "egress.allow",
        ),
        ("webex.client-id", "", "is not configured"),
        (
            "webex.client-id",
            "webex.client-id = \"another\"",
            "client id",
        ),
    ] {
        let lines = text.lines().filter(|line| !line.starts_with(key));
        let lines: Vec<&str> = lines.chain([line]).collect();
        workspace.write("relation.toml", &lines.join("\n"));
        world
            .time
            .advance(std::time::Duration::from_secs(8 * 86_400));
        let is_egress = key == "egress.allow";
        let is_local = line != "webex.client-id = \"another\"";
        let mut commands = vec![
            vec!["run", "--until-idle"],
            vec!["refresh", pkid],
            vec!["invoke", "RefreshAccessToken", pkid],
            vec!["status"],
            vec!["check", "--webex"],
        ];
        if is_local {
            commands.push(vec!["connect", pkid, "--no-listen"]);
            commands.push(vec!["check"]);
        }
        if is_egress {
            commands.push(vec!["sync", pkid]);
            commands.push(vec!["check", pkid]);
        }
        for command in commands {
            let output = workspace.relation(&command).run().exits(6);
            let shown = format!("{}{}", output.stdout, output.stderr);
            assert!(!shown.contains("automatically"), "{command:?}: {shown}");
            let named = shown.contains(reason) || command[0] == "run";
            assert!(named, "{command:?}: {shown}");
        }
        if is_egress {
            let add = world.add("Fabrikam").args(["--tokens", "-"]);
            add.stdin(grant.json().to_string()).run().exits(6);
        }
    }
    workspace.write("relation.toml", &text);
    workspace.relation(["refresh", pkid]).run().succeeds();
}

#[test]
fn exit_code_1_for_other_errors() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    workspace.write(
        "relation.db",
        "this is not a database, and much longer than a header would be",
    );
    let output = workspace.relation(["list"]).run().exits(1);
    assert!(
        output.stderr.contains("not an SQLite database"),
        "{}",
        output.stderr
    );
    let error = workspace
        .relation(["list", "--json"])
        .run()
        .exits(1)
        .error();
    assert_eq!(error["kind"], "failed");
}

#[test]
fn secrets_are_refused_as_arguments_and_not_repeated() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let modify = |field: &str| {
        let set = format!("{field}=s3cret-argument");
        world
            .workspace
            .relation(["modify", &customer.pkid, "--set", &set])
            .run()
            .exits(2)
    };
    for field in [
        "token",
        "token_repeat",
        "refresh_token",
        "refresh_token_repeat",
        "http_proxy",
        "https_proxy",
    ] {
        let output = modify(field).reports(&[field, "\nhint: "]);
        assert!(!output.stderr.contains("s3cret"), "{}", output.stderr);
    }
    // No option takes one.
    let output = world
        .workspace
        .relation(["modify", &customer.pkid, "--token", "s3cret-argument"])
        .run()
        .exits(2);
    assert!(!output.stderr.contains("s3cret"), "{}", output.stderr);
}

#[test]
fn unusable_tokens_are_reported_without_quoting() {
    let world = CliWorld::new();
    for input in [
        "",
        "s3cret",
        "[\"s3cret\"]",
        "{\"access_token\": \"s3cret\"}",
        "{\"s3cret\"",
    ] {
        let add = world.add("Contoso").args(["--tokens", "-"]);
        let output = add.stdin(input).run().exits(2);
        assert!(!output.stderr.contains("s3cret"), "{}", output.stderr);
    }
    let twice = ["add", "--hierarchy", NODE, "--tokens", "-", "--fields", "-"];
    world
        .workspace
        .relation(twice)
        .stdin("{}")
        .run()
        .exits(2)
        .reports(&["one stdin"]);
}

#[test]
fn delete_requires_confirmation() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let output = world
        .workspace
        .relation(["delete", &customer.pkid])
        .run()
        .exits(2);
    assert!(
        output.stderr.contains("hint: --yes deletes"),
        "{}",
        output.stderr
    );
    assert_eq!(world.state(&customer), "connected");
    let both = ["delete", &customer.pkid, "--yes", "--dry-run"];
    world.workspace.relation(both).run().exits(2);
}

#[test]
fn tokens_lost_by_a_limit_are_reported() {
    let world = CliWorld::with(Emulator::builder().mode(Mode::Rotate));
    let customer = world.add_customer("Contoso");
    let workspace = &world.workspace;
    let configuration = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
    let tight = format!("{configuration}\n[limits]\ncommit = \"100 B\"\n");
    workspace.write("tight.toml", &tight);
    let refresh = ["refresh", &customer.pkid];
    let stopped = workspace
        .relation(refresh)
        .args(["--config", "tight.toml"])
        .run();
    stopped.reports(&["limits.commit"]);
    let next = workspace.relation(refresh).run().exits(4);
    assert!(
        format!("{}{}", next.stdout, next.stderr).contains("possibly lost rotation"),
        "{next:?}"
    );
}
