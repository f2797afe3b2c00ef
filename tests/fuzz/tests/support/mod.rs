//! What the tests of the targets share: the bench, and where files are.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use relation_fuzz::{Bench, Target};

/// The built component `name`.
pub fn component(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    // <target>/<profile>/deps/<test>
    let target = test
        .ancestors()
        .nth(3)
        .expect("a test lives in the target directory");
    target.join("component").join(format!("{name}.wasm"))
}

/// A bench of our component; what takes time is done once for all tests of a program.
pub fn bench() -> &'static Bench {
    static FIRST: OnceLock<Mutex<Bench>> = OnceLock::new();
    let first = FIRST.get_or_init(|| {
        Mutex::new(Bench::new(&component("spark-customer")).expect("the component is built"))
    });
    let first = first
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    // A bench serves one thread: each test has its own.
    Box::leak(Box::new(first.another().expect("another bench")))
}

/// The corpus of a target.
pub fn corpus(target: Target) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.join("corpus").join(target.name())
}

/// Where a test leaves inputs with findings.
pub fn findings(target: Target) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("fuzz-findings")
        .join(target.name())
}
