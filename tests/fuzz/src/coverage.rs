//! A target as cargo-fuzz calls it: it panics on a finding.

use std::cell::OnceCell;
use std::path::PathBuf;

use crate::bench::Bench;
use crate::campaign::judged;
use crate::targets::Target;

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
    let verdict = BENCH.with(|bench| {
        let bench = bench.get_or_init(|| match Bench::new(&component()) {
            Ok(bench) => bench,
            Err(error) => panic!("{error}"),
        });
        judged(target, bench, bytes)
    });
    if let Some(finding) = verdict.finding {
        panic!("{finding}");
    }
}

fn component() -> PathBuf {
    let named = std::env::var_os("RELATION_FUZZ_COMPONENT").map(PathBuf::from);
    let built = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/component/spark-customer.wasm"
    );
    named.unwrap_or_else(|| PathBuf::from(built))
}
