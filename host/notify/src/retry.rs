//! The plan of the attempts at a delivery, for every channel. Its functions are pure: the caller has the clock, the
//! entropy and the store.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{DeliveryErrorKind, Message, NoticeKind};

/// The pauses after the first, second, … attempt. After the last pause follows the last attempt.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];
/// The maximum number of attempts at one delivery.
pub const MAX_ATTEMPTS: u32 = 10;
/// The longest wait that a receiver may ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
/// The largest part of a pause that is added to it at random, in percent.
const JITTER_PERCENT: u32 = 10;
/// The number of attempts whose result may be unknown.
const MAX_UNKNOWN: u32 = 2;

/// An attempt that failed, and those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The result.
    pub kind: DeliveryErrorKind,
    /// The number of attempts so far, with this one.
    pub attempts: u32,
    /// The number of attempts so far whose result is unknown, with this one.
    pub unknown: u32,
    /// The time of the attempt's end.
    pub now: DateTime<Utc>,
}

/// The step after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Another attempt, at this time.
    Retry(DateTime<Utc>),
    /// No further attempt: the delivery becomes a dead letter.
    GiveUp(GiveUpReason),
}

/// The reason why no further attempt follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GiveUpReason {
    /// All attempts have failed.
    #[error("all {MAX_ATTEMPTS} attempts failed")]
    Exhausted,
    /// The next attempt would come after the time until which the message is useful.
    #[error("the message would have come too late to be useful")]
    TooLate,
    /// The result is unknown again after the repetition.
    #[error("the receiver's reply was lost twice, so it may have the message")]
    Unknown,
    /// The receiver refused the message permanently.
    #[error("the receiver refused the message permanently")]
    Permanent,
    /// The receiver refuses further messages.
    #[error("the receiver accepts no further messages")]
    Gone,
}

