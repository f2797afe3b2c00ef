//! Moments and spans as a person reads them: `12 d 4 h`.

use std::time::Duration;

use relation_host::reports::Expiry;
use relation_host::types::Timestamp;

/// Marks an expiry that nobody told us.
pub const ASSUMED: &str = "~";

const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];

/// The two largest units of a span that are next to each other, rounded down: `12 d 4 h`, `7 d`,
/// `3 min 20 s`, `0 s`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

/// What is left until `at`, or `over`.
pub fn left(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        span(at.since(now))
    } else {
        "over".to_owned()
    }
}

/// What is left of a token, with a mark when its expiry is assumed; `-` without a token.
pub fn expiry_left(expiry: Option<&Expiry>, now: Timestamp) -> String {
    match expiry {
        Some(expiry) => format!("{}{}", mark(expiry), left(expiry.at, now)),
        None => "-".to_owned(),
    }
}

/// A token's expiry in full: `2026-11-21 20:35:00 UTC (12 d 4 h left)`.
pub fn expiry(expiry: Option<&Expiry>, now: Timestamp) -> String {
    let Some(expiry) = expiry else {
        return "-".to_owned();
    };
    let assumed = if expiry.assumed { ", assumed" } else { "" };
    let left = match expiry.at > now {
        true => format!("{} left", span(expiry.at.since(now))),
        false => format!("over for {}", span(now.since(expiry.at))),
    };
    format!("{} ({left}{assumed})", moment(expiry.at))
}

/// When something is due: `in 6 d 2 h`, or `5 min overdue`.
pub fn due(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", span(at.since(now)))
    } else {
        format!("{} overdue", span(now.since(at)))
    }
}

/// A moment to the second, in UTC.
pub fn moment(at: Timestamp) -> String {
    format!("{} UTC", stamp(at))
}

/// As [`moment`], for a column whose heading says that it is in UTC.
pub fn stamp(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('T') {
        Some((date, time)) => {
            let time = time.split(['.', 'Z']).next().unwrap_or(time);
            format!("{date} {time}")
        }
        None => text,
    }
}

fn mark(expiry: &Expiry) -> &'static str {
    if expiry.assumed { ASSUMED } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn a_span_is_its_two_largest_neighbouring_units() {
        let text = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(text(12 * DAY + 4 * 3600 + 59 * 60), "12 d 4 h");
        assert_eq!(text(7 * DAY), "7 d");
        assert_eq!(
            text(7 * DAY + 59),
            "7 d",
            "59 seconds do not matter beside days"
        );
        assert_eq!(text(DAY - 1), "23 h 59 min");
        assert_eq!(text(200), "3 min 20 s");
        assert_eq!(text(59), "59 s");
        assert_eq!(text(0), "0 s");
        assert_eq!(span(Duration::from_millis(999)), "0 s");
    }

    #[test]
    fn what_is_left_is_over_at_the_moment_itself() {
        let at = Timestamp(1_000_000);
        assert_eq!(left(at, Timestamp(999_000)), "1 s");
        assert_eq!(left(at, at), "over");
        assert_eq!(left(at, Timestamp(u64::MAX)), "over");
    }

    #[test]
    fn an_assumed_expiry_is_marked() {
        let at = |assumed| Expiry {
            at: Timestamp(2 * DAY * 1000),
            assumed,
        };
        assert_eq!(expiry_left(Some(&at(false)), Timestamp(0)), "2 d");
        assert_eq!(expiry_left(Some(&at(true)), Timestamp(0)), "~2 d");
        assert_eq!(expiry_left(None, Timestamp(0)), "-");
        assert_eq!(
            expiry(Some(&at(true)), Timestamp(0)),
            "1970-01-03 00:00:00 UTC (2 d left, assumed)"
        );
        assert_eq!(
            expiry(Some(&at(false)), Timestamp(3 * DAY * 1000)),
            "1970-01-03 00:00:00 UTC (over for 1 d)"
        );
    }

    #[test]
    fn what_should_have_run_is_overdue() {
        assert_eq!(due(Timestamp(90_000), Timestamp(0)), "in 1 min 30 s");
        assert_eq!(due(Timestamp(0), Timestamp(90_000)), "1 min 30 s overdue");
    }
}
