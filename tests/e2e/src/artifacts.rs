//! Paths of built artifacts: the component and the two programs.

use std::path::{Path, PathBuf};

use relation_host::component::ComponentCache;

/// Returns the target directory that this test or program was built in.
fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows its own file");
    // <target>/<profile>/deps/<test> and <target>/<profile>/<program>
    let mut directories = program.ancestors().skip(1);
    let profile = directories.find(|directory| !directory.ends_with("deps"));
    let target = profile.and_then(Path::parent);
    target
        .expect("the executable is in the target directory")
        .to_owned()
}

/// Returns the built component.
pub fn component() -> PathBuf {
    built("spark-customer.wasm")
}

/// Returns the built suite for hosts.
pub fn suite() -> PathBuf {
    built("host-conformance.wasm")
}

/// Returns a plugin with a fault that the scenarios must catch, by its name in
/// `tests/fixtures/broken/`.
pub fn mutant(name: &str) -> PathBuf {
    built(&format!("broken/{name}.wasm"))
}

/// Returns a plugin that misbehaves, by its name in `tests/fixtures/examples/`. For some of them
/// the build leaves WebAssembly text (`.wat`); the others are components.
pub fn fixture(name: &str) -> PathBuf {
    let text = target().join(format!("component/fixtures/{name}.wat"));
    if text.is_file() {
        return text;
    }
    built(&format!("fixtures/{name}.wasm"))
}

fn built(file: &str) -> PathBuf {
    let path = target().join("component").join(file);
    assert!(
        path.is_file(),
        "the component {} is not there: run `cargo xtask build`, or the tests by `cargo xtask test`",
        path.display()
    );
    path
}

/// Returns the user's cache directory for every process of the tests, so that each component is
/// compiled once for all of them.
pub fn caches() -> PathBuf {
    target().join("test-caches")
}

/// Returns the directory for third-party clients of Webex that tests install.
pub fn clients() -> PathBuf {
    target().join("test-clients")
}

/// Returns the cache of compiled components that `relation-host` uses when its cache directory is
/// [`caches`].
pub fn component_cache() -> ComponentCache {
    ComponentCache::new(caches().join("relation-host").join("components"))
}

/// Returns the program `name`, built with the same profile as the test.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    let directory = test
        .ancestors()
        .nth(2)
        .expect("the test executable is in the target directory");
    let path = directory.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "the program {} is not there: run `cargo xtask build`, or the tests by `cargo xtask test`",
        path.display()
    );
    path
}

/// Returns the example program `name`, built with the same profile as the test.
pub fn example(name: &str) -> PathBuf {
    program(&format!("examples/{name}"))
}
