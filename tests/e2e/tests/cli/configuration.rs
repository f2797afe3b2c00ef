//! The configuration file, and the options and variables that replace it.

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::Workspace;

const REFERENCE: &str = r#"
store = "sqlite:relation.db"
key-file = "relation.key"

[webex]
base-url = "https://webexapis.com/v1"
client-id = "C0ffee"
client-secret-file = "client-secret"
scopes = ["spark-admin:organizations_read"]

[egress]
allow = ["https://webexapis.com"]

[limits]
memory = "64 MiB"
time = "60s"
request-time = "15s"
response = "1 MiB"
requests = 32
commit = "1 MiB"

[expiry]
thresholds = ["30d", "14d", "7d", "2d"]

[refresh]
period = "7d"
"#;

#[test]
fn every_section_is_read_and_store_and_key_are_made() {
    let workspace = Workspace::new("http://127.0.0.1:9/v1", "secret");
    workspace.write("relation.toml", REFERENCE);
    let workspace = workspace.without_store();
    workspace.relation(["init"]).run().succeeds();
    workspace.relation(["run", "--until-idle"]).run().succeeds();
    assert!(workspace.path("relation.db").is_file());
    #[cfg(unix)]
    for file in ["relation.db", "relation.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(workspace.path(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn paths_are_relative_to_the_configuration() {
    let workspace = Workspace::new("http://127.0.0.1:9/v1", "secret").without_store();
    std::fs::create_dir(workspace.path("etc")).unwrap();
    workspace.write("etc/other.toml", REFERENCE);
    workspace.write("etc/client-secret", "secret");
    workspace
        .relation(["init", "--config", "etc/other.toml"])
        .run()
        .succeeds();
    workspace
        .relation(["run", "--until-idle", "--config", "etc/other.toml"])
        .run()
        .succeeds();
    assert!(workspace.path("etc/relation.key").is_file());
    assert!(!workspace.path("relation.key").exists());

    let by_variable = workspace
        .relation(["describe"])
        .env("RELATION_CONFIG", "etc/absent.toml");
    by_variable.run().exits(2).reports(&["etc/absent.toml"]);
}

#[test]
fn all_errors_are_reported_with_lines_and_suggestions() {
    let workspace = Workspace::new("http://127.0.0.1:9/v1", "secret");
    workspace.write(
        "relation.toml",
        "stoer = \"sqlite:relation.db\"\n\
         [limits]\n\
         memroy = \"64 MiB\"\n\
         time = 60\n\
         [expiry]\n\
         treshold = [\"2d\"]\n\
         [quantum]\n",
    );
    let output = workspace.relation(["list"]).run().exits(2).reports(&[
        "line 1: stoer: unknown key; did you mean `store`?",
        "line 3: limits.memroy: unknown key; did you mean `memory`?",
        "line 4: limits.time: expected a duration with its unit",
        "line 6: expiry.treshold: unknown key; did you mean `thresholds`?",
        "quantum: unknown key",
    ]);
    assert!(
        !workspace.path("relation.db").exists(),
        "nothing is begun: {}",
        output.stderr
    );
    let error = workspace
        .relation(["list", "--json"])
        .run()
        .exits(2)
        .error();
    assert_eq!(error["kind"], "usage");
}

#[test]
fn store_option_accepts_only_known_schemes() {
    let workspace = Workspace::new("http://127.0.0.1:9/v1", "secret").without_store();
    let other = ["init", "--store", "sqlite:other.db"];
    workspace.relation(other).run().succeeds();
    workspace.json(["list", "--store", "sqlite:other.db"]);
    assert!(workspace.path("other.db").is_file());
    assert!(!workspace.path("relation.db").exists());
    for url in [
        "mysql://localhost/relation",
        "postgres://localhost",
        "relation.db",
        "sqlite:",
        "sqlite::memory:",
    ] {
        let output = workspace.relation(["list", "--store", url]).run().exits(2);
        assert!(output.stderr.contains(url), "{}", output.stderr);
    }
    workspace
        .relation(["init", "--store", "sqlite:absent/relation.db"])
        .run()
        .exits(2)
        .reports(&["the directory absent does not exist"]);
}

#[test]
fn wrong_key_file_does_not_open_the_store() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let workspace = &world.workspace;
    let key = std::fs::read_to_string(workspace.path("relation.key")).unwrap();

    // The key of another store.
    let other = CliWorld::new();
    other.add_customer("Fabrikam");
    let foreign = std::fs::read_to_string(other.workspace.path("relation.key")).unwrap();
    workspace.write("relation.key", &foreign);
    let refused = |arguments: &[&str], text: &str| {
        let output = workspace.relation(arguments).run();
        assert_eq!(output.code, Some(6), "{output:?}");
        assert!(
            output.stderr.contains("relation.key") && output.stderr.contains(text),
            "{output:?}"
        );
    };
    refused(&["refresh", &customer.pkid], "sealed under");
    refused(&["run", "--until-idle"], "sealed under");

    workspace.write("relation.key", "nonsense\n");
    refused(&["run", "--until-idle"], "key");
    refused(&["keys", "check"], "key");
    refused(&["init"], "key");

    // Without a key it must not create another, which could open nothing.
    std::fs::remove_file(workspace.path("relation.key")).unwrap();
    refused(&["run", "--until-idle"], "does not exist");
    assert!(!workspace.path("relation.key").exists());

    workspace.write("relation.key", &key);
    workspace
        .relation(["refresh", &customer.pkid])
        .run()
        .succeeds();
}

