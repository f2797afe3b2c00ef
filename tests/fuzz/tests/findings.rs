//! A component that misbehaves is found out, and the input that shows it is handed over small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use relation_fuzz::campaign::{self, Found, Plan, files};
use relation_fuzz::web::CANARY;
use relation_fuzz::{Bench, FindingKind, Target, coverage};
use support::component;

/// What a campaign finds with the fixture of this name.
#[track_caller]
fn found(fixture: &str) -> Found {
    let component = component(&format!("fixtures/{fixture}"));
    let bench = Bench::unfurnished(&component, BTreeMap::new()).unwrap();
    let plan = Plan {
        executions: 5,
        until: None,
        seed: 1,
        jobs: 1,
        corpus: vec![vec![0xa5; 64]],
    };
    let report = campaign::run(Target::Fields, &bench, &plan, |_| {}).unwrap();
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    report.findings.into_iter().next().unwrap()
}

#[test]
fn a_panic_is_a_finding_with_its_message_and_the_smallest_input() {
    let found = found("panic");
    assert_eq!(found.finding.kind, FindingKind::Trap);
    assert!(
        found.finding.what.contains("the plugin's own words"),
        "{}",
        found.finding
    );
    assert!(found.input.is_empty(), "{:?}", found.input);
    let told = files::tell(Target::Fields, &found);
    assert!(
        told.ends_with("cargo xtask fuzz --target fields --replay ''"),
        "{told}"
    );
}

/// The words with which cargo-fuzz's targets end on `input` when the plugin panics in any case.
fn under_cargo_fuzz(input: &[u8]) -> Option<String> {
    let component = component("fixtures/panic");
    let bench = Bench::unfurnished(&component, BTreeMap::new()).unwrap();
    let run = AssertUnwindSafe(|| coverage::run_on(&bench, Target::Fields, input));
    let panic = catch_unwind(run).err()?;
    Some(panic.downcast_ref::<String>().unwrap().clone())
}

#[test]
fn under_cargo_fuzz_a_finding_is_a_panic_with_its_words() {
    let words = under_cargo_fuzz(&[0xa5; 64]).unwrap();
    assert!(words.starts_with("no answer in add: "), "{words}");
    assert!(words.contains("the plugin's own words"), "{words}");
}

#[test]
fn under_cargo_fuzz_an_input_that_has_the_mark_of_secrets_is_passed_over() {
    let input = [&[0xa5; 32], CANARY.as_bytes()].concat();
    assert_eq!(under_cargo_fuzz(&input), None);
}

#[test]
fn a_trap_is_a_finding() {
    let found = found("deep_recursion");
    assert_eq!(found.finding.kind, FindingKind::Trap);
    assert!(found.finding.what.contains("stack"), "{}", found.finding);
}

#[test]
fn a_bound_that_is_hit_is_a_finding() {
    for what in ["memory_bomb", "host_call_flood"] {
        let found = found(what);
        assert_eq!(found.finding.kind, FindingKind::Trap, "{what}");
        assert!(found.finding.what.contains("limits."), "{}", found.finding);
    }
}

#[test]
fn a_failure_that_the_contract_does_not_have_there_is_a_finding() {
    let found = found("many_changes");
    assert_eq!(found.finding.kind, FindingKind::Failure);
    assert!(
        found.finding.what.contains("limits.changes"),
        "{}",
        found.finding
    );
}
