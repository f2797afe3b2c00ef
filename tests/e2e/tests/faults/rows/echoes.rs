//! Error texts in which Webex repeats a secret that it has received or issued.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relation_e2e::World;

use crate::bodies;
use crate::row::{FaultClass, Group, webex};

pub fn group() -> Group {
    Group {
        title: "Secrets that Webex repeats",
        about: "An error text is shown to the administrator and stored, so a secret in it is \
                redacted first.",
        world: World::builder,
        rows: vec![
            webex(
                "the refresh token, RFC 6749's body",
                FaultClass::Refused,
                |tokens| {
                    let text = format!("The token {} is not valid.", tokens.refresh_token);
                    bodies::oauth(400, "invalid_grant", &text)
                },
            ),
            webex(
                "the refresh token, Webex's body",
                FaultClass::FAILED,
                |tokens| bodies::webex(503, &format!("Cannot look up {}", tokens.refresh_token)),
            ),
            webex(
                "the refresh token as the error's code",
                FaultClass::FAILED,
                |tokens| bodies::oauth(400, &tokens.refresh_token, "No such thing."),
            ),
            webex(
                "the client secret, RFC 6749's body",
                FaultClass::ClientRejected,
                |tokens| {
                    let text = format!("{} is not the secret", tokens.client_secret());
                    bodies::oauth(401, "invalid_client", &text)
                },
            ),
            webex(
                "the client secret, Webex's body",
                FaultClass::FAILED,
                |tokens| bodies::webex(500, &format!("client_secret={}", tokens.client_secret())),
            ),
            webex("the access token", FaultClass::FAILED, |tokens| {
                bodies::webex(503, &format!("Cannot replace {}", tokens.access_token))
            }),
            webex(
                "client id and secret in the form of HTTP Basic",
                FaultClass::FAILED,
                |tokens| {
                    let pair = format!("C0ffee:{}", tokens.client_secret());
                    bodies::webex(500, &format!("Basic {} failed", STANDARD.encode(pair)))
                },
            ),
        ],
    }
}
