//! No fault: what an answer does in each way of refreshing, and answers that are unusual but right.

use http::StatusCode;
use relation_e2e::World;
use serde_json::json;
use webex_emulator::{Fault, FaultKind};

use crate::row::{Class, Disturbance, Group, Row, TOKEN, webex};

pub fn group() -> Group {
    Group {
        title: "Answers as they should be",
        about: "The refresh token that comes back is the same, a new one, or not named at all; all \
                three are right.",
        world: World::builder,
        rows: vec![
            Row::new("none", Class::Answered, Disturbance::Nothing),
            webex("the token type in another case", Class::Answered, |_| {
                Fault::patch(TOKEN, json!({ "token_type": "bEARER" }))
            }),
            webex("no token type", Class::Answered, |_| {
                Fault::patch(TOKEN, json!({ "token_type": null }))
            }),
            webex("no scopes", Class::Answered, |_| {
                Fault::patch(TOKEN, json!({ "scope": null }))
            }),
            webex("fields that nobody knows", Class::Answered, |_| {
                Fault::patch(TOKEN, json!({ "surprise": { "of": ["any", 1] } }))
            }),
            webex("no refresh token", Class::Unnamed, |_| {
                let without = json!({ "refresh_token": null, "refresh_token_expires_in": null });
                Fault::patch(TOKEN, without)
            }),
            webex("another content type", Class::Answered, |_| {
                Fault::content_type(TOKEN, "text/html; charset=utf-8")
            }),
            webex("a byte order mark before it", Class::Answered, |_| {
                let text = "\u{feff}".to_owned();
                Fault::new(TOKEN, FaultKind::Prefix { text })
            }),
            webex("another success, 203", Class::Answered, |_| {
                let status = StatusCode::NON_AUTHORITATIVE_INFORMATION;
                Fault::new(TOKEN, FaultKind::Relabel { status })
            }),
        ],
    }
}
