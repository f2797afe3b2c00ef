//! Hosts that are broken in one way each: the suite says which.

use std::sync::Arc;

use relation_host::store::Store;
use relation_host::store::sqlite::SqliteStore;

use crate::fault::Defect;
use crate::support::on;

/// The names of the checks that fail on a host whose store has this defect.
async fn failing_with(defect: Defect) -> Vec<String> {
    let inner: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let report = on(defect.of(inner)).await.run().await.unwrap();
    assert!(!report.is_conformant(), "{defect:?} is not found");
    report.failed().map(|finding| finding.id.clone()).collect()
}

async fn finds(defect: Defect, checks: &[&str]) {
    let failing = failing_with(defect).await;
    for check in checks {
        assert!(
            failing.iter().any(|failed| failed == check),
            "{defect:?} does not fail {check}, only {failing:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_loses_its_last_change_is_found() {
    finds(Defect::TearsCommits, &["storage.commit.whole"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_are_not_looked_at_are_found() {
    let checks = [
        "storage.commit.nothing",
        "storage.commit.version-check",
        "storage.commit.absent-check",
        "storage.commit.unique-check",
    ];
    finds(Defect::IgnoresChecks, &checks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_is_not_looked_at_is_found() {
    finds(Defect::IgnoresScope, &["storage.find.node"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_another_order_are_found() {
    finds(Defect::TurnsAnswersRound, &["storage.get-many.order"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_leases_is_found() {
    let checks = ["calls.one-at-a-time", "storage.commit.fenced"];
    finds(Defect::HasNoLeases, &checks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_is_open_is_found() {
    finds(Defect::OpensTheFence, &["storage.commit.fenced"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wakeups_that_come_too_early_are_found() {
    finds(Defect::WakesEarly, &["delivery.not-before"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_that_are_not_looked_at_are_found() {
    finds(Defect::IgnoresDeadlines, &["delivery.deadline"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wakeups_that_are_dropped_when_their_call_fails_are_found() {
    let checks = ["delivery.retried", "delivery.retried-after-trap"];
    finds(Defect::ForgetsFailures, &checks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_were_cut_off_without_a_word_are_found() {
    let checks = ["transactions.interrupted.told"];
    finds(Defect::SaysNothingOfInterruptions, &checks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_out_that_is_open_is_found() {
    let store = SqliteStore::in_memory().unwrap();
    let run = on(Arc::new(store)).await.allowing_what_is_denied();
    let report = run.run().await.unwrap();
    let failing: Vec<_> = report.failed().map(|finding| finding.id.as_str()).collect();
    assert_eq!(failing, ["egress.denied"]);
}
