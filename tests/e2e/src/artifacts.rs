//! Where the build leaves what the tests run: the component and the two programs.

use std::path::PathBuf;

/// The target directory that this test was built in.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    // <target>/<profile>/deps/<test>
    let target = test
        .ancestors()
        .nth(3)
        .expect("a test lives in the target directory");
    target.to_owned()
}

/// The built component.
pub fn component() -> PathBuf {
    component_named("spark-customer")
}

/// A built component of the tests, by its name.
pub fn component_named(name: &str) -> PathBuf {
    let path = target().join("component").join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "the component {} is not there: run `cargo xtask build`, or the tests by `cargo xtask test`",
        path.display()
    );
    path
}

/// The program `name`, built with the same profile as the test.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    let directory = test
        .ancestors()
        .nth(2)
        .expect("a test lives in the target directory");
    let path = directory.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "the program {} is not there: run `cargo xtask build`, or the tests by `cargo xtask test`",
        path.display()
    );
    path
}

/// The example program `name`, built with the same profile as the test.
pub fn example(name: &str) -> PathBuf {
    program(&format!("examples/{name}"))
}
