//! A target as cargo-fuzz calls it: it panics on a finding.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::bench::{Bench, BenchError};
use crate::campaign::judged;
use crate::targets::Target;
use crate::web::CANARY;

/// Names another component than the one in `target/component`.
const COMPONENT: &str = "RELATION_FUZZ_COMPONENT";
/// Set, to whatever it may be: every world is empty. For a component that does other things than ours.
const UNFURNISHED: &str = "RELATION_FUZZ_UNFURNISHED";

/// Ends the process with a message and exit code 2 when the component's file cannot be read: found out only
/// in a trial, this would be taken for a finding, and an input would be left for it.
///
/// Nothing is made ready here. The engine handles signals, and has to come after libFuzzer's own handlers to
/// hand on what is not of its guests.
pub fn ready() {
    let path = component();
    if let Err(error) = std::fs::File::open(&path) {
        eprintln!("error: {}", BenchError::Unreadable { path, error });
        std::process::exit(2);
    }
}

/// Runs one trial on this thread's bench, which the first call makes of the component in
/// `target/component`, or of the one that `RELATION_FUZZ_COMPONENT` names.
///
/// # Panics
/// On a finding, with its words; when there is no bench.
#[allow(clippy::panic, reason = "a panic is what libFuzzer understands")]
pub fn run(target: Target, bytes: &[u8]) {
    thread_local! {
        static BENCH: OnceCell<Bench> = const { OnceCell::new() };
    }
    BENCH.with(|bench| {
        let bench = bench.get_or_init(|| match furnished() {
            Ok(bench) => bench,
            Err(error) => panic!("there is nothing to fuzz: {error}"),
        });
        run_on(bench, target, bytes);
    });
}

/// Runs one trial on a bench.
///
/// # Panics
/// On a finding, with its words.
#[allow(clippy::panic, reason = "a panic is what libFuzzer understands")]
pub fn run_on(bench: &Bench, target: Target, bytes: &[u8]) {
    // libFuzzer learns texts from comparisons, so also the mark of secrets from those that look for it: in
    // an input it marks no secret.
    let mark = CANARY.as_bytes();
    if bytes.windows(mark.len()).any(|part| part == mark) {
        return;
    }
    if let Some(finding) = judged(target, bench, bytes).finding {
        panic!("{finding}");
    }
}

fn furnished() -> Result<Bench, BenchError> {
    let component = component();
    match std::env::var_os(UNFURNISHED) {
        Some(_) => Bench::unfurnished(&component, BTreeMap::new()),
        None => Bench::new(&component),
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
