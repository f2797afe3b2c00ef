//! Limits of time, memory, stack, tables, calls and handles: the error names each.

use relation_host::component::GuestErrorKind;
use relation_host::types::Failure;

use crate::world::{HostileWorld, tight_limits};

/// Calls of another customer that must complete before an endless one is stopped. One takes a few
/// milliseconds, and the endless one a second.
const MANY: u32 = 10;

async fn assert_stopped_in_time(fixture: &str) {
    let call = HostileWorld::new(fixture).await.misbehave().await;
    assert!(call.meanwhile >= MANY, "{} calls meanwhile", call.meanwhile);
    let kind = call.expect_stopped();
    assert!(
        matches!(kind, GuestErrorKind::Time { limit } if limit == tight_limits().time),
        "{kind}"
    );
    assert!(kind.to_string().contains("limits.time"), "{kind}");
}

async fn assert_stopped_by(fixture: &str, setting: &str) {
    let kind = HostileWorld::new(fixture)
        .await
        .misbehave()
        .await
        .expect_stopped();
    assert!(matches!(kind, GuestErrorKind::Limit(_)), "{kind:?}");
    assert!(kind.to_string().contains(setting), "{kind}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn endless_loop() {
    assert_stopped_in_time("endless_loop").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn endless_wait() {
    assert_stopped_in_time("endless_wait").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn memory_bomb() {
    let hostile = HostileWorld::new("memory_bomb").await;
    let kind = hostile.misbehave().await.expect_stopped();
    assert!(
        matches!(kind, GuestErrorKind::Memory { limit } if limit == tight_limits().memory),
        "{kind}"
    );
    assert!(kind.to_string().contains("limits.memory"), "{kind}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn deep_recursion() {
    let hostile = HostileWorld::new("deep_recursion").await;
    let kind = hostile.misbehave().await.expect_stopped();
    assert!(
        matches!(&kind, GuestErrorKind::Trap { message } if message.contains("stack")),
        "{kind}"
    );
}

#[tokio::test(flavor = "multi_thread")]
pub async fn table_growth() {
    assert_stopped_by("table_growth", "limits.table").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn host_call_flood() {
    assert_stopped_by("host_call_flood", "limits.host-calls").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn egress_flood() {
    assert_stopped_by("egress_flood", "limits.host-calls").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn secret_flood() {
    let failure = HostileWorld::new("secret_flood")
        .await
        .misbehave()
        .await
        .expect_refused();
    assert!(
        matches!(&failure, Failure::LimitExceeded(text) if text.contains("limits.secrets")),
        "{failure}"
    );
}

#[tokio::test(flavor = "multi_thread")]
pub async fn handle_leak() {
    assert_stopped_by("handle_leak", "limits.handles").await;
}

#[tokio::test(flavor = "multi_thread")]
pub async fn log_flood() {
    let call = HostileWorld::new("log_flood").await.misbehave().await;
    let log = &call.transaction.log;
    assert!(log.len() < 100, "{} lines", log.len());
    assert!(log.last().unwrap().message.contains("limits.log"));
    assert_eq!(call.expect_notes(), "logged", "only the log is cut");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn request_flood() {
    let call = HostileWorld::new("request_flood").await.misbehave().await;
    let log = call.log();
    assert!(log.contains("limits.requests"), "{log}");
    let failure = call.expect_refused();
    assert!(
        matches!(&failure, Failure::LimitExceeded(text) if text.contains("ConnectionLimitReached")),
        "{failure}"
    );
}
