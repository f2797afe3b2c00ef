//! Each target, for a few seconds: what an input of any kind must not bring about.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use relation_fuzz::call::Call;
use relation_fuzz::campaign::{self, Plan, files};
use relation_fuzz::judge::Permits;
use relation_fuzz::scenes::{self, Scene};
use relation_fuzz::{Bench, Target};
use support::{bench, component, corpus, findings};

/// Calls of exported functions for each target; more is for `cargo xtask fuzz`.
const EXECUTIONS: u64 = 1_000;
/// When a slow machine has seen enough of a target.
const PATIENCE: Duration = Duration::from_secs(20);

#[track_caller]
fn finds_nothing(target: Target) {
    let plan = Plan {
        executions: EXECUTIONS,
        until: Some(Instant::now() + PATIENCE),
        seed: 4,
        jobs: 1,
        corpus: files::read(&corpus(target)).unwrap(),
    };
    let report = campaign::run(target, bench(), &plan, |_| {}).unwrap();
    let told: Vec<String> = report
        .findings
        .iter()
        .map(|found| {
            let file = files::write(&findings(target), &found.input).unwrap();
            format!(
                "{}\n    file: {}",
                files::tell(target, found),
                file.display()
            )
        })
        .collect();
    assert!(told.is_empty(), "seed {}:\n{}", plan.seed, told.join("\n"));
    assert!(report.ways > 10, "only {} ways were seen", report.ways);
    assert!(report.idle < report.inputs, "{report:?}");
}

#[test]
fn no_fields_make_add_or_modify_break_the_contract() {
    finds_nothing(Target::Fields);
}

#[test]
fn no_stored_document_makes_a_workflow_break_the_contract() {
    finds_nothing(Target::Documents);
}

#[test]
fn no_answer_of_webex_makes_a_workflow_break_the_contract() {
    finds_nothing(Target::Answers);
}

#[test]
fn no_callback_makes_a_consent_break_the_contract() {
    finds_nothing(Target::Callbacks);
}

#[test]
fn no_wakeup_makes_wake_break_the_contract() {
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
        campaign::run(Target::Callbacks, bench(), &plan, |_| {}).unwrap()
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
            let verdict = campaign::judged(target, bench(), &input);
            assert!(verdict.calls > 0, "{target}: {}", files::hex(&input));
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
fn the_longest_name_in_the_longest_characters_can_be_added() {
    let bench = bench();
    let verdict = bench.run(async {
        let mut fields = scenes::fields();
        fields.insert("name".into(), "😀".repeat(1_024).into());
        let request = scenes::adding(fields, None).unwrap();
        let trial = bench.open(Scene::Empty).await.unwrap();
        trial.judged(Call::Add(request), Permits::default()).await
    });
    assert_eq!(verdict.finding, None);
    assert_eq!(verdict.way, "add ok added");
}

#[test]
fn a_component_that_is_not_there_is_told_with_what_makes_it() {
    let missing = component("no-such-plugin");
    let error = Bench::new(&missing).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("no-such-plugin.wasm"), "{error}");
    assert!(error.contains("cargo xtask build"), "{error}");
}
