//! Outputs that are full, closed, gone or never read: every command still ends as documented.

use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::process::{Program, ProgramOutput};
use serde_json::Value;
use webex_emulator::{Emulator, Fault, Mode};

/// Stdout is a pipe whose reader has gone.
const NO_STDOUT_READER: &str = "stdout has no reader";
/// Stderr is a pipe whose reader has gone.
const NO_STDERR_READER: &str = "stderr has no reader";

/// Runs a program whose output is lost in this way.
#[track_caller]
fn run(program: Program, lost: &str) -> ProgramOutput {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    match lost {
        NO_STDOUT_READER => program.stdout(writer).run(),
        NO_STDERR_READER => program.stderr(writer).run(),
        redirection => program.run_redirected(redirection),
    }
}

/// Returns commands with their exit codes when everything can be written. All but the last ones
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
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    for (words, code) in commands(&customer.pkid) {
        for lost in ["2>/dev/full", "2>&-", NO_STDERR_READER] {
            let output = run(world.workspace.relation(&words), lost).exits(code);
            let has_result = code == 0;
            assert_eq!(!output.stdout.is_empty(), has_result, "{words:?} {lost}");
        }
    }
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    for (words, code) in commands(&customer.pkid) {
        let code = if code == 0 { 1 } else { code };
        let output = run(world.workspace.relation(&words), ">/dev/full").exits(code);
        assert!(code == 0 || !output.stderr.is_empty(), "{words:?}");
        run(world.workspace.relation(&words), ">/dev/full 2>/dev/full").exits(code);
    }
}

#[test]
fn a_closed_stdout_discards_the_result() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    for (words, code) in commands(&customer.pkid) {
        run(world.workspace.relation(&words), ">&-").exits(code);
    }
}

#[test]
fn outcome_takes_precedence_over_lost_output() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    world
        .workspace
        .write("red.toml", "about = \"no scenario\"\n");
    world.emulator.revoke(&customer.grant);
    for lost in [
        ">/dev/full",
        ">&-",
        NO_STDOUT_READER,
        ">/dev/full 2>/dev/full",
    ] {
        for json in [&[][..], &["--json"]] {
            for (words, code) in [
                (&["refresh", &customer.pkid][..], 4),
                (&["check-expiry", &customer.pkid], 4),
                (&["test", "red.toml"], 2),
            ] {
                run(world.workspace.relation(words).args(json), lost).exits(code);
            }
        }
    }
}

#[test]
fn closed_reader_is_not_a_failure() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    for words in [
        &["list"][..],
        &["refresh", &customer.pkid],
        &["run", "--until-idle"],
    ] {
        run(world.workspace.relation(words), NO_STDOUT_READER).succeeds();
    }
}

#[test]
fn unseen_consent_link_is_a_failure() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    for lost in [NO_STDOUT_READER, ">/dev/full"] {
        let connect = ["connect", &customer.pkid, "--no-listen"];
        // The reader is certainly gone when the link is written.
        let output = run(world.workspace.relation(connect), lost).exits(1);
        output.reports(&["the link to the consent could not be shown"]);
    }
}

#[test]
fn run_finishes_when_the_reader_of_its_log_is_gone() {
    for lost in [NO_STDERR_READER, "2>/dev/full", "2>&-"] {
        let world = CliWorld::with(Emulator::builder().mode(Mode::Rotate));
        let customers = ["One", "Two", "Three"].map(|name| world.add_customer(name));
        world.time.advance(Duration::from_secs(8 * 86_400));
        let wakeups = ["run", "--until-idle", "--json", "--log-file", "run.log"];
        let output = run(world.workspace.relation(wakeups), lost).succeeds();
        assert_eq!(output.json()["refreshed"], 3, "{output:?}");
        let wakeups = ["run", "--until-idle", "--log", "trace"];
        run(world.workspace.relation(wakeups), lost).succeeds();
        for customer in &customers {
            assert_eq!(world.state(customer), "connected");
        }
        world.emulator.assert_sound();
    }
}

