//! Every check can fail: a broken host shows it, or there is a reason why none can.

use std::collections::BTreeSet;
use std::sync::Arc;

use relation_host::store::sqlite::SqliteStore;

use super::{documents, egress, environment, finds, leases, secrets, wakeups, writes};
use crate::support::on;

/// Checks that no host can fail that is built from ours and its inputs, and why.
const NOT_COVERED: &[(&str, &str)] = &[(
    "calls.fresh-instance",
    "the host instantiates in one place, for every call, and nothing that it is given can keep an instance",
)];

#[tokio::test(flavor = "multi_thread")]
async fn every_check_fails_on_a_broken_host() {
    let store = SqliteStore::in_memory().unwrap();
    let report = on(Arc::new(store)).await.run().await.unwrap();
    let all: BTreeSet<&str> = report
        .checks
        .iter()
        .map(|found| found.id.as_str())
        .collect();
    let shown: BTreeSet<&str> = [
        documents::COVERED,
        finds::COVERED,
        leases::COVERED,
        secrets::COVERED,
        environment::COVERED,
        wakeups::COVERED,
        egress::COVERED,
        writes::COVERED,
    ]
    .concat()
    .into_iter()
    .collect();
    let excepted: BTreeSet<&str> = NOT_COVERED.iter().map(|(check, _)| *check).collect();
    let without: Vec<_> = all.difference(&shown).collect();
    let expected: Vec<_> = excepted.iter().collect();
    assert_eq!(
        without, expected,
        "checks that no broken host fails: add one, or a reason"
    );
    let unknown: Vec<_> = shown.difference(&all).collect();
    assert!(unknown.is_empty(), "no checks of the suite: {unknown:?}");
}
