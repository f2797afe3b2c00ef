//! Hosts that are broken in one way each: the suite says which.
//!
//! They are our own host around a store, a clock, a server and so on that break one promise. Each is a
//! row of a table: the test's name, the host, and the checks that have to fail on it. It may fail others.

use std::sync::Arc;

use relation_harness::conformance::Conformance;
use relation_host::store::Store;
use relation_host::store::layer::{Layered, StoreLayer};
use relation_host::store::sqlite::SqliteStore;

use crate::support::{failures, on};

/// A test for each row, and the list of all checks that one of them shows to fail.
macro_rules! broken_hosts {
    ($($test:ident: $host:expr => [$($check:literal),+ $(,)?];)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                $crate::broken::finds($host.await, &[$($check),+]).await;
            }
        )+

        /// The checks that fail on a host of this table.
        pub const SHOWN: &[&str] = &[$($($check),+),+];
    };
}

mod answers;
mod every;
mod finds;
mod leases;
mod secrets;
mod surroundings;
mod wakeups;
mod way_out;
mod writes;

/// A run on a store that has this defect.
async fn store(defect: impl StoreLayer) -> Conformance {
    on(around(SqliteStore::in_memory().unwrap(), defect)).await
}

fn around(inner: impl Store, defect: impl StoreLayer) -> Arc<dyn Store> {
    Arc::new(Layered::new(Arc::new(inner), defect))
}

async fn finds(run: Conformance, checks: &[&str]) {
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
