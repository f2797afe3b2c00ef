//! The alert rules and the dashboard in `deploy/`.
//!
//! Without `promtool`, the tests report that they were skipped; with `RELATION_REQUIRE_PROMTOOL` set they fail instead.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use relation_e2e::optional_programs::{find_program, report_skipped};
use relation_metrics::MetricKind;

use super::definitions;

const RULES: &str = "deploy/prometheus/relation.rules.yml";
const TESTS: &str = "deploy/prometheus/relation.tests.yml";
const DASHBOARD: &str = "deploy/grafana/relation-hosts.json";

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// Returns promtool; reports that the test is skipped if it is not installed.
fn promtool() -> Option<Command> {
    let Some(program) = find_program("promtool") else {
        let advice = "promtool is not installed (apt-get install prometheus)";
        report_skipped(advice, "RELATION_REQUIRE_PROMTOOL");
        return None;
    };
    Some(Command::new(program))
}

#[track_caller]
fn assert_success(output: &std::process::Output) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&text)
    );
}

/// Checks the exposition's form, its names and its help texts.
pub(super) fn check_metrics_with_promtool(text: &str) {
    let Some(mut promtool) = promtool() else {
        return;
    };
    let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let promtool = promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = promtool.spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    assert_success(&running.wait_with_output().unwrap());
}

/// Returns the words of a text that are names of our metrics.
fn find_names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    words.filter(|word| word.starts_with("relation_")).collect()
}

/// Returns the values of a member in YAML.
fn find_members<'t>(text: &'t str, member: &str) -> Vec<&'t str> {
    let lines = text.lines().map(str::trim_start);
    lines
        .filter_map(|line| line.strip_prefix(member)?.strip_prefix(": "))
        .collect()
}

#[test]
fn rules_and_dashboard_use_existing_metrics() {
    let mut known = BTreeSet::new();
    for definition in definitions() {
        if let MetricKind::Histogram { .. } = definition.kind {
            for suffix in ["_bucket", "_sum", "_count"] {
                known.insert(format!("{}{suffix}", definition.name));
            }
        } else {
            known.insert(definition.name);
        }
    }
    for file in [RULES, TESTS, DASHBOARD] {
        let text = read(file);
        let names = find_names(&text);
        assert!(names.len() > 8, "{file}");
        for name in names {
            assert!(known.contains(name), "{name} of {file} is not a metric");
        }
    }
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 20);
}

#[test]
fn each_alert_has_a_runbook_and_a_test() {
    let (rules, tests) = (read(RULES), read(TESTS));
    let operations = read("docs/operations.md");
    let alerts = find_members(&rules, "- alert");
    assert!(alerts.len() > 10, "{alerts:?}");
    let runbooks = find_members(&rules, "runbook");
    let expected = alerts.iter();
    let expected = expected.map(|alert| format!("docs/operations.md#{}", alert.to_lowercase()));
    assert_eq!(runbooks, expected.collect::<Vec<_>>());
    for alert in alerts {
        assert!(operations.contains(&format!("\n### {alert}\n")), "{alert}");
        let fires = format!("alertname=\"{alert}\"");
        assert!(tests.contains(&fires), "{alert} has no test");
    }
}

#[test]
fn rules_are_valid_and_their_alerts_fire() {
    for (command, file) in [("check", RULES), ("test", TESTS)] {
        let Some(mut promtool) = promtool() else {
            return;
        };
        let promtool = promtool.args([command, "rules"]).arg(root().join(file));
        assert_success(&promtool.output().unwrap());
    }
}
