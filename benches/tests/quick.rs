//! Runs every benchmark to its end, with tiny counts, so that none of them rots.
#![allow(clippy::expect_used, reason = "a test stops where it cannot continue")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn benches(args: &[&str]) -> std::process::Output {
    let program = Path::new(env!("CARGO_BIN_EXE_relation-benches"));
    let component = program
        .ancestors()
        .nth(2)
        .expect("cargo builds into a target directory")
        .join("component/spark-customer.wasm");
    assert!(
        component.is_file(),
        "the component {} is not there: run `cargo xtask build`, or the tests by `cargo xtask test`",
        component.display()
    );
    Command::new(program)
        .args(args)
        .output()
        .expect("the program starts")
}

#[test]
fn every_benchmark_reports_ratios() {
    let output = benches(&["--quick", "--json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let everything: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let reports = everything["reports"].as_array().expect("reports");
    let names: Vec<&str> = reports
        .iter()
        .filter_map(|report| report["bench"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "fresh", "refresh", "drain", "commits", "program", "stored", "web", "metrics",
            "profile"
        ]
    );
    for report in reports {
        let rows = report["rows"].as_array().expect("rows");
        assert!(
            rows.iter()
                .all(|row| row["value"]["median"].as_f64() > Some(0.0)),
            "a figure is missing: {report}"
        );
        let ratios = rows.iter().filter_map(|row| row["ratios"].as_array());
        assert!(ratios.flatten().next().is_some(), "no ratio: {report}");
    }
}

#[test]
fn postgres_benchmark_reports_its_goals_or_that_it_was_skipped() {
    let output = benches(&["--quick", "--json", "--filter", "postgres"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let everything: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let report = &everything["reports"][0];
    if report["notes"][0]
        .as_str()
        .is_some_and(|note| note.starts_with("SKIPPED"))
    {
        return;
    }
    let goals = everything["goals"].as_array().expect("goals");
    // Plain SQL, two hosts, and six works on the larger store.
    assert_eq!(goals.len(), 8, "{report}");
    let rows = report["rows"].as_array().expect("rows");
    // The slots of a quick run can end before a host with a slow endpoint has refreshed anything.
    let is_slow = |row: &Value| {
        row["what"]
            .as_str()
            .is_some_and(|what| what.contains("a token request"))
    };
    assert!(
        rows.iter()
            .all(|row| is_slow(row) || row["value"]["median"].as_f64() > Some(0.0)),
        "a figure is missing: {report}"
    );
}

#[test]
fn missing_peers_are_skipped_by_name() {
    let nothing = tempfile::tempdir().expect("a directory");
    let directory = nothing.path().to_str().expect("a path in UTF-8");
    let output = benches(&["--quick", "--json", "--peers", directory]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let everything: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let report = &everything["reports"][0];
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{report}");
    assert!(rows[0]["value"]["median"].as_f64() > Some(0.0), "{report}");
    let notes = report["notes"].to_string();
    for peer in ["aiohttp", "authlib", "Node"] {
        assert!(notes.contains(peer), "{notes}");
    }
}

#[test]
fn table_has_every_goal_that_needs_no_peer() {
    let output = benches(&["--quick", "--table"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("skipped: --peers"), "{stderr}");
    let table = String::from_utf8_lossy(&output.stdout);
    for measure in [
        "component, 32 in flight, against native",
        "component, 32 in flight, against floor",
        "dispatcher, 64 due",
        "describe(), against bare wasmtime",
        "| component ",
        "a command that needs the plugin",
        "find due wakeups: 32 of them; 400 stored, against 100 stored",
        "resident memory of an idle host with 400 customers",
        "GET a list of 50; 400 stored",
        "refreshes with metrics, 32 in flight, against without metrics",
        "a scrape that reads the store, 128 in flight",
    ] {
        assert!(table.contains(measure), "{measure} is missing:\n{table}");
    }
}

#[test]
fn unmatched_filter_lists_the_benchmarks() {
    let output = benches(&["--filter", "nonsense"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("refresh") && stderr.contains("stored"),
        "{stderr}"
    );
}
