//! Texts and lists of a size that nobody asked for, on their way into the host.

use crate::stage::Stage;

/// The longest line that anybody has to read, in bytes.
const LINE: usize = 4096;

async fn is_not_taken_over(fixture: &str) {
    let kind = Stage::of(fixture).await.misbehave().await.stopped();
    assert!(kind.to_string().contains("limits.transfer"), "{kind}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn giant_argument() {
    is_not_taken_over("giant_argument").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn giant_argument_list() {
    is_not_taken_over("giant_argument_list").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn giant_answer() {
    is_not_taken_over("giant_answer").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn giant_answer_list() {
    is_not_taken_over("giant_answer_list").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn giant_refusal() {
    let seen = Stage::of("giant_refusal").await.misbehave().await;
    let message = &seen.transaction.message;
    assert!(message.starts_with("xxx"), "{message:.100}");
    assert!(message.len() <= LINE, "{} bytes", message.len());
}
