//! The configuration file, and the options and variables that stand in for it.

use relation_e2e::process::Place;
use relation_e2e::scene::Scene;

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
fn every_section_is_understood_and_the_first_command_makes_store_and_key() {
    let place = Place::of("http://127.0.0.1:9/v1", "secret");
    place.write("relation.toml", REFERENCE);
    place.relation(["run", "--until-idle"]).run().done();
    assert!(place.path("relation.db").is_file());
    #[cfg(unix)]
    for file in ["relation.db", "relation.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(place.path(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn files_are_relative_to_the_configuration_wherever_the_command_runs() {
    let place = Place::of("http://127.0.0.1:9/v1", "secret");
    std::fs::create_dir(place.path("etc")).unwrap();
    place.write("etc/other.toml", REFERENCE);
    place.write("etc/client-secret", "secret");
    place
        .relation(["run", "--until-idle", "--config", "etc/other.toml"])
        .run()
        .done();
    assert!(place.path("etc/relation.key").is_file());
    assert!(!place.path("relation.key").exists());

    let by_variable = place
        .relation(["describe"])
        .env("RELATION_CONFIG", "etc/absent.toml");
    by_variable.run().exits(2).says(&["etc/absent.toml"]);
}

#[test]
fn everything_wrong_is_told_at_once_with_lines_and_the_keys_that_were_meant() {
    let place = Place::of("http://127.0.0.1:9/v1", "secret");
    place.write(
        "relation.toml",
        "stoer = \"sqlite:relation.db\"\n\
         [limits]\n\
         memroy = \"64 MiB\"\n\
         time = 60\n\
         [expiry]\n\
         treshold = [\"2d\"]\n\
         [quantum]\n",
    );
    let ran = place.relation(["list"]).run().exits(2).says(&[
        "line 1: stoer: unknown key; did you mean `store`?",
        "line 3: limits.memroy: unknown key; did you mean `limits.memory`?",
        "line 4: limits.time: expected a duration with its unit",
        "line 6: expiry.treshold: unknown key; did you mean `expiry.thresholds`?",
        "quantum: unknown key",
    ]);
    assert!(
        !place.path("relation.db").exists(),
        "nothing is begun: {}",
        ran.stderr
    );
    let error = place.relation(["list", "--json"]).run().exits(2).error();
    assert_eq!(error["kind"], "usage");
}

#[test]
fn another_store_can_be_named_and_only_by_a_scheme_that_is_known() {
    let place = Place::of("http://127.0.0.1:9/v1", "secret");
    let other = ["run", "--until-idle", "--store", "sqlite:other.db"];
    place.relation(other).run().done();
    place.json(["list", "--store", "sqlite:other.db"]);
    assert!(place.path("other.db").is_file());
    assert!(!place.path("relation.db").exists());
    for url in [
        "postgres://localhost/relation",
        "relation.db",
        "sqlite:",
        "sqlite::memory:",
    ] {
        let ran = place.relation(["list", "--store", url]).run().exits(2);
        assert!(ran.stderr.contains(url), "{}", ran.stderr);
    }
    place
        .relation([
            "run",
            "--until-idle",
            "--store",
            "sqlite:absent/relation.db",
        ])
        .run()
        .exits(2)
        .says(&["the directory absent does not exist"]);
}

#[test]
fn a_key_file_that_does_not_fit_the_store_keeps_it_shut() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let place = &scene.place;
    let key = std::fs::read_to_string(place.path("relation.key")).unwrap();

    // The key of another store.
    let other = Scene::new();
    other.customer("Fabrikam");
    let foreign = std::fs::read_to_string(other.place.path("relation.key")).unwrap();
    place.write("relation.key", &foreign);
    let refused = |arguments: &[&str], text: &str| {
        let ran = place.relation(arguments).run();
        assert!(matches!(ran.code, Some(1 | 2)), "{ran:?}");
        assert!(
            ran.stderr.contains("relation.key") && ran.stderr.contains(text),
            "{ran:?}"
        );
    };
    refused(&["refresh", &customer.pkid], "sealed under");
    refused(&["run", "--until-idle"], "sealed under");

    place.write("relation.key", "nonsense\n");
    refused(&["run", "--until-idle"], "key");

    // Without one it must not make another, with which nothing could be opened.
    std::fs::remove_file(place.path("relation.key")).unwrap();
    refused(&["run", "--until-idle"], "does not exist");
    assert!(!place.path("relation.key").exists());

    place.write("relation.key", &key);
    place.relation(["refresh", &customer.pkid]).run().done();
}

#[test]
fn a_file_of_certificate_authorities_that_is_of_no_use_stops_the_start() {
    let place =
        Place::of("http://127.0.0.1:9/v1", "secret").configured("egress.extra-ca = \"ca.pem\"");
    let stops = |words: &str| {
        let text = format!("cannot use `ca.pem` as `egress.extra-ca`: {words}");
        let run = place.relation(["run", "--until-idle"]);
        run.run().exits(2).says(&[&text]);
    };
    stops("No such file or directory");
    place.write("ca.pem", "");
    stops("it holds no PEM certificate");
    place.write(
        "ca.pem",
        "-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n",
    );
    stops("its certificate number 1 is not valid");
}

#[test]
fn without_a_configuration_nothing_may_be_reached() {
    let scene = Scene::new();
    let place = &scene.place;
    std::fs::remove_file(place.path("relation.toml")).unwrap();
    let (_, grant) = scene.granted("Contoso");
    scene
        .add("Contoso")
        .args(["--tokens", "-"])
        .stdin(grant.json().to_string())
        .run()
        .exits(1)
        .says(&["egress.allow"]);
    assert!(place.json(["list"])["items"].as_array().unwrap().is_empty());
}

#[test]
fn settings_that_the_plugin_refuses_stop_every_workflow_with_their_lines() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let place = &scene.place;
    let text = std::fs::read_to_string(place.path("relation.toml")).unwrap();
    let text = text.trim_end();
    let lines = text.lines().count();
    let bad = "[refresh]\nperiod = \"500ms\"\nfraction = 0\njitter = 1\n[expiry]\n\
               thresholds = [\"2d\", \"1ms\"]\n[tokens]\nassumed-access-life = \"1ms\"\n\
               assumed-refresh-life = \"900000000y\"\n";
    place.write("relation.toml", &format!("{text}\n{bad}"));
    let told = [
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
        (8, "tokens.assumed-access-life: must be"),
        (9, "tokens.assumed-refresh-life: must be"),
    ];
    let told = told.map(|(line, words)| format!("line {}: {words}", lines + line));
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
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
        let refused = place.relation(&command).run().exits(2).says(&told);
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
        place.relation(&command).run().done();
    }
    assert!(scene.token_requests().is_empty());

    place.write(
        "relation.toml",
        &format!("{text}\n[expiry]\nthresholds = []\n"),
    );
    place.relation(["refresh", pkid]).run().done();
}
