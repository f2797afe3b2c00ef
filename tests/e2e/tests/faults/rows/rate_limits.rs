//! 429 with every kind of `Retry-After`.

use std::time::Duration;

use relation_e2e::World;
use relation_e2e::world::DAY;
use webex_emulator::{Fault, FaultKind};

use crate::row::{FIRST_PAUSE, FaultClass, Group, TOKEN, webex};

const fn after(seconds: u64) -> FaultClass {
    let pause = Duration::from_secs(seconds);
    FaultClass::NotProcessed { pause }
}

pub fn group() -> Group {
    const A_DAY: FaultClass = FaultClass::NotProcessed { pause: DAY };
    Group {
        title: "Rate limits",
        about: "Status 429. A `Retry-After` is obeyed to the second, up to a day, and never \
                shortens the plugin's own delay.",
        world: World::builder,
        rows: vec![
            webex("no `Retry-After`", FaultClass::FAILED, |_| {
                Fault::new(TOKEN, FaultKind::RateLimited { retry_after: None })
            }),
            webex("`Retry-After: 3`", after(FIRST_PAUSE.as_secs()), |_| {
                Fault::rate_limited(TOKEN, "3")
            }),
            webex("`Retry-After: 194`", after(194), |_| {
                Fault::rate_limited(TOKEN, "194")
            }),
            webex("`Retry-After:` a date long ago", FaultClass::FAILED, |_| {
                Fault::rate_limited(TOKEN, "Tue, 14 Nov 2023 22:13:20 GMT")
            }),
            webex("`Retry-After:` a date in 200 years", A_DAY, |_| {
                Fault::rate_limited(TOKEN, "Sun, 01 Jan 2226 00:00:00 GMT")
            }),
            webex("`Retry-After: 99999999999999999999`", A_DAY, |_| {
                Fault::rate_limited(TOKEN, "99999999999999999999")
            }),
            webex("`Retry-After: -1`", FaultClass::FAILED, |_| {
                Fault::rate_limited(TOKEN, "-1")
            }),
            webex(
                "`Retry-After: rand(30),add(30)`",
                FaultClass::FAILED,
                |_| Fault::rate_limited(TOKEN, "rand(30),add(30)"),
            ),
            webex("an empty `Retry-After`", FaultClass::FAILED, |_| {
                Fault::rate_limited(TOKEN, "")
            }),
        ],
    }
}

/// Lists faults near the expiry. The refresh tokens of this group are valid for 40 hours, of which 34 remain at the
/// request.
pub fn near_expiry() -> Group {
    const HALF: FaultClass = after(17 * 3600);
    Group {
        title: "Rate limits beyond the refresh token's expiry",
        about: "Status 429, with a refresh token that is valid for 40 hours. A longer \
                `Retry-After` is shortened to half of the token's remaining lifetime.",
        world: || World::builder().token_lifetimes(14 * DAY, 40 * DAY / 24),
        rows: vec![
            webex("`Retry-After: 86400`, with 34 hours left", HALF, |_| {
                Fault::rate_limited(TOKEN, "86400")
            }),
            webex("`Retry-After: 999999999`, with 34 hours left", HALF, |_| {
                Fault::rate_limited(TOKEN, "999999999")
            }),
            webex(
                "`Retry-After: 50000`, with 34 hours left",
                after(50_000),
                |_| Fault::rate_limited(TOKEN, "50000"),
            ),
        ],
    }
}
