//! Error texts in which Webex repeats a secret that it was sent, or that it issued.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relation_e2e::World;

use crate::bodies;
use crate::row::{Class, Group, webex};

pub fn group() -> Group {
    Group {
        title: "Secrets that Webex repeats",
        about: "An error text is shown to the administrator and stored, so a secret in it is \
                hidden first.",
        world: World::builder,
        rows: vec![
            webex(
                "the refresh token, RFC 6749's body",
                Class::Refused,
                |held| {
                    let text = format!("The token {} is not valid.", held.refresh_token);
                    bodies::oauth(400, "invalid_grant", &text)
                },
            ),
            webex("the refresh token, Webex's body", Class::FAILED, |held| {
                bodies::webex(503, &format!("Cannot look up {}", held.refresh_token))
            }),
            webex(
                "the refresh token as the error's code",
                Class::FAILED,
                |held| bodies::oauth(400, &held.refresh_token, "No such thing."),
            ),
            webex(
                "the client secret, RFC 6749's body",
                Class::Operator,
                |held| {
                    let text = format!("{} is not the secret", held.client_secret());
                    bodies::oauth(401, "invalid_client", &text)
                },
            ),
            webex("the client secret, Webex's body", Class::FAILED, |held| {
                bodies::webex(500, &format!("client_secret={}", held.client_secret()))
            }),
            webex("the access token", Class::FAILED, |held| {
                bodies::webex(503, &format!("Cannot replace {}", held.access_token))
            }),
            webex(
                "client id and secret as in HTTP Basic",
                Class::FAILED,
                |held| {
                    let pair = format!("C0ffee:{}", held.client_secret());
                    bodies::webex(500, &format!("Basic {} failed", STANDARD.encode(pair)))
                },
            ),
        ],
    }
}
