//! The built component's imports and exports, as they were when somebody last meant to change them.

use relation_e2e::artifacts;
use relation_host::component::{ImportStatus, inspect};

#[test]
fn the_component_imports_and_exports_what_the_contract_says() {
    let bytes = std::fs::read(artifacts::component()).unwrap();
    let decoded = wit_component::decode(&bytes).expect("a component carries its own contract");
    let mut printer = wit_component::WitPrinter::default();
    printer
        .print_package(decoded.resolve(), decoded.package(), true)
        .expect("a contract can be printed");
    let world = printer.output.to_string();
    insta::assert_snapshot!("component", world);
}

#[test]
fn our_component_fits_our_host() {
    let bytes = std::fs::read(artifacts::component()).unwrap();
    let inspection = inspect(&bytes).expect("it is a component");
    assert!(inspection.fits(), "{inspection:#?}");
    assert!(inspection.plugin.starts_with("spark-customer "), "{}", inspection.plugin);
    assert!(inspection.imports.iter().all(|import| import.status == ImportStatus::Provided));
}
