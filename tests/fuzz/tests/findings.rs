//! A campaign detects a component that misbehaves, and shrinks the input that shows it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use relation_fuzz::campaign::{self, Plan, Reproducer, files};
use relation_fuzz::fake_webex::CANARY;
use relation_fuzz::{FindingKind, Target, TrialRunner, coverage};
use support::component;

/// Runs a campaign on the fixture of this name.
#[track_caller]
fn found(fixture: &str) -> Reproducer {
    let component = component(&format!("fixtures/{fixture}"));
    let runner = TrialRunner::with_empty_worlds(&component, BTreeMap::new()).unwrap();
    let plan = Plan {
        executions: 5,
        until: None,
        seed: 1,
        jobs: 1,
        corpus: vec![vec![0xa5; 64]],
    };
    let report = campaign::run(Target::Fields, &runner, &plan, |_| {}).unwrap();
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    report.findings.into_iter().next().unwrap()
}

#[test]
fn panic_is_a_finding_with_a_minimal_input() {
    let found = found("panic");
    assert_eq!(found.finding.kind, FindingKind::Trap);
    assert!(
        found
            .finding
            .description
            .contains("the plugin's own message"),
        "{}",
        found.finding
    );
    assert!(found.input.is_empty(), "{:?}", found.input);
    let reported = files::describe(Target::Fields, &found);
    assert!(
        reported.ends_with("cargo xtask fuzz --target fields --replay ''"),
        "{reported}"
    );
}

/// Returns the panic message of cargo-fuzz's targets on `input` when the plugin panics in any case.
fn under_cargo_fuzz(input: &[u8]) -> Option<String> {
    let component = component("fixtures/panic");
    let runner = TrialRunner::with_empty_worlds(&component, BTreeMap::new()).unwrap();
    let run = AssertUnwindSafe(|| coverage::run_on(&runner, Target::Fields, input));
    let panic = catch_unwind(run).err()?;
    Some(panic.downcast_ref::<String>().unwrap().clone())
}

#[test]
fn cargo_fuzz_target_panics_on_a_finding() {
    let words = under_cargo_fuzz(&[0xa5; 64]).unwrap();
    assert!(words.starts_with("no result in add: "), "{words}");
    assert!(words.contains("the plugin's own message"), "{words}");
}

#[test]
fn cargo_fuzz_target_skips_inputs_with_the_canary() {
    let input = [&[0xa5; 32], CANARY.as_bytes()].concat();
    assert_eq!(under_cargo_fuzz(&input), None);
}

#[test]
fn a_trap_is_a_finding() {
    let found = found("deep_recursion");
    assert_eq!(found.finding.kind, FindingKind::Trap);
    assert!(
        found.finding.description.contains("stack"),
        "{}",
        found.finding
    );
}

#[test]
fn exceeded_limit_is_a_finding() {
    for what in ["memory_bomb", "host_call_flood"] {
        let found = found(what);
        assert_eq!(found.finding.kind, FindingKind::Trap, "{what}");
        assert!(
            found.finding.description.contains("limits."),
            "{}",
            found.finding
        );
    }
}

#[test]
fn failure_outside_the_contract_is_a_finding() {
    let found = found("many_changes");
    assert_eq!(found.finding.kind, FindingKind::Failure);
    assert!(
        found.finding.description.contains("limits.changes"),
        "{}",
        found.finding
    );
}
