//! The built component's imports and exports, as they were when somebody last meant to change them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

use std::collections::{BTreeMap, BTreeSet};

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
    insta::assert_snapshot!("component", in_fixed_order(&printed));
}

/// The same contract, whatever order the compiler has left its parts in: a component lists them as its code
/// happens to use them.
fn in_fixed_order(printed: &str) -> String {
    let mut ordered = String::new();
    let mut block: Option<Vec<&str>> = None;
    for line in printed.lines() {
        match block.take() {
            Some(body) if line == "}" => {
                ordered.push_str(&sorted(&body));
                ordered.push_str("}\n");
            }
            Some(mut body) => {
                body.push(line);
                block = Some(body);
            }
            None => {
                ordered.push_str(line);
                ordered.push('\n');
                block = line.ends_with('{').then(Vec::new);
            }
        }
    }
    ordered
}

/// The uses of an interface, one line for each other interface, and its items by their text.
fn sorted(body: &[&str]) -> String {
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut items = BTreeSet::new();
    for chunk in body.split(|line| line.is_empty()) {
        let mut rest = Vec::new();
        for line in chunk {
            let used = line.strip_prefix("  use ");
            let used = used.and_then(|used| used.strip_suffix("};")?.split_once(".{"));
            match used {
                Some((from, names)) => uses.entry(from).or_default().extend(names.split(", ")),
                None if line.starts_with("  import ") => drop(items.insert(format!("{line}\n"))),
                None => rest.push(*line),
            }
        }
        if !rest.is_empty() {
            items.insert(rest.join("\n") + "\n");
        }
    }
    let uses = uses.iter().map(|(from, names)| {
        let names: Vec<&str> = names.iter().copied().collect();
        format!("  use {from}.{{{}}};\n", names.join(", "))
    });
    uses.chain(items).collect()
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
