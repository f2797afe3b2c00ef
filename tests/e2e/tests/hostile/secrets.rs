//! Secrets in a plugin's own messages do not leave the host.

use relation_e2e::world::CLIENT_SECRET;

use crate::world::{HostileWorld, TOKEN};

#[tokio::test(flavor = "multi_thread")]
pub async fn panic_with_secret() {
    let call = HostileWorld::new("panic_with_secret")
        .await
        .misbehave()
        .await;
    let everything = format!("{:?} {:?}", call.result, call.transaction);
    assert!(everything.contains("leaking [secret]"), "{everything}");
    assert!(!everything.contains(CLIENT_SECRET), "{everything}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn panic_with_token() {
    let call = HostileWorld::new("panic_with_token")
        .await
        .misbehave()
        .await;
    let everything = format!("{:?} {:?}", call.result, call.transaction);
    assert!(everything.contains("[secret]"), "{everything}");
    assert!(!everything.contains(TOKEN), "{everything}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn log_secret() {
    let call = HostileWorld::new("log_secret").await.misbehave().await;
    let everything = format!("{:?}", call.transaction);
    assert!(
        everything.matches("leaking [secret]").count() >= 3,
        "{everything}"
    );
    assert!(!everything.contains(CLIENT_SECRET), "{everything}");
    assert_eq!(call.expect_refused().to_string(), "leaking [secret]");
}
