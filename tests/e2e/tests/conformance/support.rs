//! Runs the suite on a store, with a temporary key.

use std::sync::{Arc, OnceLock};

use relation_e2e::artifacts;
use relation_harness::conformance::{Conformance, Report, run_limits};
use relation_host::component::Plugin;
use relation_host::store::Store;
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::types::Timestamp;
use relation_host::{ComponentSource, Limits};
use tempfile::TempDir;

/// Returns the suite, compiled once.
pub fn suite() -> ComponentSource {
    static SUITE: OnceLock<Plugin> = OnceLock::new();
    let plugin = SUITE.get_or_init(|| compiled(run_limits()));
    ComponentSource::Loaded(Box::new(plugin.clone()))
}

/// Returns the suite compiled for these limits.
pub fn suite_within(limits: Limits) -> ComponentSource {
    ComponentSource::Loaded(Box::new(compiled(limits)))
}

fn compiled(limits: Limits) -> Plugin {
    let file = artifacts::suite();
    let bytes = std::fs::read(file).expect("the suite can be read");
    Plugin::load(&bytes, [], limits).expect("the suite fits")
}

/// Creates a run on this store.
pub async fn on(store: Arc<dyn Store>) -> Conformance {
    with(suite(), store).await
}

/// Creates a run of this component on this store.
pub async fn with(component: ComponentSource, store: Arc<dyn Store>) -> Conformance {
    let directory = TempDir::new().expect("a temporary directory");
    let key = KeyFile::new(directory.path().join("relation.key"));
    let sealer = Sealer::open(store.as_ref(), key, Timestamp(0)).await;
    Conformance::new(component, store, Arc::new(sealer.expect("a new key fits")))
}

/// Returns the checks that failed, one per line.
pub fn failures(report: &Report) -> String {
    let lines = report.failed().map(|finding| {
        let reason = finding.reason.as_deref().unwrap_or_default();
        format!("{}: {reason}\n", finding.id)
    });
    lines.collect()
}

/// Returns the skipped checks, one per line.
pub fn skipped(report: &Report) -> String {
    use relation_harness::conformance::Status;
    let lines = report.with_status(Status::Skipped).map(|finding| {
        let reason = finding.reason.as_deref().unwrap_or_default();
        format!("{}: {reason}\n", finding.id)
    });
    lines.collect()
}
