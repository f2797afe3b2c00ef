//! The environment of a call: settings, clocks, randomness and the transaction.

use std::time::Instant;

use crate::bindings::automate::platform::settings;
use crate::bindings::automate::platform::transactions as journal;
use crate::bindings::wasi::random::random as source;
use crate::checks::secrets;
use crate::outcome::{Outcome, ensure, ensure_eq, fail, skip};
use crate::samples::{self, CheckContext};

/// The plain setting that hosts should have, and its value.
pub const SETTING: (&str, &str) = ("conformance.setting", "plain \u{1f980}");

pub fn config(_: &CheckContext) -> Outcome {
    let absent = settings::get("conformance.not-configured");
    ensure_eq("one that is not configured", absent, None)?;
    match settings::get(SETTING.0) {
        None => skip(format!(
            "there is no setting {} with the value {}",
            SETTING.0, SETTING.1
        )),
        Some(value) => {
            ensure_eq("the setting", value.as_str(), SETTING.1)?;
            let listed = settings::all()
                .iter()
                .any(|setting| (setting.key.as_str(), setting.value.as_str()) == SETTING);
            ensure("the list of all settings lacks it", listed)
        }
    }
}

pub fn config_without_secrets(_: &CheckContext) -> Outcome {
    let plain = settings::get(secrets::SETTING.0);
    ensure_eq("the secret setting among the plain", plain, None)?;
    let contains_secret = settings::all()
        .iter()
        .any(|setting| setting.value.contains(secrets::SETTING.1));
    ensure(
        "a plain setting contains the secret's value",
        !contains_secret,
    )
}

pub fn random(_: &CheckContext) -> Outcome {
    for length in [0, 1, 32, 5000] {
        let bytes = source::get_random_bytes(length);
        ensure_eq("how many bytes", bytes.len() as u64, length)?;
    }
    let mut drawn: Vec<Vec<u8>> = (0..64).map(|_| source::get_random_bytes(16)).collect();
    drawn.extend((0..64).map(|_| {
        let [a, b] = [source::get_random_u64(), source::get_random_u64()];
        [a.to_le_bytes(), b.to_le_bytes()].concat()
    }));
    let count = drawn.len();
    drawn.sort_unstable();
    drawn.dedup();
    ensure_eq("different draws of 16 bytes", drawn.len(), count)
}

pub fn clock(_: &CheckContext) -> Outcome {
    let (mut wall, mut steady) = (samples::now(), Instant::now());
    for _ in 0..100 {
        let (later, steadily) = (samples::now(), Instant::now());
        ensure("the monotonic clock went back", steadily >= steady)?;
        if later < wall {
            return fail(format!("the wall clock went back from {wall} to {later}"));
        }
        (wall, steady) = (later, steadily);
    }
    let nanoseconds = crate::bindings::wasi::clocks::wall_clock::now().nanoseconds;
    ensure(
        "a second has more than 10^9 nanoseconds",
        nanoseconds < 1_000_000_000,
    )
}

pub fn transactions(_: &CheckContext) -> Outcome {
    use journal::Level;
    for level in [Level::Debug, Level::Info, Level::Warning, Level::Error] {
        journal::log(level, "one line of each level");
    }
    journal::log(Level::Debug, "");
    journal::log(
        Level::Debug,
        "two\nlines, a bell \u{7} and a crab \u{1f980}",
    );
    journal::log(Level::Debug, &"\u{e9}".repeat(5000));
    journal::progress(0, 0, "");
    journal::progress(3, 2, "further than the end");
    journal::progress(u32::MAX, u32::MAX, "the end");
    Ok(())
}

pub fn interrupted(_: &CheckContext) -> Outcome {
    ensure_eq("when a call was cut off", journal::interrupted(), None)
}
