//! What goes wrong, and how a person and a program are told: exit codes, hints, every fault at once.

use relation_e2e::scene::{NODE, Scene};
use serde_json::{Value, json};
use webex_emulator::{Emulator, Fault, Mode};

const TOKEN: &str = "/v1/access_token";

#[test]
fn zero_is_done_and_says_nothing_on_stderr() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let ran = scene
        .place
        .relation(["refresh", &customer.pkid])
        .run()
        .done();
    assert_eq!(ran.stderr, "");
    for arguments in [["--help"], ["--version"], ["help"]] {
        scene.place.relation(arguments).run().done();
    }
    let help = scene.place.relation(["--help"]).run().done().stdout;
    assert!(help.contains("5  try again later"), "{help}");
}

#[test]
fn two_is_the_command_line_at_fault() {
    let scene = Scene::new();
    let place = &scene.place;
    for arguments in [
        vec!["refrsh"],
        vec!["list", "--colour"],
        vec!["show"],
        vec!["add", "--name", "Contoso"],
        vec!["add", "--hierarchy", "sys..Contoso", "--name", "Contoso"],
        vec!["list", "--limit", "0"],
        vec!["run", "--concurrency", "0"],
    ] {
        let ran = place.relation(&arguments).run().exits(2);
        assert!(ran.stderr.starts_with("error: "), "{ran:?}");
        assert!(ran.stdout.is_empty(), "{ran:?}");
        let error = place
            .relation(&arguments)
            .arg("--json")
            .run()
            .exits(2)
            .error();
        assert_eq!(error["kind"], "usage", "{arguments:?}");
    }
    place.relation(["refrsh"]).run().exits(2).says(&["refresh"]);
    assert!(!place.path("relation.db").exists(), "nothing was begun");
}

