//! Commits that are too large, malformed, or another customer's business.

use relation_host::types::Failure;

use crate::stage::Stage;

async fn refused(fixture: &str) -> Failure {
    Stage::of(fixture).await.misbehave().await.refused()
}

async fn exceeds(fixture: &str, setting: &str) {
    let failure = refused(fixture).await;
    assert!(
        matches!(&failure, Failure::LimitExceeded(text) if text.contains(setting)),
        "{failure}"
    );
}

async fn is_invalid(fixture: &str, field: &str) {
    let failure = refused(fixture).await;
    assert!(
        matches!(&failure, Failure::Invalid(faults) if faults[0].field == field),
        "{failure}"
    );
}

/// Each attempt of the fixture is refused, because the call does not hold the other record's lease.
async fn stays_with_its_own(fixture: &str, attempts: usize) {
    let stage = Stage::of(fixture).await;
    let notes = stage.misbehave().await.notes();
    let told: Vec<&str> = notes.lines().collect();
    assert_eq!(told.len(), attempts, "{notes}");
    for told in told {
        assert!(
            told.contains("does not hold the lease of data/SparkCustomer/0123456789abcdef01234567"),
            "{notes}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
pub async fn huge_commit() {
    exceeds("huge_commit", "limits.commit").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn many_changes() {
    exceeds("many_changes", "limits.changes").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn bad_body() {
    is_invalid("bad_body", "body").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn bad_pkid() {
    is_invalid("bad_pkid", "pkid").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn foreign_record() {
    stays_with_its_own("foreign_record", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn foreign_secret() {
    stays_with_its_own("foreign_secret", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn foreign_wakeup() {
    stays_with_its_own("foreign_wakeup", 2).await;
}
