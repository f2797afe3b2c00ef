//! Refusals of the refresh token: only a person can go on.

use relation_e2e::World;

use crate::bodies;
use crate::row::{Class, Disturbance, Group, Row, webex};

pub fn group() -> Group {
    Group {
        title: "Refusals of the refresh token",
        about: "Webex is not asked about a refused token again. The access token works until its \
                own expiry.",
        world: World::builder,
        rows: vec![
            webex("400, `invalid_grant`", Class::Refused, |_| {
                bodies::oauth(400, "invalid_grant", "The refresh token is not valid.")
            }),
            webex("401, `invalid_grant`", Class::Refused, |_| {
                bodies::oauth(401, "invalid_grant", "The refresh token is not valid.")
            }),
            webex("400, Webex's body", Class::Refused, |_| {
                bodies::webex(
                    400,
                    "The refresh token provided is expired, revoked, malformed, or invalid.",
                )
            }),
            webex("401, Webex's body", Class::Refused, |_| {
                bodies::webex(
                    401,
                    "The refresh token provided is expired, revoked, malformed, or invalid.",
                )
            }),
            webex("200, `invalid_grant` in its body", Class::Refused, |_| {
                bodies::oauth(200, "invalid_grant", "The refresh token is not valid.")
            }),
            Row::new(
                "the grant was revoked at Webex",
                Class::Refused,
                Disturbance::Before(|world, held| {
                    assert!(world.emulator.revoke(held.refresh_token.as_str()));
                }),
            ),
        ],
    }
}
