//! Time, memory, stack, tables, calls and handles: each has a bound that the error names.

use relation_host::component::GuestErrorKind;
use relation_host::types::Failure;

use crate::stage::{Stage, tight};

/// Calls of another customer that must have been answered before an endless one was stopped. One takes
/// a few milliseconds, and endless is a second.
const MANY: u32 = 10;

async fn is_stopped_in_time(fixture: &str) {
    let seen = Stage::of(fixture).await.misbehave().await;
    assert!(seen.meanwhile >= MANY, "{} calls meanwhile", seen.meanwhile);
    let kind = seen.stopped();
    assert!(
        matches!(kind, GuestErrorKind::Time { limit } if limit == tight().time),
        "{kind}"
    );
    assert!(kind.to_string().contains("limits.time"), "{kind}");
}

async fn is_stopped_by(fixture: &str, setting: &str) {
    let kind = Stage::of(fixture).await.misbehave().await.stopped();
    assert!(matches!(kind, GuestErrorKind::Limit(_)), "{kind:?}");
    assert!(kind.to_string().contains(setting), "{kind}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn endless_loop() {
    is_stopped_in_time("endless_loop").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn endless_wait() {
    is_stopped_in_time("endless_wait").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn memory_bomb() {
    let stage = Stage::of("memory_bomb").await;
    let kind = stage.misbehave().await.stopped();
    assert!(
        matches!(kind, GuestErrorKind::Memory { limit } if limit == tight().memory),
        "{kind}"
    );
    assert!(kind.to_string().contains("limits.memory"), "{kind}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn deep_recursion() {
    let stage = Stage::of("deep_recursion").await;
    let kind = stage.misbehave().await.stopped();
    assert!(
        matches!(&kind, GuestErrorKind::Trap { message } if message.contains("stack")),
        "{kind}"
    );
}

#[tokio::test(flavor = "multi_thread")]
pub async fn table_growth() {
    is_stopped_by("table_growth", "limits.table").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn host_call_flood() {
    is_stopped_by("host_call_flood", "limits.host-calls").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn egress_flood() {
    is_stopped_by("egress_flood", "limits.host-calls").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn secret_flood() {
    let failure = Stage::of("secret_flood").await.misbehave().await.refused();
    assert!(
        matches!(&failure, Failure::LimitExceeded(text) if text.contains("limits.secrets")),
        "{failure}"
    );
}

#[tokio::test(flavor = "multi_thread")]
pub async fn handle_leak() {
    is_stopped_by("handle_leak", "limits.handles").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn log_flood() {
    let seen = Stage::of("log_flood").await.misbehave().await;
    let log = &seen.transaction.log;
    assert!(log.len() < 100, "{} lines", log.len());
    assert!(log.last().unwrap().message.contains("limits.log"));
    assert_eq!(seen.notes(), "logged", "only the log is cut");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn request_flood() {
    let seen = Stage::of("request_flood").await.misbehave().await;
    let log = seen.log();
    assert!(log.contains("limits.requests"), "{log}");
    let failure = seen.refused();
    assert!(
        matches!(&failure, Failure::LimitExceeded(text) if text.contains("ConnectionLimitReached")),
        "{failure}"
    );
}
