//! Every check can fail: there is a broken host that shows it, or a reason why there is none.

use std::collections::BTreeSet;
use std::sync::Arc;

use relation_host::store::sqlite::SqliteStore;

use super::{answers, finds, leases, secrets, surroundings, wakeups, way_out, writes};
use crate::support::on;

/// Checks that no host fails which is made of ours and of what it is given, and why.
const NOT_SHOWN: &[(&str, &str)] = &[(
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
        answers::SHOWN,
        finds::SHOWN,
        leases::SHOWN,
        secrets::SHOWN,
        surroundings::SHOWN,
        wakeups::SHOWN,
        way_out::SHOWN,
        writes::SHOWN,
    ]
    .concat()
    .into_iter()
    .collect();
    let excepted: BTreeSet<&str> = NOT_SHOWN.iter().map(|(check, _)| *check).collect();
    let without: Vec<_> = all.difference(&shown).collect();
    let expected: Vec<_> = excepted.iter().collect();
    assert_eq!(
        without, expected,
        "checks that no broken host fails: add one, or a reason"
    );
    let unknown: Vec<_> = shown.difference(&all).collect();
    assert!(unknown.is_empty(), "no checks of the suite: {unknown:?}");
}
