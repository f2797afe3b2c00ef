//! `settings`: the settings of notices on the command line.

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::ProgramOutput;
use serde_json::{Value, json};

const CUSTOMER: &str = "sys.Provider.Contoso";
const COMMUNITY: &str = "canary-community-4d1f";
const PASSWORDS: [&str; 2] = ["canary-authentication-77", "canary-privacy-password"];

/// Runs `settings` without a plugin, which it does not need.
fn settings(world: &CliWorld, arguments: &[&str]) -> ProgramOutput {
    let program = world.workspace.relation(["settings"]).args(arguments);
    program.args(["--plugin", "missing.wasm"]).run()
}

#[track_caller]
fn show(world: &CliWorld, arguments: &[&str]) -> Value {
    let shown = settings(world, &[&["show", "--json"], arguments].concat());
    shown.succeeds().json()
}

#[track_caller]
fn set(world: &CliWorld, node: &str, changes: &[&str]) -> ProgramOutput {
    let set = ["set", "--hierarchy", node];
    settings(world, &[&set, changes].concat()).succeeds()
}

#[test]
fn settings_are_set_shown_and_inherited() {
    let world = CliWorld::new().with_config_line(
        "[notices.mail]\nhost = \"relay.example.com\"\nehlo = \"relation.example.com\"\n\
         from = \"relation@example.com\"",
    );
    let root = [
        "recipients=noc@provider.example",
        "language=de",
        "thresholds=30d,7d",
    ];
    let shown = set(&world, "sys", &root);
    assert!(shown.stdout.contains("30d, 7d"), "{}", shown.stdout);
    assert_eq!(shown.stderr, "");
    let own = ["recipients+=it@contoso.example", "reminder=7d", "budget=3"];
    set(&world, CUSTOMER, &own);

    let shown = show(&world, &["--hierarchy", CUSTOMER]);
    let own = &shown["settings"];
    assert_eq!(
        (&own["budget"], &own["language"]),
        (&json!(3), &json!("inherit"))
    );
    assert_eq!(own["recipients"]["mode"], "add-to-inherited");
    let resolved = show(&world, &["--hierarchy", CUSTOMER, "--resolved"]);
    let sourced = |value: Value, origin: &str| json!({"value": value, "origin": origin});
    assert_eq!(resolved["language"], sourced(json!("de"), "sys"));
    assert_eq!(resolved["reminder"], sourced(json!("7d"), CUSTOMER));
    assert_eq!(resolved["digest"], sourced(json!("per-event"), "default"));
    let recipients = resolved["recipients"].as_array().unwrap().iter();
    let recipients: Vec<_> = recipients
        .map(|each| {
            (
                each["recipient"]["address"].as_str(),
                each["origin"].as_str(),
            )
        })
        .collect();
    let expected = [
        (Some("it@contoso.example"), Some(CUSTOMER)),
        (Some("noc@provider.example"), Some("sys")),
    ];
    assert_eq!(recipients, expected);
    let text = settings(&world, &["show", "--resolved", "--hierarchy", CUSTOMER]);
    let text = text.succeeds().stdout;
    let language = text.lines().find(|line| line.starts_with("language"));
    let language: Vec<&str> = language.unwrap().split_whitespace().collect();
    assert_eq!(language, ["language", "de", "sys"]);

    // `set` takes the output of `show`.
    let again = world.workspace.relation(["settings", "set", "--json"]);
    let again = again.args(["--hierarchy", CUSTOMER, "-"]);
    let again = again.stdin(own.to_string()).run().succeeds().json();
    assert_eq!(&again["settings"], own);
    let listed = settings(&world, &["list", "--json"]).succeeds().json();
    let nodes = listed["items"].as_array().unwrap().iter();
    let mut nodes: Vec<&str> = nodes
        .filter_map(|each| each["hierarchy"].as_str())
        .collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["sys", CUSTOMER]);

    set(&world, CUSTOMER, &["recipients-=it@contoso.example"]);
    let shown = show(&world, &["--hierarchy", CUSTOMER]);
    assert_eq!(shown["settings"]["recipients"], "inherit");
    settings(&world, &["remove", "--hierarchy", CUSTOMER]).succeeds();
    let shown = show(&world, &["--hierarchy", CUSTOMER]);
    assert_eq!(shown["version"], 0);
    settings(&world, &["remove", "--hierarchy", CUSTOMER])
        .exits(3)
        .reports(&["has no settings", "settings list"]);
}