#[test]
fn unusable_ca_file_stops_the_start() {
    let workspace = Workspace::new("http://127.0.0.1:9/v1", "secret")
        .with_config_line("egress.extra-ca = \"ca.pem\"");
    let stops = |words: &str| {
        let text = format!("cannot use `ca.pem` as `egress.extra-ca`: {words}");
        let run = workspace.relation(["run", "--until-idle"]);
        run.run().exits(2).reports(&[&text]);
    };
    stops("No such file or directory");
    workspace.write("ca.pem", "");
    stops("it holds no PEM certificate");
    workspace.write(
        "ca.pem",
        "-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n",
    );
    stops("its certificate number 1 is not valid");
}

#[test]
fn no_origin_is_allowed_without_configuration() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    workspace.create_store();
    std::fs::remove_file(workspace.path("relation.toml")).unwrap();
    let (_, grant) = world.organization_with_grant("Contoso");
    world
        .add("Contoso")
        .args(["--tokens", "-"])
        .stdin(grant.json().to_string())
        .run()
        .exits(6)
        .reports(&["egress.allow"]);
    assert!(
        workspace.json(["list"])["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn invalid_settings_stop_workflows_with_their_lines() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let workspace = &world.workspace;
    let text = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
    let text = text.trim_end();
    let lines = text.lines().count();
    let bad = "[refresh]\nperiod = \"500ms\"\nfraction = 0\njitter = 1\n[expiry]\n\
               thresholds = [\"2d\", \"1ms\"]\n[tokens]\nassumed-access-lifetime = \"1ms\"\n\
               assumed-refresh-lifetime = \"900000000y\"\n";
    workspace.write("relation.toml", &format!("{text}\n{bad}"));
    let reported = [
        (2, "refresh.period: must be a duration of a second or more"),
        (
            3,
            "refresh.fraction: must be a number above 0 and at most 1",
        ),
        (4, "refresh.jitter: must be a number from 0 to 0.9"),
        (
            6,
            "expiry.thresholds: must be durations of a second or more",
        ),
        (8, "tokens.assumed-access-lifetime: must be"),
        (9, "tokens.assumed-refresh-lifetime: must be"),
    ];
    let reported = reported.map(|(line, words)| format!("line {}: {words}", lines + line));
    let reported: Vec<&str> = reported.iter().map(String::as_str).collect();
    let pkid = customer.pkid.as_str();
    for command in [
        vec!["run", "--until-idle"],
        vec!["run"],
        vec!["refresh", pkid],
        vec!["sync", pkid],
        vec!["check-expiry", pkid],
        vec!["connect", pkid],
        vec!["modify", pkid, "--email-domain", "contoso.example"],
        vec!["delete", pkid, "--dry-run"],
        vec!["add", "--hierarchy", "sys.Provider.Fabrikam"],
    ] {
        let refused = workspace
            .relation(&command)
            .run()
            .exits(2)
            .reports(&reported);
        assert!(refused.stderr.contains("relation.toml"), "{refused:?}");
    }
    for command in [
        vec!["list"],
        vec!["show", pkid],
        vec!["wakeups"],
        vec!["transactions"],
        vec!["keys", "check"],
        vec!["stash", "list"],
        vec!["stash", "apply"],
    ] {
        workspace.relation(&command).run().succeeds();
    }
    assert!(world.token_requests().is_empty());

    workspace.write(
        "relation.toml",
        &format!("{text}\n[expiry]\nthresholds = []\n"),
    );
    workspace.relation(["refresh", pkid]).run().succeeds();
}
