//! Outputs that are full, closed, gone or never read: no command ends otherwise than documented.

use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use relation_e2e::process::{Program, Ran};
use relation_e2e::scene::{NODE, Scene};
use serde_json::Value;
use webex_emulator::{Emulator, Fault, Mode};

/// Stdout is a pipe whose reader has gone.
const NOBODY: &str = "nobody reads stdout";
/// Stderr is a pipe whose reader has gone.
const NOBODY_LOGS: &str = "nobody reads stderr";

/// Runs a program whose output is lost in this way.
#[track_caller]
fn run(program: Program, lost: &str) -> Ran {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    match lost {
        NOBODY => program.stdout(writer).run(),
        NOBODY_LOGS => program.stderr(writer).run(),
        redirection => program.redirected(redirection),
    }
}

/// Commands with the exit code that they end with when everything can be written. All but the last ones
/// only read, or can be repeated.
fn commands(pkid: &str) -> Vec<(Vec<String>, i32)> {
    let commands: [(&[&str], i32); 16] = [
        (&["--help"], 0),
        (&["--version"], 0),
        (&["completions", "bash"], 0),
        (&["describe"], 0),
        (&["list"], 0),
        (&["show", pkid], 0),
        (&["wakeups"], 0),
        (&["transactions"], 0),
        (&["stash", "list"], 0),
        (&["keys", "list"], 0),
        (&["keys", "check", "--json"], 0),
        (&["inspect"], 0),
        (&["check-expiry", pkid, "--log", "debug"], 0),
        (&["show", "nobody"], 3),
        (&["show", "nobody", "--json"], 3),
        (&["refrsh"], 2),
    ];
    let owned = |(words, code): &(&[&str], i32)| {
        (words.iter().map(|word| (*word).to_owned()).collect(), *code)
    };
    commands.iter().map(owned).collect()
}

#[test]
fn a_lost_stderr_changes_no_exit_code() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    for (words, code) in commands(&customer.pkid) {
        for lost in ["2>/dev/full", "2>&-", NOBODY_LOGS] {
            let ran = run(scene.place.relation(&words), lost).exits(code);
            let has_result = code == 0;
            assert_eq!(!ran.stdout.is_empty(), has_result, "{words:?} {lost}");
        }
    }
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    for (words, code) in commands(&customer.pkid) {
        let code = if code == 0 { 1 } else { code };
        let ran = run(scene.place.relation(&words), ">/dev/full").exits(code);
        assert!(code == 0 || !ran.stderr.is_empty(), "{words:?}");
        run(scene.place.relation(&words), ">/dev/full 2>/dev/full").exits(code);
    }
}

#[test]
fn a_closed_stdout_discards_the_result() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    for (words, code) in commands(&customer.pkid) {
        run(scene.place.relation(&words), ">&-").exits(code);
    }
}

#[test]
fn an_outcome_weighs_more_than_its_lost_output() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    scene.place.write("red.toml", "about = \"no scenario\"\n");
    scene.emulator.revoke(&customer.grant);
    for lost in [">/dev/full", ">&-", NOBODY, ">/dev/full 2>/dev/full"] {
        for json in [&[][..], &["--json"]] {
            for (words, code) in [
                (&["refresh", &customer.pkid][..], 4),
                (&["check-expiry", &customer.pkid], 4),
                (&["test", "red.toml"], 2),
            ] {
                run(scene.place.relation(words).args(json), lost).exits(code);
            }
        }
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    for words in [
        &["list"][..],
        &["refresh", &customer.pkid],
        &["run", "--until-idle"],
    ] {
        run(scene.place.relation(words), NOBODY).done();
    }
}

#[test]
fn a_link_that_nobody_sees_is_a_failure() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    for lost in [NOBODY, ">/dev/full"] {
        let connect = ["connect", &customer.pkid, "--no-listen"];
        // The reader is certainly gone when the link is written.
        let ran = run(scene.place.relation(connect), lost).exits(1);
        ran.says(&["the link to the consent could not be shown"]);
    }
}