#[test]
fn errors_of_settings_are_reported_together() {
    let world = CliWorld::new();
    set(&world, "sys", &["budget=5"]);
    let wrong = json!({
        "thresholds": ["30d", "soon"],
        "recipients": ["noc", {"type": "snmp", "name": "NOC", "address": "noc", "version": "v2c", "community": COMMUNITY}],
        "budget": 0, "lnaguage": "de",
    });
    let file = world.workspace.write("wrong.json", &wrong.to_string());
    let arguments = ["set", "--hierarchy", "sys", file.to_str().unwrap()];
    settings(&world, &arguments).exits(2).reports(&[
        "thresholds.1: ",
        "recipients.0: ",
        "recipients.1.community: ",
        "budget: ",
        "did you mean `language`?",
        "nothing was changed",
    ]);
    let arguments = [
        "set",
        "--hierarchy",
        "sys",
        "budget=0",
        "thresholds-=30d",
        "digest=7",
    ];
    settings(&world, &arguments)
        .exits(2)
        .reports(&["budget: ", "thresholds: ", "digest: "]);
    let shown = show(&world, &["--hierarchy", "sys"]);
    assert_eq!(shown["settings"]["budget"], 5);
    world.workspace.write("broken.json", "{\"budget\": 1,");
    settings(&world, &["set", "--hierarchy", "sys", "broken.json"])
        .exits(2)
        .reports(&["the settings from broken.json", "line 1"]);
    let twice = r#"{"budget": 1, "quiet_hours": {"from": "20:00", "from": "21:00"}}"#;
    world.workspace.write("twice.json", twice);
    settings(&world, &["set", "--hierarchy", "sys", "twice.json"])
        .exits(2)
        .reports(&[
            "twice.json: members are given more than once",
            "quiet_hours.from: ",
        ]);
    settings(
        &world,
        &["set", "--hierarchy", "sys", "budget=1", COMMUNITY],
    )
    .exits(2)
    .reports(&["argument 2"]);
    assert!(!world.workspace.all_output().contains(COMMUNITY));
}

#[test]
fn secrets_are_shown_once_or_never() {
    let world = CliWorld::new();
    let recipients = json!({"recipients": [
        {"type": "webhook", "name": "tickets", "url": "https://tickets.example/canary-path-5e"},
        {"type": "snmp", "name": "old NOC", "address": "192.0.2.1", "version": "v2c"},
        {"type": "snmp", "name": "NOC", "address": "192.0.2.1", "version": "v3", "user": "relation"},
    ]});
    let file = world.workspace.write("all.json", &recipients.to_string());
    let saved = set(&world, CUSTOMER, &[file.to_str().unwrap()]);
    let secret = saved.stdout.lines().find(|line| line.starts_with("whsec_"));
    let secret = secret.expect("a new webhook has a secret").to_owned();
    assert!(saved.stdout.contains("only time"), "{}", saved.stdout);
    assert!(
        saved.stderr.contains("settings set-credentials")
            && saved.stderr.contains("notices.webhook-origins"),
        "{}",
        saved.stderr
    );

    let credentials = |recipient: &str, text: &str| {
        let set = ["settings", "set-credentials", "--hierarchy", CUSTOMER];
        let program = world.workspace.relation(set).arg(recipient);
        program.stdin(text).run()
    };
    credentials("old noc", COMMUNITY).succeeds();
    credentials("NOC", &PASSWORDS.join("\n")).succeeds();
    credentials("NOC", PASSWORDS[0])
        .exits(2)
        .reports(&["1 line", "2 are expected"]);
    credentials("NOC", "short\ncanary-privacy-password")
        .exits(2)
        .reports(&["auth_password"]);
    credentials("tickets", COMMUNITY)
        .exits(2)
        .reports(&["not an SNMP target"]);
    credentials("nobody", COMMUNITY)
        .exits(3)
        .reports(&["settings show"]);
    let shown = settings(&world, &["show", "--hierarchy", CUSTOMER]).succeeds();
    assert!(shown.stdout.contains(" https://tickets.example/… "));
    let states = shown.stdout.lines().filter(|line| line.contains(" set "));
    assert_eq!(states.count(), 3, "{}", shown.stdout);

    let rotated = settings(
        &world,
        &[
            "rotate-secret",
            "--hierarchy",
            CUSTOMER,
            "tickets",
            "--json",
        ],
    );
    let rotated = rotated.succeeds().json();
    let second = rotated["signing_secret"].as_str().unwrap();
    assert!(second.starts_with("whsec_") && second != secret);
    settings(&world, &["rotate-secret", "--hierarchy", CUSTOMER, "NOC"])
        .exits(2)
        .reports(&["not a webhook"]);
    let shown = show(&world, &["--hierarchy", CUSTOMER]);
    let secrets = shown["secrets"].as_array().unwrap();
    assert!(
        secrets.iter().all(|secret| secret["set"] == true),
        "{shown}"
    );

    // A change of another field keeps the address and the secrets.
    set(&world, CUSTOMER, &["budget=2"]);
    // The path of a webhook may be a token: neither the store nor a backup has it in clear.
    let backup = world.workspace.relation(["backup", "copy.db"]);
    backup.run().succeeds();
    let directory = std::fs::read_dir(world.workspace.directory()).unwrap();
    let files = directory.map(|file| file.unwrap().path());
    let stores: Vec<_> = files
        .filter(|file| file.to_string_lossy().contains(".db"))
        .collect();
    assert!(stores.len() >= 2, "{stores:?}");
    for file in stores {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(11).any(|part| part == b"canary-path");
        assert!(!found, "{}", file.display());
    }
    let all = world.workspace.all_output();
    for secret in [secret.as_str(), second] {
        assert_eq!(all.matches(secret).count(), 1, "{secret}");
    }
    for canary in [COMMUNITY, PASSWORDS[0], PASSWORDS[1], "canary-path"] {
        assert!(!all.contains(canary), "{canary}");
    }
}
