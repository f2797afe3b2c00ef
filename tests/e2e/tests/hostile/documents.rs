//! Commits that are too large, malformed, or touch another customer.

use relation_host::types::Failure;

use crate::world::HostileWorld;

async fn misbehave_and_fail(fixture: &str) -> Failure {
    HostileWorld::new(fixture)
        .await
        .misbehave()
        .await
        .expect_refused()
}

async fn assert_exceeds(fixture: &str, setting: &str) {
    let failure = misbehave_and_fail(fixture).await;
    assert!(
        matches!(&failure, Failure::LimitExceeded(text) if text.contains(setting)),
        "{failure}"
    );
}

async fn assert_invalid(fixture: &str, field: &str) {
    let failure = misbehave_and_fail(fixture).await;
    assert!(
        matches!(&failure, Failure::Invalid(errors) if errors[0].field == field),
        "{failure}"
    );
}

/// Asserts that each attempt of the fixture is rejected, because the call does not hold the other
/// record's lease.
async fn assert_confined(fixture: &str, attempts: usize) {
    let hostile = HostileWorld::new(fixture).await;
    let notes = hostile.misbehave().await.expect_notes();
    let reported: Vec<&str> = notes.lines().collect();
    assert_eq!(reported.len(), attempts, "{notes}");
    for reported in reported {
        assert!(
            reported
                .contains("does not hold the lease of data/SparkCustomer/0123456789abcdef01234567"),
            "{notes}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
pub async fn huge_commit() {
    assert_exceeds("huge_commit", "limits.commit").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn many_changes() {
    assert_exceeds("many_changes", "limits.changes").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn bad_body() {
    assert_invalid("bad_body", "body").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn bad_pkid() {
    assert_invalid("bad_pkid", "pkid").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn foreign_record() {
    assert_confined("foreign_record", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn foreign_secret() {
    assert_confined("foreign_secret", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn foreign_wakeup() {
    assert_confined("foreign_wakeup", 2).await;
}
