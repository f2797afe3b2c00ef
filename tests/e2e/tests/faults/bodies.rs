//! The two known error bodies of the token endpoint.

use serde_json::{Value, json};
use webex_emulator::Fault;

use crate::row::TOKEN;

/// The tracking id in bodies that contain their own.
pub const TRACKING_ID: &str = "ROUTER_in-the-body";

/// Creates a status with the body of RFC 6749, section 5.2.
pub fn oauth(status: u16, error: &str, description: &str) -> Fault {
    let body = json!({ "error": error, "error_description": description });
    Fault::status_with_body(TOKEN, status, body)
}

/// Creates a status with the body of Webex's API.
pub fn webex(status: u16, message: &str) -> Fault {
    Fault::status_with_body(TOKEN, status, api_error(message))
}

fn api_error(message: &str) -> Value {
    json!({
        "message": message,
        "errors": [{ "description": message }],
        "trackingId": TRACKING_ID,
    })
}