#[test]
fn unread_log_does_not_block() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // Full from the beginning, so that a write waits.
    writer.write_all(&[b'x'; 65_536]).unwrap();
    let refresh = ["refresh", &customer.pkid, "--log", "trace"];
    let output = world
        .workspace
        .relation(refresh)
        .stderr(writer)
        .run()
        .succeeds();
    assert!(output.stdout.contains("connected"), "{}", output.stdout);
    let mut byte = [0; 1];
    reader.read_exact(&mut byte).unwrap();
}

#[test]
fn with_json_stderr_holds_one_object_at_most() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let other = world.add_customer("Fabrikam");
    let workspace = &world.workspace;
    // A warning: others can read the secret.
    std::process::Command::new("chmod")
        .arg("644")
        .arg(workspace.path("client-secret"))
        .status()
        .unwrap();
    for words in [
        &["list", "--limit", "1"][..],
        &["list", "--name", "nobody"],
        &["refresh", &customer.pkid, "--log", "trace"],
        &["run", "--until-idle"],
        &["delete", &customer.pkid, "--dry-run"],
    ] {
        let output = workspace.relation(words).arg("--json").run().succeeds();
        assert_eq!(output.stderr, "", "{words:?}");
    }
    // Not before the run, in which the refresh after pasted tokens may be due.
    world.emulator.revoke(&other.grant);
    for (words, code, warns) in [
        (&["refresh", &other.pkid][..], 4, true),
        (&["delete", &other.pkid], 2, false),
        (&["connect", &customer.pkid, "--no-listen"], 2, true),
        (&["test", "nowhere.toml"], 2, false),
        (&["list", "--log", "verbose"], 2, false),
        (&["list", "--limit", "none"], 2, false),
        (&[], 2, false),
    ] {
        let output = workspace.relation(words).arg("--json").run().exits(code);
        let object: Value = serde_json::from_str(&output.stderr)
            .unwrap_or_else(|error| panic!("{words:?}: {error}\n{}", output.stderr));
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
    workspace.relation(logged).run().succeeds();
    let add = ["add", "--hierarchy", NODE, "--name", "Third", "--json"];
    workspace
        .relation(add)
        .args(["--log-file", "a.log"])
        .run()
        .succeeds();
    let log = std::fs::read_to_string(workspace.path("a.log")).unwrap();
    assert!(log.contains("chmod 600"), "{log}");
}

#[test]
fn non_utf8_file_name_is_shown_lossily() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let name = std::ffi::OsStr::from_bytes(b"n\xff.toml");
    std::fs::write(
        workspace.directory().join(name),
        "about = \"no scenario\"\n",
    )
    .unwrap();
    for more in [&["--list"][..], &[]] {
        let test = workspace.relation(["--json", "test", "."]).args(more).run();
        let output = test.exits(if more.is_empty() { 2 } else { 0 });
        assert!(output.stdout.contains("n\u{fffd}.toml"), "{output:?}");
        assert!(!output.stderr.contains("panic"), "{output:?}");
    }
    for words in [
        &["inspect"][..],
        &["backup"],
        &["--json", "inspect"],
        &["--json", "--config"],
    ] {
        let output = workspace.relation(words).arg(name).run();
        assert!(matches!(output.code, Some(0..=5)), "{output:?}");
        assert!(!output.stderr.contains("panic"), "{output:?}");
    }
    let run = workspace.relation(["run", "--until-idle", "--json", "--record"]);
    let recorded = std::ffi::OsStr::from_bytes(b"r\xfe.toml");
    run.arg(recorded).run().succeeds();
}

#[test]
fn log_reader_gets_the_whole_log() {
    let world = CliWorld::new();
    world.add_customer("Contoso");
    let fault = Fault::status("/v1/access_token", 503);
    world.emulator.inject(fault);
    world.time.advance(Duration::from_secs(8 * 86_400));
    let (mut reader, writer) = std::io::pipe().unwrap();
    let wakeups = ["run", "--until-idle", "--log", "trace"];
    let running = world.workspace.relation(wakeups).stderr(writer).start();
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    running.wait().exits(5);
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
