//! Responses that Webex, a proxy or the network may send, but should not.

use super::caller_input::TOKEN_NAMES;
use crate::edits::edits;
use crate::fake_webex::{BodyMutation, NetworkFault, ResponseMutation};
use crate::input::Input;

/// Statuses with a meaning here, and some without.
const STATUSES: &[u16] = &[
    200, 400, 401, 403, 404, 429, 500, 503, 201, 202, 204, 206, 301, 302, 307, 400, 405, 407, 408,
    409, 410, 415, 423, 425, 428, 451, 502, 504, 599, 999,
];

/// Members of Webex's responses.
const NAMES: &[&str] = &[
    "items",
    "id",
    "orgId",
    "name",
    "displayName",
    "message",
    "errors",
    "description",
    "trackingId",
    "access_token",
    "refresh_token",
    "expires_in",
    "refresh_token_expires_in",
    "token_type",
    "scope",
    "error",
    "error_description",
    "error_uri",
    "notFoundItems",
    "totalUnits",
];

const NETWORK_FAULTS: &[NetworkFault] = &[
    NetworkFault::Unresolved,
    NetworkFault::Refused,
    NetworkFault::Untrusted,
    NetworkFault::Timeout,
    NetworkFault::Reset,
    NetworkFault::Garbled,
    NetworkFault::Cut,
    NetworkFault::Stalled,
];

const RETRY_AFTER: &[&str] = &[
    "3",
    "194",
    "0",
    "-1",
    "rand(30),add(30)",
    "99999999999999999999",
    "18446744073709551615",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "1.5",
    "",
];

const LINKS: &[&str] = &[
    "<https://webexapis.com/v1/roles?cursor=2>; rel=\"next\"",
    "<https://webexapis.com/v1/roles>; rel=\"next\"",
    "<https://webexapis.com/v1/licenses?max=null>; rel=next",
    "</v1/roles?page=2>; rel=\"next\"",
    "<https://evil.example/v1/roles>; rel=\"next\"",
    "<http://webexapis.com/v1/roles>; rel=\"next\"",
    "<https://webexapis.com@evil.example/>; rel=\"next\"",
    "<>; rel=\"next\"",
    "<https://webexapis.com/v1/roles?cursor=2",
    "<https://webexapis.com/%zz?a=b&a=c>; rel=\"prev next\"",
    "rel=\"next\"; <https://webexapis.com/v1/roles?x>",
    "<https://webexapis.com/v1/roles?a>; rel=\"first\", <https://webexapis.com/v1/roles?b>; rel=\"next\"",
    ",,,;;;<<<>>>",
];

const ERRORS: &[&str] = &[
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
    "invalid_scope",
    "server_error",
    "",
];

/// Generates one mutation.
pub(super) fn response_mutation(input: &mut Input<'_>) -> ResponseMutation {
    match input.below(8) {
        0 => ResponseMutation::Good,
        1 => ResponseMutation::NetworkFault(*input.pick(NETWORK_FAULTS)),
        _ => ResponseMutation::Changed {
            status: status(input),
            headers: headers(input),
            body: body(input),
        },
    }
}

fn status(input: &mut Input<'_>) -> Option<u16> {
    match input.below(4) {
        0 | 1 => None,
        2 => Some(*input.pick(STATUSES)),
        _ => u16::try_from(200 + input.below(800)).ok(),
    }
}

fn headers(input: &mut Input<'_>) -> Vec<(String, Vec<u8>)> {
    let mut fields = Vec::new();
    for _ in 0..input.below(4) {
        let (name, likely) = match input.below(6) {
            0 => ("retry-after", (*input.pick(RETRY_AFTER)).to_owned()),
            1 | 2 => ("link", (*input.pick(LINKS)).to_owned()),
            3 => ("trackingid", format!("ROUTER_{}", input.text())),
            4 => (
                "content-type",
                (*input.pick(&["text/html", "application/json; charset=utf-16", "", "x"]))
                    .to_owned(),
            ),
            _ => (
                *input.pick(&["location", "content-length", "date", "content-encoding"]),
                input.text(),
            ),
        };
        let mut value = likely.into_bytes();
        if input.chance(48) {
            value.extend_from_slice(input.bytes(16));
        }
        fields.push((name.to_owned(), value));
    }
    fields
}

fn body(input: &mut Input<'_>) -> BodyMutation {
    match input.below(10) {
        0 => BodyMutation::Good,
        1..=4 => {
            let names = if input.chance(96) { TOKEN_NAMES } else { NAMES };
            BodyMutation::Edited(edits(input, names, 4))
        }
        5 => BodyMutation::Cut(input.below(4_096)),
        6 => {
            let count = input.below(4);
            let one = |input: &mut Input<'_>| (input.below(4_096), input.bits().to_le_bytes()[0]);
            BodyMutation::Noise((0..count).map(|_| one(input)).collect())
        }
        7 => BodyMutation::Own(own(input)),
        8 => BodyMutation::Echo(input.pick::<&str>(ERRORS)),
        _ => BodyMutation::Own(input.json(NAMES).to_string().into_bytes()),
    }
}

fn own(input: &mut Input<'_>) -> Vec<u8> {
    let opening = *input.pick(&["[", "{\"a\":", "\"", "-", "{\"items\":["]);
    match input.below(5) {
        0 => Vec::new(),
        1 => input.bytes(64).to_vec(),
        2 => opening
            .repeat(*input.pick(&[1, 127, 128, 2_000, 30_000]))
            .into_bytes(),
        3 => b"<html><body><h1>502 Bad Gateway</h1></body></html>".to_vec(),
        _ => {
            let digits = "9".repeat(*input.pick(&[1, 20, 309, 5_000]));
            format!(
                "{{\"access_token\":\"a\",\"expires_in\":{digits},\"refresh_token_expires_in\":{digits}e{digits}}}"
            )
            .into_bytes()
        }
    }
}
