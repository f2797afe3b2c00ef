//! Stores in PostgreSQL: the jobs of an administrator, a role that can change data only, and two hosts of which one is
//! killed.

use std::time::Duration;

use relation_e2e::cli_world::{CliWorld, NODE, browse};
use relation_e2e::process::{TIMEOUT, Workspace, eventually, eventually_within, free_address};
use relation_test_postgres::{Cluster, Database};
use serde_json::{Value, json};
use webex_emulator::Consent;

const DAY: Duration = Duration::from_secs(86_400);
const GUIDE: &str = include_str!("../../../../docs/postgres.md");
const CANARY: &str = "canary-of-the-database";

/// Returns the server of these tests, and an empty database on it; `None` where PostgreSQL is not installed.
fn database() -> Option<(&'static Cluster, Database)> {
    let cluster = Cluster::shared().unwrap()?;
    Some((cluster, cluster.database().unwrap()))
}

/// Replaces the store in the configuration, or removes it.
fn configure_store(workspace: &Workspace, store: Option<&str>) {
    let text = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("store "));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    // Keys without a section come before the sections.
    lines.splice(0..0, store.map(|store| format!("store = {store:?}")));
    workspace.write("relation.toml", &format!("{}\n", lines.join("\n")));
}

/// Creates a world whose configuration names the store, which does not exist yet.
fn world_on(store: &str) -> CliWorld {
    let world = CliWorld::new().without_store();
    configure_store(&world.workspace, Some(store));
    world
}

/// Returns level, message and hint of each finding of a check.
fn findings(output: &str, check: &str) -> Vec<(String, String, String)> {
    let findings: Value = serde_json::from_str(output).expect("findings as JSON");
    let findings = findings.as_array().unwrap().iter();
    let findings = findings.filter(|finding| finding["check"] == check);
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    findings
        .map(|each| {
            (
                text(each, "level"),
                text(each, "message"),
                text(each, "hint"),
            )
        })
        .collect()
}

#[test]
fn metrics_show_the_figures_of_each_kind_of_store() {
    let check = |world: CliWorld, expected: &[&str]| {
        let address = free_address("127.0.0.1");
        let world = world.with_config_line(&format!("metrics.listen = \"{address}\""));
        world.workspace.relation(["init"]).run().succeeds();
        let (running, _) = world.serve(&[]);
        let (status, metrics) = browse(&format!("http://{address}/metrics"));
        assert_eq!(status, 200);
        for name in expected {
            let is_sample = |line: &str| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(' '))
            };
            assert!(metrics.lines().any(is_sample), "{name} in {metrics}");
        }
        running.terminate();
        running.wait().succeeds();
    };
    check(CliWorld::new(), &["relation_store_log_bytes"]);
    let Some((_, database)) = database() else {
        return;
    };
    let figures = [
        "relation_store_dead_rows",
        "relation_store_oldest_transaction_seconds",
    ];
    check(world_on(database.url()), &figures);
}

