//! Rejected refresh tokens: only a person can continue.

use relation_e2e::World;

use crate::bodies;
use crate::row::{FaultClass, Group, Injection, Row, webex};

pub fn group() -> Group {
    Group {
        title: "Refusals of the refresh token",
        about: "A refused token is not sent to Webex again. The access token works until its \
                own expiry.",
        world: World::builder,
        rows: vec![
            webex("400, `invalid_grant`", FaultClass::Refused, |_| {
                bodies::oauth(400, "invalid_grant", "The refresh token is not valid.")
            }),
            webex("401, `invalid_grant`", FaultClass::Refused, |_| {
                bodies::oauth(401, "invalid_grant", "The refresh token is not valid.")
            }),
            webex("400, Webex's body", FaultClass::Refused, |_| {
                bodies::webex(
                    400,
                    "The refresh token provided is expired, revoked, malformed, or invalid.",
                )
            }),
            webex("401, Webex's body", FaultClass::Refused, |_| {
                bodies::webex(
                    401,
                    "The refresh token provided is expired, revoked, malformed, or invalid.",
                )
            }),
            webex(
                "200, `invalid_grant` in its body",
                FaultClass::Refused,
                |_| bodies::oauth(200, "invalid_grant", "The refresh token is not valid."),
            ),
            Row::new(
                "the grant was revoked at Webex",
                FaultClass::Refused,
                Injection::BeforeRequest(|world, tokens| {
                    assert!(world.emulator.revoke(tokens.refresh_token.as_str()));
                }),
            ),
        ],
    }
}
