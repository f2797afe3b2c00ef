//! Secrets in a plugin's own words do not leave the host.

use relation_e2e::world::CLIENT_SECRET;

use crate::stage::{Stage, TOKEN};

#[tokio::test(flavor = "multi_thread")]
pub async fn panic_with_secret() {
    let seen = Stage::of("panic_with_secret").await.misbehave().await;
    let everything = format!("{:?} {:?}", seen.result, seen.transaction);
    assert!(everything.contains("leaking [secret]"), "{everything}");
    assert!(!everything.contains(CLIENT_SECRET), "{everything}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn panic_with_token() {
    let seen = Stage::of("panic_with_token").await.misbehave().await;
    let everything = format!("{:?} {:?}", seen.result, seen.transaction);
    assert!(everything.contains("[secret]"), "{everything}");
    assert!(!everything.contains(TOKEN), "{everything}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn log_secret() {
    let seen = Stage::of("log_secret").await.misbehave().await;
    let everything = format!("{:?}", seen.transaction);
    assert!(
        everything.matches("leaking [secret]").count() >= 3,
        "{everything}"
    );
    assert!(!everything.contains(CLIENT_SECRET), "{everything}");
    assert_eq!(seen.refused().to_string(), "leaking [secret]");
}
