//! Runs each target for a few seconds: no input may lead to a finding.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use relation_fuzz::call::Call;
use relation_fuzz::campaign::{self, Plan, files};
use relation_fuzz::oracle::Allowances;
use relation_fuzz::worlds::{self, WorldKind};
use relation_fuzz::{Target, TrialRunner};
use support::{component, corpus, findings, runner};

/// Calls of exported functions per target; `cargo xtask fuzz` makes more.
const EXECUTIONS: u64 = 1_000;
/// Time limit per target on a slow machine.
const MAX_DURATION: Duration = Duration::from_secs(20);

#[track_caller]
fn finds_nothing(target: Target) {
    let plan = Plan {
        executions: EXECUTIONS,
        until: Some(Instant::now() + MAX_DURATION),
        seed: 4,
        jobs: 1,
        corpus: files::read(&corpus(target)).unwrap(),
    };
    let report = campaign::run(target, runner(), &plan, |_| {}).unwrap();
    let reported: Vec<String> = report
        .findings
        .iter()
        .map(|found| {
            let file = files::write(&findings(target), &found.input).unwrap();
            format!(
                "{}\n    file: {}",
                files::describe(target, found),
                file.display()
            )
        })
        .collect();
    assert!(
        reported.is_empty(),
        "seed {}:\n{}",
        plan.seed,
        reported.join("\n")
    );
    assert!(report.paths > 10, "only {} paths were seen", report.paths);
    assert!(report.idle < report.inputs, "{report:?}");
}

#[test]
fn no_fields_break_the_contract() {
    finds_nothing(Target::Fields);
}

#[test]
fn no_stored_document_breaks_the_contract() {
    finds_nothing(Target::Documents);
}

#[test]
fn no_response_breaks_the_contract() {
    finds_nothing(Target::Responses);
}

#[test]
fn no_callback_breaks_the_contract() {
    finds_nothing(Target::Callbacks);
}

#[test]
fn no_wakeup_breaks_the_contract() {
    finds_nothing(Target::Wakeups);
}

#[test]
fn a_campaign_of_one_thread_repeats_itself() {
    let run = || {
        let plan = Plan {
            executions: 150,
            until: None,
            seed: 7,
            jobs: 1,
            corpus: Vec::new(),
        };
        campaign::run(Target::Callbacks, runner(), &plan, |_| {}).unwrap()
    };
    let (one, same) = (run(), run());
    assert!(!one.fresh.is_empty());
    assert_eq!(one.fresh, same.fresh);
    assert_eq!((one.executions, one.inputs), (same.executions, same.inputs));
}

#[test]
fn every_input_of_the_corpus_leads_to_a_call() {
    for target in Target::ALL {
        let inputs = files::read(&corpus(target)).unwrap();
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for input in inputs {
            let verdict = campaign::run_trial(target, runner(), &input);
            assert!(verdict.calls > 0, "{target}: {}", hex::encode(&input));
        }
    }
}

#[test]
fn cargo_fuzz_has_a_program_for_every_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cargo-fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for target in Target::ALL {
        let file = format!("fuzz_targets/{target}.rs");
        assert!(manifest.contains(&format!("path = \"{file}\"")), "{file}");
        let program = fs::read_to_string(folder.join(&file)).unwrap();
        let runs = format!("coverage::run(Target::{target:?}, bytes)");
        assert!(program.contains(&runs), "{file}: {program}");
    }
}

#[test]
fn longest_name_in_wide_characters_can_be_added() {
    let runner = runner();
    let verdict = runner.run(async {
        let mut fields = worlds::fields();
        fields.insert("name".into(), "😀".repeat(1_024).into());
        let request = worlds::add_request(fields, None).unwrap();
        let trial = runner.open(WorldKind::Empty).await.unwrap();
        trial.run(Call::Add(request), Allowances::default()).await
    });
    assert_eq!(verdict.finding, None);
    assert_eq!(verdict.path, "add ok added");
}

#[test]
fn missing_component_is_reported_with_the_build() {
    let missing = component("no-such-plugin");
    let error = TrialRunner::new(&missing)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no-such-plugin.wasm"), "{error}");
    assert!(error.contains("cargo xtask build"), "{error}");
}
