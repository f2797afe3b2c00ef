//! Broken connections and unreadable responses.

use relation_e2e::World;
use serde_json::json;
use webex_emulator::{Fault, FaultKind};

use crate::row::{FaultClass, Group, TOKEN, webex};

pub fn group() -> Group {
    Group {
        title: "Lost responses",
        about: "Webex issued new tokens, but the response was lost. If Webex rotates refresh \
                tokens, the old one is invalid: the next attempt is refused, and a person connects \
                again.",
        world: World::builder,
        rows: vec![
            webex(
                "cut before Webex processed the request",
                FaultClass::FAILED,
                |_| Fault::reset_before(TOKEN),
            ),
            webex(
                "cut after Webex processed the request",
                FaultClass::ResponseLost,
                |_| Fault::reset_after(TOKEN),
            ),
            webex("malformed JSON", FaultClass::ResponseLost, |_| {
                Fault::malformed_json(TOKEN)
            }),
            webex(
                "cut in the middle of the response",
                FaultClass::ResponseLost,
                |_| Fault::truncated_json(TOKEN),
            )
            .untracked(),
            webex("8 MiB, in chunks", FaultClass::ResponseLost, |_| {
                Fault::huge_body(TOKEN, 8 << 20)
            })
            .untracked(),
            webex("8 MiB, announced", FaultClass::ResponseLost, |_| {
                let (bytes, announced) = (8 << 20, true);
                Fault::new(TOKEN, FaultKind::HugeBody { bytes, announced })
            })
            .untracked(),
            webex("200 KiB", FaultClass::ResponseLost, |_| {
                Fault::huge_body(TOKEN, 200 << 10)
            }),
            webex("a page instead of JSON", FaultClass::FAILED, |_| {
                Fault::status_with_body(TOKEN, 200, json!("<html>maintenance</html>"))
            }),
            webex("a success without a body", FaultClass::FAILED, |_| {
                Fault::status_with_body(TOKEN, 204, json!(""))
            }),
            webex("JSON without tokens", FaultClass::FAILED, |_| {
                Fault::status_with_body(TOKEN, 200, json!({ "expires_in": 1_209_599 }))
            }),
        ],
    }
}
