//! Token lifetimes that are missing or make no sense.

use relation_e2e::World;
use serde_json::json;
use webex_emulator::Fault;

use crate::row::{FaultClass, Group, TOKEN, webex};

pub fn group() -> Group {
    Group {
        title: "Missing or invalid token lifetimes",
        about: "The tokens are stored. A missing or invalid lifetime is replaced by the last known \
                one. A lifetime above ten years is stored as ten years.",
        world: World::builder,
        rows: vec![
            webex("no `expires_in`", FaultClass::Delivered, |_| {
                Fault::patch(TOKEN, json!({ "expires_in": null }))
            }),
            webex("`expires_in` is negative", FaultClass::Delivered, |_| {
                Fault::patch(TOKEN, json!({ "expires_in": -1_209_599 }))
            }),
            webex("`expires_in` is 0", FaultClass::Delivered, |_| {
                Fault::patch(TOKEN, json!({ "expires_in": 0 }))
            }),
            webex(
                "`expires_in` is far too large",
                FaultClass::Delivered,
                |_| Fault::patch(TOKEN, json!({ "expires_in": u64::MAX })),
            ),
            webex("`expires_in` is a string", FaultClass::Delivered, |_| {
                Fault::patch(TOKEN, json!({ "expires_in": "1209599" }))
            }),
            webex(
                "`expires_in` is not a number",
                FaultClass::Delivered,
                |_| Fault::patch(TOKEN, json!({ "expires_in": "soon" })),
            ),
            webex(
                "no `refresh_token_expires_in`",
                FaultClass::Delivered,
                |_| Fault::patch(TOKEN, json!({ "refresh_token_expires_in": null })),
            ),
            webex(
                "`refresh_token_expires_in` is negative",
                FaultClass::Delivered,
                |_| Fault::patch(TOKEN, json!({ "refresh_token_expires_in": -1 })),
            ),
            webex(
                "`refresh_token_expires_in` is 0",
                FaultClass::Delivered,
                |_| Fault::patch(TOKEN, json!({ "refresh_token_expires_in": 0 })),
            ),
            webex(
                "`refresh_token_expires_in` is far too large",
                FaultClass::Delivered,
                |_| Fault::patch(TOKEN, json!({ "refresh_token_expires_in": 1e300 })),
            ),
            webex("neither lifetime", FaultClass::Delivered, |_| {
                let neither = json!({ "expires_in": null, "refresh_token_expires_in": null });
                Fault::patch(TOKEN, neither)
            }),
        ],
    }
}
