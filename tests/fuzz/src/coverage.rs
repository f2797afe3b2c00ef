//! A target as cargo-fuzz calls it: it panics on a finding.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::campaign::run_trial;
use crate::fake_webex::CANARY;
use crate::runner::{RunnerError, TrialRunner};
use crate::targets::Target;

/// Environment variable that names a component other than the one in `target/component`.
const COMPONENT: &str = "RELATION_FUZZ_COMPONENT";
/// If this environment variable is set, every world is empty: for a component that behaves
/// differently from ours.
const EMPTY_WORLDS: &str = "RELATION_FUZZ_UNFURNISHED";

/// Ends the process with a message and exit code 2 when the component's file cannot be read. A
/// failure in a trial would be taken for a finding, and leave an input.
///
/// Prepares nothing else. The engine handles signals, and has to be created after libFuzzer's own
/// handlers, so that it passes on signals that do not concern its guests.
pub fn ready() {
    let path = component();
    if let Err(error) = std::fs::File::open(&path) {
        eprintln!("error: {}", RunnerError::Unreadable { path, error });
        std::process::exit(2);
    }
}

/// Runs one trial on this thread's runner. The first call creates it from the component in
/// `target/component`, or from the one that `RELATION_FUZZ_COMPONENT` names.
///
/// # Panics
/// On a finding, with its description; without a runner.
#[allow(clippy::panic, reason = "a panic is what libFuzzer understands")]
pub fn run(target: Target, bytes: &[u8]) {
    thread_local! {
        static BENCH: OnceCell<TrialRunner> = const { OnceCell::new() };
    }
    BENCH.with(|runner| {
        let runner = runner.get_or_init(|| match load_runner() {
            Ok(runner) => runner,
            Err(error) => panic!("there is nothing to fuzz: {error}"),
        });
        run_on(runner, target, bytes);
    });
}

/// Runs one trial on a runner.
///
/// # Panics
/// On a finding, with its description.
#[allow(clippy::panic, reason = "a panic is what libFuzzer understands")]
pub fn run_on(runner: &TrialRunner, target: Target, bytes: &[u8]) {
    // libFuzzer learns texts from comparisons, including the mark of secrets from the code that looks for it. In
    // an input, the mark is not a leak.
    let mark = CANARY.as_bytes();
    if bytes.windows(mark.len()).any(|part| part == mark) {
        return;
    }
    if let Some(finding) = run_trial(target, runner, bytes).finding {
        panic!("{finding}");
    }
}

fn load_runner() -> Result<TrialRunner, RunnerError> {
    let component = component();
    match std::env::var_os(EMPTY_WORLDS) {
        Some(_) => TrialRunner::with_empty_worlds(&component, BTreeMap::new()),
        None => TrialRunner::new(&component),
    }
}

fn component() -> PathBuf {
    let named = std::env::var_os(COMPONENT).map(PathBuf::from);
    let built = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/component/spark-customer.wasm"
    );
    named.unwrap_or_else(|| PathBuf::from(built))
}
