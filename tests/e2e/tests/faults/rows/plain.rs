//! No fault: the effect of a response in each refresh variant, and responses that are unusual but
//! right.

use http::StatusCode;
use relation_e2e::World;
use serde_json::json;
use webex_emulator::{Fault, FaultKind};

use crate::row::{FaultClass, Group, Injection, Row, TOKEN, webex};

pub fn group() -> Group {
    Group {
        title: "Valid responses",
        about: "The response has the same refresh token, a new one, or none; all \
                three are valid.",
        world: World::builder,
        rows: vec![
            Row::new("none", FaultClass::Delivered, Injection::None),
            webex("token type in another case", FaultClass::Delivered, |_| {
                Fault::patch(TOKEN, json!({ "token_type": "bEARER" }))
            }),
            webex("no token type", FaultClass::Delivered, |_| {
                Fault::patch(TOKEN, json!({ "token_type": null }))
            }),
            webex("no scopes", FaultClass::Delivered, |_| {
                Fault::patch(TOKEN, json!({ "scope": null }))
            }),
            webex("unknown fields", FaultClass::Delivered, |_| {
                Fault::patch(TOKEN, json!({ "surprise": { "of": ["any", 1] } }))
            }),
            webex("no refresh token", FaultClass::TokenOmitted, |_| {
                let without = json!({ "refresh_token": null, "refresh_token_expires_in": null });
                Fault::patch(TOKEN, without)
            }),
            webex("another content type", FaultClass::Delivered, |_| {
                Fault::content_type(TOKEN, "text/html; charset=utf-8")
            }),
            webex(
                "a byte order mark before the body",
                FaultClass::Delivered,
                |_| {
                    let text = "\u{feff}".to_owned();
                    Fault::new(TOKEN, FaultKind::Prefix { text })
                },
            ),
            webex(
                "another status of success, 203",
                FaultClass::Delivered,
                |_| {
                    let status = StatusCode::NON_AUTHORITATIVE_INFORMATION;
                    Fault::new(TOKEN, FaultKind::Relabel { status })
                },
            ),
        ],
    }
}