#[test]
fn jobs_of_an_administrator_work_on_a_database() {
    let Some((_, database)) = database() else {
        return;
    };
    let (world, _) = CliWorld::new().without_store().with_redirect();
    let workspace = &world.workspace;
    configure_store(workspace, None);
    let store = ["--store", database.url()];
    let run = |arguments: &[&str]| workspace.relation(arguments.iter().chain(&store)).run();
    let json = |arguments: &[&str]| workspace.json(arguments.iter().chain(&store));

    // A database without the schema is not a store.
    for arguments in [&["list"][..], &["status"], &["run", "--until-idle"]] {
        let missing = run(arguments).exits(3);
        missing.reports(&["there is no store postgres://", " init`"]);
    }
    let made = json(&["init"]);
    let state = |made: &Value, kind: &str| {
        let files = made["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["kind"] == kind).unwrap();
        file["state"].clone()
    };
    assert_eq!(
        (state(&made, "store"), state(&made, "key")),
        (json!("made"), json!("made"))
    );
    let again = json(&["init"]);
    assert_eq!(state(&again, "store"), json!("existing"));
    assert_eq!(state(&again, "key"), json!("existing"));
    assert!(!workspace.path("relation.db").exists());

    let (organization, grant) = world.organization_with_grant("Contoso");
    let add = [
        "add",
        "--hierarchy",
        NODE,
        "--name",
        "Contoso",
        "--tokens",
        "-",
    ];
    let add = workspace.relation(add.iter().chain(&store));
    add.stdin(grant.json().to_string()).run().succeeds();
    json(&["add", "--hierarchy", NODE, "--name", "Fabrikam"]);
    let fabrikam = world.emulator.create_organization("Fabrikam");
    let begun = json(&["connect", "Fabrikam", "--begin"]);
    let link = begun["url"].as_str().unwrap();
    let back = world
        .emulator
        .authorize(link, &Consent::accept(&fabrikam))
        .unwrap();
    json(&["connect", "--complete", &back]);
    json(&["refresh", "Contoso"]);
    run(&["run", "--until-idle"]).succeeds();
    let status = json(&["status"]);
    assert_eq!(status["verdict"], "ok", "{status:#}");
    assert_eq!(status["customers"]["by_state"]["connected"], 2);
    assert_eq!(json(&["list"])["items"].as_array().unwrap().len(), 2);
    run(&["keys", "rotate"]).succeeds();
    run(&["keys", "check"]).succeeds();

    world.time.advance(8 * DAY);
    run(&["run", "--until-idle"]).succeeds();
    world.emulator.revoke(&organization);
    run(&["refresh", "Contoso"]).exits(4);
    json(&["delete", "Contoso", "--yes"]);

    let backup = run(&["backup", "copy.db"]).exits(2);
    backup.reports(&["pg_dump --format=custom --schema=relation", "key"]);
    assert!(!workspace.path("copy.db").exists());
    world.emulator.assert_sound();
}

#[test]
fn check_judges_the_server() {
    let Some((_, database)) = database() else {
        return;
    };
    let world = world_on(database.url());
    let workspace = &world.workspace;
    workspace.relation(["init"]).run().succeeds();
    let checked = workspace
        .relation(["check", "--json"])
        .run()
        .succeeds()
        .stdout;
    for check in [
        "store",
        "database",
        "database-schema",
        "database-settings",
        "database-standbys",
        "database-tls",
        "database-clock",
        "database-transactions",
        "database-rows",
        "key",
        "stash",
    ] {
        let found = findings(&checked, check);
        assert!(!found.is_empty(), "{check}:\n{checked}");
        for (level, message, hint) in found {
            assert_eq!(level == "ok", hint.is_empty(), "{check}: {message}");
        }
    }
    let text = workspace.relation(["check"]).run().succeeds().stdout;
    assert!(text.contains("PostgreSQL 1"), "{text}");
    let (level, message, hint) = findings(&checked, "database-standbys").remove(0);
    assert_eq!(level, "warning", "{message}");
    assert!(hint.contains("synchronous_standby_names"), "{hint}");
}

#[test]
fn password_is_never_shown() {
    let Some((_, database)) = database() else {
        return;
    };
    // The server trusts the socket, and does not ask for it.
    let url = database
        .url()
        .replace("postgres@", &format!("postgres:{CANARY}@"));
    let world = world_on(&url);
    let workspace = &world.workspace;
    workspace.relation(["init"]).run().succeeds();
    let customer = world.add_customer("Contoso");
    for arguments in [
        vec!["check"],
        vec!["status"],
        vec!["list"],
        vec!["refresh", &customer.pkid],
        vec!["run", "--until-idle"],
        vec!["backup", "copy.db"],
        vec!["list", "--log", "debug"],
    ] {
        workspace.relation(&arguments).run();
        workspace.relation(&arguments).arg("--json").run();
    }
    // In an argument, others can read it.
    let refused = workspace.relation(["list", "--store", &url]).run().exits(2);
    refused.reports(&["postgres:***@", "password-file"]);
    for wrong in [
        format!("postgre://u:{CANARY}@h/d"),
        format!("postgres://u:{CANARY}@{CANARY}@h/d"),
        format!("postgres://h/d?password={CANARY}&nonsense=1"),
    ] {
        workspace
            .relation(["init", "--store", &wrong])
            .run()
            .exits(2);
        workspace
            .relation(["list", "--store", &wrong, "--json"])
            .run()
            .exits(2);
        configure_store(workspace, Some(&wrong));
        workspace.relation(["list"]).run().exits(2);
        workspace.relation(["check", "--json"]).run().exits(2);
    }
    let unreachable = format!("postgres://u:{CANARY}@127.0.0.1:1/d");
    configure_store(workspace, Some(&unreachable));
    let unreachable = workspace.relation(["list"]).run().exits(5);
    unreachable.reports(&["postgres://u@127.0.0.1:1/d", "\nhint: "]);
    assert!(!workspace.all_output().contains(CANARY));
}

#[test]
fn roles_of_the_guide_suffice() {
    let Some((cluster, _)) = database() else {
        return;
    };
    let (_, rest) = GUIDE.split_once("```sql\n").unwrap();
    let (statements, _) = rest.split_once("```").unwrap();
    let mut database = "postgres";
    for line in statements.replace('…', "canary").lines() {
        match line {
            "\\connect relation" => database = "relation",
            statement => {
                cluster.execute(database, statement).unwrap();
            }
        }
    }
    let url = |role: &str| {
        let url = cluster.url("relation");
        url.replace("//postgres@", &format!("//{role}@"))
    };
    let world = world_on(&url("relation"));
    let workspace = &world.workspace;
    workspace.relation(["list"]).run().exits(3);
    let owner = ["init", "--store", &url("relation_owner")];
    workspace.relation(owner).run().succeeds();
    let customer = world.add_customer("Contoso");
    workspace.json(["refresh", &customer.pkid]);
    workspace.relation(["keys", "rotate"]).run().succeeds();
    workspace.relation(["run", "--until-idle"]).run().succeeds();
    workspace.json(["delete", &customer.pkid, "--yes"]);
    let checked = workspace.relation(["check"]).run().succeeds();
    assert!(!checked.stdout.contains("permission"), "{checked:?}");
}

#[test]
fn second_host_needs_the_key_of_the_first() {
    let Some((_, database)) = database() else {
        return;
    };
    let first = world_on(database.url());
    first.workspace.relation(["init"]).run().succeeds();
    first.add_customer("Contoso");

    let second = world_on(database.url());
    let refused = second.workspace.relation(["init"]).run().exits(6);
    refused.reports(&["relation.key"]);
    assert!(!second.workspace.path("relation.key").exists());
    let key = std::fs::read_to_string(first.workspace.path("relation.key")).unwrap();
    second.workspace.write("relation.key", &key);
    second.workspace.relation(["init"]).run().succeeds();
    assert_eq!(
        second.workspace.json(["list"])["items"][0]["name"],
        "Contoso"
    );
}

#[test]
fn killed_host_is_replaced_by_another() {
    let Some((_, database)) = database() else {
        return;
    };
    let world = world_on(database.url());
    let workspace = &world.workspace;
    workspace.relation(["init"]).run().succeeds();
    let customers = ["Contoso", "Fabrikam", "Tailspin"].map(|name| world.add_customer(name));
    workspace.relation(["run", "--until-idle"]).run().succeeds();
    world.time.advance(8 * DAY);

    // The first host has short leases, so that the test does not wait for a minute. It is killed before a request exceeds
    // its time.
    let config = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
    let limits = "limits.request-time = \"4s\"\nlimits.time = \"5s\"\n";
    workspace.write("relation.toml", &format!("{config}{limits}"));
    let gate = world.emulator.gate("/v1/access_token");
    let first = workspace.relation(["run"]).start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(gate.reached_by(customers.len()));
    first.kill();
    workspace.write("relation.toml", &config);
    let second = workspace.relation(["run"]).start();
    gate.release();
    for customer in &customers {
        // Longer than a host with slow answers leaves the expired lease to its holder.
        eventually_within(2 * TIMEOUT, "the other host has refreshed it", || {
            let refreshes = [
                "transactions",
                "--subject",
                &customer.pkid,
                "--action",
                "refresh",
            ];
            let found = workspace.json(refreshes);
            let newest = found["items"][0]["status"].as_str().map(str::to_owned);
            (newest.as_deref() == Some("Success")).then_some(())
        });
    }
    eventually("only the second host is alive", || {
        let status = workspace.json(["status"]);
        let hosts = status["hosts"].as_array().unwrap().clone();
        let alive = hosts.iter().filter(|host| host["alive"] == true).count();
        (alive == 1).then_some(())
    });
    second.terminate();
    second.wait().succeeds();
    assert_eq!(
        workspace.json(["status"])["customers"]["by_state"]["connected"],
        3
    );
}

#[test]
fn scenarios_run_on_a_database_without_a_store() {
    let Some((cluster, database)) = database() else {
        return;
    };
    let workspace = Workspace::new("http://127.0.0.1:9/v1", "secret");
    workspace.write(
        "scenario.toml",
        "about = \"The model is described\"\n[[step]]\ncall = \"describe\"\n",
    );
    let store = ["--store", database.url()];
    let run = |arguments: &[&str]| workspace.relation(arguments.iter().chain(&store)).run();
    let passed = run(&["test", "scenario.toml"]).succeeds();
    assert!(passed.stdout.contains("1 passed"), "{}", passed.stdout);
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'relation'";
    let schemas = cluster.execute(database.name(), schemas).unwrap();
    assert_eq!(schemas, "0", "nothing is left");

    run(&["init"]).succeeds();
    let refused = run(&["test", "scenario.toml"]).exits(2);
    refused.reports(&["was not made for tests", "name a database of its own"]);
    run(&["status"]).succeeds();
}
