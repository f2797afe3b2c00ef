//! Oversized texts and lists on their way into the host.

use crate::world::HostileWorld;

/// The longest line for people to read, in bytes.
const LINE: usize = 4096;

async fn assert_not_transferred(fixture: &str) {
    let kind = HostileWorld::new(fixture)
        .await
        .misbehave()
        .await
        .expect_stopped();
    assert!(kind.to_string().contains("limits.transfer"), "{kind}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn giant_argument() {
    assert_not_transferred("giant_argument").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn giant_argument_list() {
    assert_not_transferred("giant_argument_list").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn giant_result() {
    assert_not_transferred("giant_result").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn giant_result_list() {
    assert_not_transferred("giant_result_list").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn giant_refusal() {
    let call = HostileWorld::new("giant_refusal").await.misbehave().await;
    let message = &call.transaction.message;
    assert!(message.starts_with("xxx"), "{message:.100}");
    assert!(message.len() <= LINE, "{} bytes", message.len());
}
