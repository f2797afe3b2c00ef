//! The built component's imports and exports, as they were when somebody last meant to change them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

use relation_e2e::artifacts;
use relation_host::component::{ImportStatus, inspect};
use wit_component::WitPrinter;

/// After a change that is meant: `INSTA_UPDATE=always cargo test -p relation-e2e --test contract`.
#[test]
fn the_component_imports_and_exports_what_it_did_when_the_golden_copy_was_made() {
    let bytes = std::fs::read(artifacts::component()).unwrap();
    let decoded = wit_component::decode(&bytes).expect("a component carries its own contract");
    let resolve = decoded.resolve();
    let ours = resolve
        .packages
        .iter()
        .filter(|(_, package)| package.name.namespace == "automate")
        .map(|(id, _)| id);
    let mut printed = String::new();
    for package in std::iter::once(decoded.package()).chain(ours) {
        let mut printer = WitPrinter::default();
        printer
            .emit_docs(false)
            .print(resolve, package, &[])
            .expect("a contract can be printed");
        printed.push_str(&printer.output.to_string());
        printed.push('\n');
    }
    insta::assert_snapshot!("component", printed);
}

#[test]
fn our_component_fits_our_host() {
    let bytes = std::fs::read(artifacts::component()).unwrap();
    let inspection = inspect(&bytes).expect("it is a component");
    assert!(inspection.fits(), "{inspection:#?}");
    assert!(
        inspection.plugin.starts_with("spark-customer "),
        "{}",
        inspection.plugin
    );
    let imports = &inspection.imports;
    assert!(
        imports
            .iter()
            .all(|import| import.status == ImportStatus::Provided)
    );
}
