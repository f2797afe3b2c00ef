//! Shared parts of the targets' tests: the runner, and the paths of files.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parking_lot::Mutex;
use relation_fuzz::{Target, TrialRunner};

/// Returns the built component `name`.
pub fn component(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    // <target>/<profile>/deps/<test>
    let target = test
        .ancestors()
        .nth(3)
        .expect("the test executable is in the target directory");
    target.join("component").join(format!("{name}.wasm"))
}

/// Creates a runner of our component; expensive parts are shared by all tests of a program.
pub fn runner() -> &'static TrialRunner {
    static FIRST: OnceLock<Mutex<TrialRunner>> = OnceLock::new();
    let first = FIRST.get_or_init(|| {
        Mutex::new(TrialRunner::new(&component("spark-customer")).expect("the component is built"))
    });
    let first = first.lock();
    // A runner serves one thread: each test has its own.
    Box::leak(Box::new(first.fork().expect("another bench")))
}

/// Reads the corpus of a target.
pub fn corpus(target: Target) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.join("corpus").join(target.name())
}

/// Returns the directory for inputs with findings.
pub fn findings(target: Target) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("fuzz-findings")
        .join(target.name())
}
