//! The list of checks in `docs/conformance.md` matches the suite.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use relation_host::store::sqlite::SqliteStore;

use crate::support::on;

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_lists_every_check() {
    let store = SqliteStore::in_memory().unwrap();
    let report = on(Arc::new(store)).await.run().await.unwrap();
    let mut table = String::from("| check | what a host does that passes it |\n|---|---|\n");
    for finding in &report.checks {
        writeln!(table, "| `{}` | {} |", finding.id, finding.says).unwrap();
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains(&table),
        "put this into docs/conformance.md:\n{table}"
    );
}