#[test]
fn run_finishes_when_the_reader_of_its_log_is_gone() {
    for lost in [NOBODY_LOGS, "2>/dev/full", "2>&-"] {
        let scene = Scene::with(Emulator::builder().mode(Mode::Rotate));
        let customers = ["One", "Two", "Three"].map(|name| scene.customer(name));
        scene.time.pass(Duration::from_secs(8 * 86_400));
        let wakeups = ["run", "--until-idle", "--json", "--log-file", "run.log"];
        let ran = run(scene.place.relation(wakeups), lost).done();
        assert_eq!(ran.json()["refreshed"], 3, "{ran:?}");
        let wakeups = ["run", "--until-idle", "--log", "trace"];
        run(scene.place.relation(wakeups), lost).done();
        for customer in &customers {
            assert_eq!(scene.state(customer), "connected");
        }
        scene.emulator.assert_sound();
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // It is full from the beginning, so that a write waits.
    writer.write_all(&[b'x'; 65_536]).unwrap();
    let refresh = ["refresh", &customer.pkid, "--log", "trace"];
    let ran = scene.place.relation(refresh).stderr(writer).run().done();
    assert!(ran.stdout.contains("connected"), "{}", ran.stdout);
    let mut byte = [0; 1];
    reader.read_exact(&mut byte).unwrap();
}

#[test]
fn with_json_stderr_holds_one_object_at_most() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let other = scene.customer("Fabrikam");
    scene.emulator.revoke(&other.grant);
    let place = &scene.place;
    // A warning: others can read the secret.
    std::process::Command::new("chmod")
        .arg("644")
        .arg(place.path("client-secret"))
        .status()
        .unwrap();
    for words in [
        &["list", "--limit", "1"][..],
        &["list", "--name", "nobody"],
        &["refresh", &customer.pkid, "--log", "trace"],
        &["run", "--until-idle"],
        &["delete", &customer.pkid, "--dry-run"],
    ] {
        let ran = place.relation(words).arg("--json").run().done();
        assert_eq!(ran.stderr, "", "{words:?}");
    }
    for (words, code, warns) in [
        (&["refresh", &other.pkid][..], 4, true),
        (&["delete", &other.pkid], 2, false),
        (&["connect", &customer.pkid, "--no-listen"], 2, true),
        (&["test", "nowhere.toml"], 2, false),
        (&["list", "--log", "verbose"], 2, false),
        (&["list", "--limit", "none"], 2, false),
        (&[], 2, false),
    ] {
        let ran = place.relation(words).arg("--json").run().exits(code);
        let object: Value = serde_json::from_str(&ran.stderr)
            .unwrap_or_else(|error| panic!("{words:?}: {error}\n{}", ran.stderr));
        let error = &object["error"];
        assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
        if code == 4 || words.is_empty() {
            continue;
        }
        if warns {
            let warnings = error["warnings"].to_string();
            assert!(warnings.contains("chmod 600"), "{words:?}: {error}");
        }
    }
    let logged = ["list", "--json", "--log-file", "a.log", "--log", "info"];
    place.relation(logged).run().done();
    let add = ["add", "--hierarchy", NODE, "--name", "Third", "--json"];
    place
        .relation(add)
        .args(["--log-file", "a.log"])
        .run()
        .done();
    let log = std::fs::read_to_string(place.path("a.log")).unwrap();
    assert!(log.contains("chmod 600"), "{log}");
}

#[test]
fn a_file_name_that_is_not_utf8_is_shown_as_well_as_it_can_be() {
    let scene = Scene::new();
    let place = &scene.place;
    let name = std::ffi::OsStr::from_bytes(b"n\xff.toml");
    std::fs::write(place.directory().join(name), "about = \"no scenario\"\n").unwrap();
    for more in [&["--list"][..], &[]] {
        let test = place.relation(["--json", "test", "."]).args(more).run();
        let ran = test.exits(if more.is_empty() { 2 } else { 0 });
        assert!(ran.stdout.contains("n\u{fffd}.toml"), "{ran:?}");
        assert!(!ran.stderr.contains("panic"), "{ran:?}");
    }
    for words in [
        &["inspect"][..],
        &["backup"],
        &["--json", "inspect"],
        &["--json", "--config"],
    ] {
        let ran = place.relation(words).arg(name).run();
        assert!(matches!(ran.code, Some(0..=5)), "{ran:?}");
        assert!(!ran.stderr.contains("panic"), "{ran:?}");
    }
    let run = place.relation(["run", "--until-idle", "--json", "--record"]);
    let recorded = std::ffi::OsStr::from_bytes(b"r\xfe.toml");
    run.arg(recorded).run().done();
}

#[test]
fn a_reader_of_the_log_gets_all_of_it() {
    let scene = Scene::new();
    scene.customer("Contoso");
    let fault = Fault::status("/v1/access_token", 503);
    scene.emulator.inject(fault);
    scene.time.pass(Duration::from_secs(8 * 86_400));
    let (mut reader, writer) = std::io::pipe().unwrap();
    let wakeups = ["run", "--until-idle", "--log", "trace"];
    let running = scene.place.relation(wakeups).stderr(writer).start();
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    running.end().exits(5);
    for line in [
        "running due wakeups",
        "WARN",
        "stopped",
        "error: ",
        "hint: ",
    ] {
        assert!(log.contains(line), "{line}:\n{log}");
    }
}
