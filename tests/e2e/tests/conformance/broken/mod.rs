//! Hosts that are broken in one way each: the suite reports which.
//!
//! They are our own host around a store, a clock, a server or another part that breaks one promise.
//! Each is a row of a table: the test's name, the host, and the checks that have to fail on it.
//! Others may fail too.

use std::sync::Arc;

use relation_harness::conformance::Conformance;
use relation_host::store::Store;
use relation_host::store::layer::{Layered, StoreLayer};
use relation_host::store::sqlite::SqliteStore;

use crate::support::{failures, on};

/// Generates a test for each row, and the list of all checks that these hosts fail.
macro_rules! broken_hosts {
    ($($test:ident: $host:expr => [$($check:literal),+ $(,)?];)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                $crate::broken::assert_fails($host.await, &[$($check),+]).await;
            }
        )+

        /// The checks that fail on a host of this table.
        pub const COVERED: &[&str] = &[$($($check),+),+];
    };
}

mod documents;
mod egress;
mod environment;
mod every;
mod finds;
mod leases;
mod secrets;
mod wakeups;
mod writes;

/// Creates a run on a store with this defect.
async fn store(defect: impl StoreLayer) -> Conformance {
    on(around(SqliteStore::in_memory().unwrap(), defect)).await
}

fn around(inner: impl Store, defect: impl StoreLayer) -> Arc<dyn Store> {
    Arc::new(Layered::new(Arc::new(inner), defect))
}

async fn assert_fails(run: Conformance, checks: &[&str]) {
    let report = run.run().await.unwrap();
    assert!(!report.is_conformant(), "the suite finds nothing");
    let failed: Vec<&str> = report.failed().map(|finding| finding.id.as_str()).collect();
    for check in checks {
        assert!(
            failed.contains(check),
            "{check} does not fail, only\n{}",
            failures(&report)
        );
    }
}
