//! Tests of the command line.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected should panic"
)]

use std::process::{Command, Output};

fn xtask(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn help_is_printed_to_stdout() {
    for args in [
        ["--help"].as_slice(),
        &["setup", "--help"],
        &["demo", "-h"],
        &["help"],
    ] {
        let output = xtask(args);
        assert!(output.status.success(), "{args:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("usage: cargo xtask"), "{args:?}: {text}");
        assert!(output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn usage_errors_go_to_stderr_with_exit_code_2() {
    for (args, problem) in [
        ([].as_slice(), "no command given"),
        (&["deploy"], "no command is called \"deploy\""),
        (&["setup", "now"], "`setup` takes no argument \"now\""),
        (
            &["build", "--debug"],
            "`build` takes no argument \"--debug\"",
        ),
        (
            &["build", "--release", "x"],
            "`build --release` takes no argument \"x\"",
        ),
    ] {
        let output = xtask(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.starts_with(&format!("error: {problem}")),
            "{args:?}: {text}"
        );
        assert!(text.contains("usage: cargo xtask"), "{args:?}: {text}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

/// Plugin authors get the harness and its dependencies from a registry.
#[test]
fn harness_and_its_dependencies_can_be_packaged() {
    let target = tempfile::tempdir().unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new(env!("CARGO"))
        .args(["package", "--no-verify", "--allow-dirty", "--offline"])
        .args([
            "-p",
            "relation-types",
            "-p",
            "relation-egress",
            "-p",
            "relation-store",
            "-p",
            "relation-toml",
        ])
        .args(["-p", "relation-host", "-p", "relation-harness"])
        .args(["-p", "webex-emulator", "--target-dir"])
        .arg(target.path())
        .current_dir(root)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    // The host compiles the contract in, so its package must contain the contract.
    let listed = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .args(["-p", "relation-host"])
        .current_dir(root)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for file in [
        "wit/spark-customer/workflows.wit",
        "wit/spark-customer/deps/automate-platform/types.wit",
    ] {
        assert!(listed.contains(file), "{file}: {listed}");
    }
}
