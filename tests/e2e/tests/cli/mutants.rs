//! The scenarios catch every mutant of the plugin, each by the scenario that its file names.

use std::path::{Path, PathBuf};
use std::process::Command;

use relation_e2e::artifacts;
use serde_json::Value;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs the scenarios of a directory with a component. Returns the names of those that fail, and the number of all.
fn run(component: &Path, folder: &Path) -> (Vec<String>, usize) {
    let mut command = Command::new(artifacts::program("relation-host"));
    command
        .arg("test")
        .arg(folder)
        .arg("--json")
        .arg("--component")
        .arg(component)
        .env("XDG_CACHE_HOME", artifacts::caches());
    let output = command.output().expect("the program starts");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let scenarios = report["scenarios"].as_array().expect("scenarios");
    let failed = |scenario: &&Value| scenario["verdict"] != "passed";
    let name = |scenario: &Value| scenario["path"].as_str().expect("a path").to_owned();
    let failed: Vec<String> = scenarios.iter().filter(failed).map(name).collect();
    assert_eq!(output.status.code(), Some(i32::from(!failed.is_empty())));
    (failed, scenarios.len())
}

#[test]
fn each_mutant_is_caught_by_its_scenario() {
    let folder = repository().join("tests/fixtures/broken");
    let mut faults = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let caught_by = text
            .lines()
            .find_map(|line| line.strip_prefix("caught-by: "))
            .unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let scenario = repository().join("tests/scenarios").join(caught_by);
        let (failed, all) = run(&artifacts::mutant(name), scenario.parent().unwrap());
        assert!(
            failed.iter().any(|failed| failed.ends_with(caught_by)),
            "{name} is not caught by {caught_by}, only by {failed:?}"
        );
        assert!(
            failed.len() < all,
            "{name}: a fault in one place must not fail everything"
        );
        faults += 1;
    }
    assert!(faults >= 3);
}
