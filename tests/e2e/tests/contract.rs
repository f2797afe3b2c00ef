//! The built component's imports and exports, compared with a snapshot so that none changes
//! unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use relation_e2e::artifacts;
use relation_host::component::{ImportStatus, inspect};
use wit_component::WitPrinter;

/// After an intended change: `INSTA_UPDATE=always cargo test -p relation-e2e --test contract`.
#[test]
fn component_matches_the_contract_snapshot() {
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

/// Returns the contract in a fixed order, since a component lists its parts in the order in which
/// its code uses them.
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

/// Returns the uses of an interface, one line per other interface, and its items sorted by text.
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

/// Returns the items of a WIT file: its lines without comments and blank lines.
fn items(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .map(str::to_owned)
        .collect()
}

/// Returns the items of each WIT file in a directory.
fn package(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "wit"))
        .map(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            (name, items(&file))
        })
        .collect()
}

/// Returns the released packages whose version `wit` still has, with other items.
fn changed_releases(wit: &Path) -> Vec<String> {
    let Ok(releases) = std::fs::read_dir(wit.join("released")) else {
        return Vec::new();
    };
    let mut changed = Vec::new();
    for release in releases {
        let folder = release.unwrap().path();
        let label = folder.file_name().unwrap().to_string_lossy().into_owned();
        let (name, _) = label.split_once('@').expect("a folder NAME@VERSION");
        let (now, then) = (package(&wit.join(name)), package(&folder));
        let header = format!("package automate:{label};");
        if now.values().flatten().any(|line| *line == header) && now != then {
            changed.push(label);
        }
    }
    changed
}

#[test]
fn released_worlds_are_unchanged() {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    assert_eq!(changed_releases(&wit), Vec::<String>::new());
}

#[test]
fn changed_release_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let put = |folder: &str, text: &str| {
        let folder = directory.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("types.wit"), text).unwrap();
    };
    let with = |version: &str, case: &str| {
        format!("package automate:platform@{version};\n/// Words.\nenum e {{\n  {case},\n}}\n")
    };
    put(
        "platform",
        &with("0.1.0", "a").replace("Words", "Other words"),
    );
    assert_eq!(changed_releases(directory.path()), Vec::<String>::new());
    put("released/platform@0.1.0", &with("0.1.0", "a"));
    assert_eq!(changed_releases(directory.path()), Vec::<String>::new());
    put("platform", &with("0.1.0", "b"));
    assert_eq!(changed_releases(directory.path()), ["platform@0.1.0"]);
    put("platform", &with("0.2.0", "b"));
    assert_eq!(changed_releases(directory.path()), Vec::<String>::new());
}

#[test]
fn component_is_compatible_with_the_host() {
    let bytes = std::fs::read(artifacts::component()).unwrap();
    let inspection = inspect(&bytes).expect("it is a component");
    assert!(inspection.is_compatible(), "{inspection:#?}");
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
