//! A plugin's memory does not outlive its call.

use crate::world::HostileWorld;

#[tokio::test(flavor = "multi_thread")]
pub async fn keeps_state() {
    let hostile = HostileWorld::new("keeps_state").await;
    for _ in 0..3 {
        let call = hostile.misbehave().await;
        assert_eq!(call.expect_notes(), "0 calls before this one");
    }
}
