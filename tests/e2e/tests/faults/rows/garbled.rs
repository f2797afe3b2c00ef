//! Connections that are cut and answers that cannot be read.

use relation_e2e::World;
use serde_json::json;
use webex_emulator::{Fault, FaultKind};

use crate::row::{Class, Group, TOKEN, webex};

pub fn group() -> Group {
    Group {
        title: "Answers that are lost",
        about: "Webex has given out new tokens and nobody received them. Where it rotates refresh \
                tokens the old one is dead: the next attempt is refused, and a person connects \
                again.",
        world: World::builder,
        rows: vec![
            webex("cut before Webex did anything", Class::FAILED, |_| {
                Fault::reset_before(TOKEN)
            }),
            webex("cut after Webex did its work", Class::Lost, |_| {
                Fault::reset_after(TOKEN)
            }),
            webex("JSON that is broken", Class::Lost, |_| {
                Fault::malformed_json(TOKEN)
            }),
            webex("cut in the middle of the answer", Class::Lost, |_| {
                Fault::truncated_json(TOKEN)
            })
            .untracked(),
            webex("8 MiB, in chunks", Class::Lost, |_| {
                Fault::huge_body(TOKEN, 8 << 20)
            })
            .untracked(),
            webex("8 MiB, announced", Class::Lost, |_| {
                let (bytes, announced) = (8 << 20, true);
                Fault::new(TOKEN, FaultKind::HugeBody { bytes, announced })
            })
            .untracked(),
            webex("200 KiB", Class::Lost, |_| {
                Fault::huge_body(TOKEN, 200 << 10)
            }),
            webex("a page instead of JSON", Class::FAILED, |_| {
                Fault::status_with_body(TOKEN, 200, json!("<html>maintenance</html>"))
            }),
            webex("a success without content", Class::FAILED, |_| {
                Fault::status_with_body(TOKEN, 204, json!(""))
            }),
            webex("JSON without tokens", Class::FAILED, |_| {
                Fault::status_with_body(TOKEN, 200, json!({ "expires_in": 1_209_599 }))
            }),
        ],
    }
}