#[test]
fn two_is_fields_at_fault_and_all_of_them_are_told_at_once() {
    let scene = Scene::new();
    let fields = json!({
        "name": "x".repeat(1025),
        "account_email": "nobody",
        "account_number": "not-an-organisation",
        "webex_contact_center": true,
        "http_proxy": "ftp://proxy.example.com/",
        "shadow": [{ "name": "one" }, { "name": "two" }],
        "token": "one",
        "token_repeat": "another",
        "emial_domain": "contoso.example",
    });
    let add = || {
        let add = ["add", "--hierarchy", NODE, "--fields", "-"];
        scene.place.relation(add).stdin(fields.to_string())
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
    let told = add()
        .run()
        .exits(2)
        .says(&["\nhint: ", "email_domain"])
        .stderr;
    for field in faulty {
        assert!(told.contains(&format!("\n  {field}: ")), "{field}:\n{told}");
    }
    let error = add().arg("--json").run().exits(2).error();
    assert_eq!(error["kind"], "invalid");
    let faults: Vec<&Value> = error["faults"].as_array().unwrap().iter().collect();
    for field in faulty {
        let found = faults.iter().any(|fault| fault["field"] == field);
        assert!(found, "{field}: {faults:#?}");
    }
    assert!(
        scene.place.json(["list"])["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn three_is_not_found() {
    let scene = Scene::new();
    scene.customer("Contoso");
    let error = scene
        .place
        .relation(["show", "Nobody", "--json"])
        .run()
        .exits(3)
        .error();
    assert_eq!(error["kind"], "not-found");
    assert!(error["hint"].as_str().unwrap().contains("list"), "{error}");
}

#[test]
fn four_is_a_person_who_must_reauthorize() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let pkid = customer.pkid.as_str();
    scene.emulator.revoke(&customer.grant);
    let ran = scene
        .place
        .relation(["refresh", pkid, "--json"])
        .run()
        .exits(4);
    assert_eq!(ran.json()["outcome"], "reauthorize", "the outcome is data");
    let error = ran.error();
    assert_eq!(error["kind"], "reauthorize");
    assert!(
        error["hint"].as_str().unwrap().contains("modify"),
        "{error}"
    );
    let transaction = error["transaction"].as_str().unwrap();
    assert_eq!(
        scene.place.json(["transactions", transaction])["action"],
        "refresh"
    );
    assert_eq!(scene.state(&customer), "reauthorize");
    let checked = scene.place.relation(["check-expiry", pkid]).run().exits(4);
    assert!(checked.stderr.contains("\nhint: "), "{}", checked.stderr);

    let never = scene
        .place
        .json(["add", "--hierarchy", NODE, "--name", "Fabrikam"]);
    assert_eq!(never["connection"]["state"], "not-connected");
    scene.place.relation(["refresh", "Fabrikam"]).run().exits(4);
    scene.emulator.assert_sound();
}

#[test]
fn five_is_to_try_again_later() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let pkid = customer.pkid.as_str();
    for fault in [
        Fault::status(TOKEN, 503),
        Fault::rate_limited(TOKEN, "60"),
        Fault::reset_after(TOKEN),
        Fault::malformed_json(TOKEN),
    ] {
        scene.emulator.inject(fault);
        let ran = scene
            .place
            .relation(["refresh", pkid, "--json"])
            .run()
            .exits(5);
        assert_eq!(ran.json()["outcome"], "retrying");
        assert_eq!(ran.error()["kind"], "unavailable");
        assert_eq!(scene.state(&customer), "retrying");
    }
    scene.place.relation(["refresh", pkid]).run().done();
    assert_eq!(scene.state(&customer), "connected");

    // Where nothing is kept to try again by itself, the command fails as Webex did.
    let (_, grant) = scene.granted("Fabrikam");
    scene
        .emulator
        .inject(Fault::status("/v1/organizations", 503).always());
    scene
        .place
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
        scene.place.json(["list"])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn one_is_everything_else() {
    let scene = Scene::new();
    let place = &scene.place;
    place.write(
        "relation.db",
        "this is no database, and much longer than a header would be",
    );
    let ran = place.relation(["list"]).run().exits(1);
    assert!(
        ran.stderr.contains("not an SQLite database"),
        "{}",
        ran.stderr
    );
    let error = place.relation(["list", "--json"]).run().exits(1).error();
    assert_eq!(error["kind"], "failed");
}

#[test]
fn secrets_are_refused_as_arguments_and_not_repeated() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let modify = |field: &str| {
        let set = format!("{field}=s3cret-argument");
        scene
            .place
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
        let ran = modify(field).says(&[field, "\nhint: "]);
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    }
    // There is no option that would take one.
    let ran = scene
        .place
        .relation(["modify", &customer.pkid, "--token", "s3cret-argument"])
        .run()
        .exits(2);
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
}

#[test]
fn tokens_that_cannot_be_used_are_told_without_quoting_them() {
    let scene = Scene::new();
    for input in [
        "",
        "s3cret",
        "[\"s3cret\"]",
        "{\"access_token\": \"s3cret\"}",
        "{\"s3cret\"",
    ] {
        let add = scene.add("Contoso").args(["--tokens", "-"]);
        let ran = add.stdin(input).run().exits(2);
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    }
    let twice = ["add", "--hierarchy", NODE, "--tokens", "-", "--fields", "-"];
    scene
        .place
        .relation(twice)
        .stdin("{}")
        .run()
        .exits(2)
        .says(&["one stdin"]);
}

#[test]
fn nothing_is_deleted_unasked() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let ran = scene
        .place
        .relation(["delete", &customer.pkid])
        .run()
        .exits(2);
    assert!(ran.stderr.contains("hint: --yes deletes"), "{}", ran.stderr);
    assert_eq!(scene.state(&customer), "connected");
    let both = ["delete", &customer.pkid, "--yes", "--dry-run"];
    scene.place.relation(both).run().exits(2);
}

#[test]
fn tokens_that_a_limit_keeps_from_being_stored_are_told_as_lost() {
    let scene = Scene::with(Emulator::builder().mode(Mode::Rotate));
    let customer = scene.customer("Contoso");
    let place = &scene.place;
    let configuration = std::fs::read_to_string(place.path("relation.toml")).unwrap();
    let tight = format!("{configuration}\n[limits]\ncommit = \"100 B\"\n");
    place.write("tight.toml", &tight);
    let refresh = ["refresh", &customer.pkid];
    let stopped = place
        .relation(refresh)
        .args(["--config", "tight.toml"])
        .run();
    stopped.says(&["limits.commit"]);
    let next = place.relation(refresh).run().exits(4);
    assert!(
        format!("{}{}", next.stdout, next.stderr).contains("possibly lost rotation"),
        "{next:?}"
    );
}
