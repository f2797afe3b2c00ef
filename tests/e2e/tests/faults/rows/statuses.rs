//! Error statuses that say nothing about the grant.

use http::StatusCode;
use relation_e2e::World;
use serde_json::json;
use webex_emulator::{Fault, FaultKind, ProcessingStage};

use crate::bodies;
use crate::row::{FaultClass, Group, TOKEN, webex};

pub fn group() -> Group {
    Group {
        title: "Errors that do not concern the grant",
        about: "A temporary error never clears or shortens a token. Errors that the operator must \
                correct are retried too; here they are corrected before the next attempt.",
        world: World::builder,
        rows: vec![
            webex("400, Webex's body", FaultClass::FAILED, |_| {
                bodies::webex(400, "The request could not be understood.")
            }),
            webex("400, `invalid_request`", FaultClass::FAILED, |_| {
                bodies::oauth(400, "invalid_request", "A parameter is missing.")
            }),
            webex("400, `temporarily_unavailable`", FaultClass::FAILED, |_| {
                bodies::oauth(400, "temporarily_unavailable", "Maintenance.")
            }),
            webex("400, `slow_down`", FaultClass::FAILED, |_| {
                bodies::oauth(400, "slow_down", "Too many requests.")
            }),
            webex(
                "200, `temporarily_unavailable` in its body",
                FaultClass::FAILED,
                |_| bodies::oauth(200, "temporarily_unavailable", "Maintenance."),
            ),
            webex("400, an empty body", FaultClass::FAILED, |_| {
                Fault::status_with_body(TOKEN, 400, json!(""))
            }),
            webex("401, `invalid_client`", FaultClass::ClientRejected, |_| {
                bodies::oauth(401, "invalid_client", "Client authentication failed.")
            }),
            webex(
                "400, `unauthorized_client`",
                FaultClass::ClientRejected,
                |_| bodies::oauth(400, "unauthorized_client", "The integration was disabled."),
            ),
            webex("401, Webex's body", FaultClass::FAILED, |_| {
                Fault::status(TOKEN, 401)
            }),
            webex("403, Webex's body", FaultClass::FAILED, |_| {
                Fault::status(TOKEN, 403)
            }),
            webex("403, a page of an intermediary", FaultClass::FAILED, |_| {
                Fault::status_with_body(TOKEN, 403, json!("<html>forbidden</html>"))
            }),
            webex("404", FaultClass::FAILED, |_| Fault::status(TOKEN, 404)),
            webex("404, a page of another server", FaultClass::FAILED, |_| {
                Fault::status_with_body(TOKEN, 404, json!("<html>not found</html>"))
            }),
            webex("500", FaultClass::FAILED, |_| Fault::status(TOKEN, 500)),
            webex("502", FaultClass::FAILED, |_| Fault::status(TOKEN, 502)),
            webex("503", FaultClass::FAILED, |_| Fault::status(TOKEN, 503)),
            webex("504", FaultClass::FAILED, |_| Fault::status(TOKEN, 504)),
            webex(
                "503, `invalid_grant` in its body",
                FaultClass::FAILED,
                |_| bodies::oauth(503, "invalid_grant", "Try again."),
            ),
            webex("302 to another URL", FaultClass::FAILED, |_| {
                Fault::status_with_body(TOKEN, 302, json!(""))
            }),
            webex(
                "502 of a gateway after Webex processed the request",
                FaultClass::ResponseLost,
                |_| {
                    let kind = FaultKind::Status {
                        status: StatusCode::BAD_GATEWAY,
                        body: Some(json!("<html>bad gateway</html>")),
                        stage: ProcessingStage::After,
                    };
                    Fault::new(TOKEN, kind)
                },
            ),
        ],
    }
}
