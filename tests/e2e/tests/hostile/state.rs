//! What a plugin leaves behind in its memory is gone with the call.

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
pub async fn keeps_state() {
    let stage = Stage::of("keeps_state").await;
    for _ in 0..3 {
        let seen = stage.misbehave().await;
        assert_eq!(seen.notes(), "0 calls before this one");
    }
}