/// Returns the step after a failed attempt.
///
/// The next attempt is after the pause of the plan, or after the receiver's `retry_after` if that is longer. `entropy`
/// adds up to a tenth of the pause. It is not after `deadline`: see [`find_deadline`].
#[must_use]
pub fn plan(failed: FailedAttempt, deadline: Option<DateTime<Utc>>, entropy: u32) -> NextStep {
    let retry_after = match failed.kind {
        DeliveryErrorKind::Temporary { retry_after } => retry_after.unwrap_or_default(),
        DeliveryErrorKind::NotAttempted => Duration::ZERO,
        DeliveryErrorKind::Unknown if failed.unknown < MAX_UNKNOWN => Duration::ZERO,
        DeliveryErrorKind::Unknown => return NextStep::GiveUp(GiveUpReason::Unknown),
        DeliveryErrorKind::Permanent => return NextStep::GiveUp(GiveUpReason::Permanent),
        DeliveryErrorKind::Gone => return NextStep::GiveUp(GiveUpReason::Gone),
    };
    let index = usize::try_from(failed.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(pause) = PAUSES.get(index) else {
        return NextStep::GiveUp(GiveUpReason::Exhausted);
    };
    let wait = add_jitter((*pause).max(retry_after.min(MAX_RETRY_AFTER)), entropy);
    let next = TimeDelta::from_std(wait)
        .ok()
        .and_then(|wait| failed.now.checked_add_signed(wait));
    match next {
        Some(next) if deadline.is_none_or(|deadline| next <= deadline) => NextStep::Retry(next),
        _ => NextStep::GiveUp(GiveUpReason::TooLate),
    }
}

/// Adds at most a tenth to a pause.
fn add_jitter(pause: Duration, entropy: u32) -> Duration {
    let longest = pause * JITTER_PERCENT / 100;
    pause + longest.mul_f64(f64::from(entropy) / f64::from(u32::MAX))
}

/// Returns the time until which a message is useful; `None`: always.
///
/// "Expires in 2 days" is not useful after the expiry, since another notice reports the expiry. A digest is useful as
/// long as one of its notices.
#[must_use]
pub fn find_deadline(message: &Message) -> Option<DateTime<Utc>> {
    let mut latest = None;
    for notice in message.notices() {
        let end = match notice.kind {
            NoticeKind::Expiring => notice.expires?,
            _ => return None,
        };
        latest = latest.max(Some(end));
    }
    match message {
        Message::Digest(digest) if digest.more > 0 => None,
        _ => latest,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Digest, Notice, Severity};

    const TEMPORARY: DeliveryErrorKind = DeliveryErrorKind::Temporary { retry_after: None };

    fn start() -> DateTime<Utc> {
        "2026-12-07T10:00:00Z".parse().unwrap()
    }

    fn failed(kind: DeliveryErrorKind, attempts: u32) -> FailedAttempt {
        FailedAttempt {
            kind,
            attempts,
            unknown: 0,
            now: start(),
        }
    }

    fn wait(kind: DeliveryErrorKind, attempts: u32, entropy: u32) -> Option<u64> {
        match plan(failed(kind, attempts), None, entropy) {
            NextStep::Retry(at) => Some((at - start()).num_seconds().try_into().unwrap()),
            NextStep::GiveUp(_) => None,
        }
    }

    #[test]
    fn pauses_are_those_of_the_specification() {
        let waits: Vec<u64> = (1..=20)
            .map_while(|attempt| wait(TEMPORARY, attempt, 0))
            .collect();
        let hours = [2, 5, 10, 14, 20, 24].map(|hours| hours * 3600);
        assert_eq!(waits, [&[5, 300, 1800], &hours[..]].concat());
        let last = plan(failed(TEMPORARY, MAX_ATTEMPTS), None, 0);
        assert_eq!(last, NextStep::GiveUp(GiveUpReason::Exhausted));
    }

    #[test]
    fn jitter_adds_at_most_a_tenth() {
        assert_eq!(wait(TEMPORARY, 3, 0), Some(1800));
        assert_eq!(wait(TEMPORARY, 3, u32::MAX / 2), Some(1890 - 1));
        assert_eq!(wait(TEMPORARY, 3, u32::MAX), Some(1980));
    }

    #[test]
    fn retry_after_is_kept_and_bounded() {
        let after = |seconds| DeliveryErrorKind::Temporary {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(wait(after(194), 1, 0), Some(194));
        assert_eq!(wait(after(1), 2, 0), Some(300), "the pause is longer");
        assert_eq!(wait(after(u64::MAX), 1, 0), Some(86_400));
    }

    #[test]
    fn final_results_end_the_delivery() {
        for (kind, reason) in [
            (DeliveryErrorKind::Permanent, GiveUpReason::Permanent),
            (DeliveryErrorKind::Gone, GiveUpReason::Gone),
        ] {
            assert_eq!(plan(failed(kind, 1), None, 0), NextStep::GiveUp(reason));
        }
    }

    #[test]
    fn unknown_result_is_repeated_once() {
        let unknown = |unknown| FailedAttempt {
            unknown,
            ..failed(DeliveryErrorKind::Unknown, unknown)
        };
        assert!(matches!(plan(unknown(1), None, 0), NextStep::Retry(_)));
        let second = plan(unknown(2), None, 0);
        assert_eq!(second, NextStep::GiveUp(GiveUpReason::Unknown));
    }

    #[test]
    fn no_attempt_is_after_the_deadline() {
        let failed = failed(TEMPORARY, 1);
        let in_5_seconds = start() + TimeDelta::seconds(5);
        assert_eq!(
            plan(failed, Some(in_5_seconds), 0),
            NextStep::Retry(in_5_seconds)
        );
        let late = plan(failed, Some(start() + TimeDelta::seconds(4)), 0);
        assert_eq!(late, NextStep::GiveUp(GiveUpReason::TooLate));
        let end_of_time = FailedAttempt {
            now: DateTime::<Utc>::MAX_UTC,
            ..failed
        };
        let late = plan(end_of_time, None, 0);
        assert_eq!(late, NextStep::GiveUp(GiveUpReason::TooLate));
    }

    fn notice(kind: NoticeKind, expires_days: Option<i64>) -> Notice {
        Notice {
            id: "n".to_owned(),
            kind,
            severity: Severity::Major,
            record: String::new(),
            customer: String::new(),
            node: String::new(),
            grant: String::new(),
            code: String::new(),
            text: String::new(),
            expires: expires_days.map(|days| start() + TimeDelta::days(days)),
            occurred: start(),
            count: 1,
            link: None,
        }
    }

    #[test]
    fn expiring_is_useful_until_the_expiry() {
        let days = |days| Some(start() + TimeDelta::days(days));
        let single = |kind, expires| find_deadline(&Message::Single(notice(kind, expires)));
        assert_eq!(single(NoticeKind::Expiring, Some(2)), days(2));
        assert_eq!(single(NoticeKind::Expiring, None), None);
        assert_eq!(single(NoticeKind::Expired, Some(2)), None);
        let digest = |notices, more| {
            find_deadline(&Message::Digest(Digest {
                id: "d".to_owned(),
                node: String::new(),
                notices,
                more,
                link: None,
            }))
        };
        let expiring = |days| notice(NoticeKind::Expiring, Some(days));
        assert_eq!(
            digest(vec![expiring(2), expiring(7), expiring(3)], 0),
            days(7)
        );
        assert_eq!(
            digest(vec![expiring(2)], 1),
            None,
            "others may be useful for longer"
        );
        assert_eq!(
            digest(vec![expiring(2), notice(NoticeKind::Expired, Some(0))], 0),
            None
        );
        assert_eq!(digest(Vec::new(), 0), None);
    }

    fn any_kind() -> impl Strategy<Value = DeliveryErrorKind> {
        prop_oneof![
            6 => prop::option::of(any::<u64>()).prop_map(|seconds| DeliveryErrorKind::Temporary {
                retry_after: seconds.map(Duration::from_secs),
            }),
            1 => Just(DeliveryErrorKind::Unknown),
        ]
    }

    proptest! {
        /// Runs deliveries whose attempts all fail.
        #[test]
        fn attempts_grow_in_time_and_end(
            results in prop::collection::vec((any_kind(), any::<u32>(), 0_i64..60), 12),
            deadline_hours in prop::option::of(0_i64..200),
        ) {
            let deadline = deadline_hours.map(|hours| start() + TimeDelta::hours(hours));
            let mut now = start();
            let mut unknown = 0;
            let mut attempts = 0;
            for (kind, entropy, seconds) in results {
                attempts += 1;
                prop_assert!(attempts <= MAX_ATTEMPTS);
                unknown += u32::from(kind == DeliveryErrorKind::Unknown);
                let ended = now + TimeDelta::seconds(seconds);
                let failed = FailedAttempt { kind, attempts, unknown, now: ended };
                match plan(failed, deadline, entropy) {
                    NextStep::Retry(next) => {
                        prop_assert!(next >= ended + TimeDelta::seconds(5));
                        prop_assert!(next <= ended + TimeDelta::minutes(24 * 66));
                        prop_assert!(deadline.is_none_or(|deadline| next <= deadline));
                        now = next;
                    }
                    NextStep::GiveUp(_) => return Ok(()),
                }
            }
            prop_assert!(false, "the delivery does not end");
        }

        /// Without wishes of the receiver, the pauses grow.
        #[test]
        fn pauses_grow(entropy in prop::collection::vec(any::<u32>(), 9)) {
            let waits = entropy.iter().zip(1..).map(|(entropy, attempt)| wait(TEMPORARY, attempt, *entropy));
            let waits: Vec<u64> = waits.map(Option::unwrap).collect();
            prop_assert!(waits.is_sorted_by(|one, next| one < next), "{waits:?}");
        }
    }
}
