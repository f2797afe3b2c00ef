//! The health of an endpoint: when a failing one is reported, and when it is disabled.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::DeliveryErrorKind;

/// The time without a success after which people are warned by another channel.
pub const WARN_AFTER: Duration = Duration::from_secs(6 * 3600);
/// The time without a success after which an endpoint is disabled.
pub const DISABLE_AFTER: Duration = Duration::from_secs(3 * 24 * 3600);
/// The minimum number of failures before a warning: two messages far apart say nothing about the time between.
const MIN_FAILURES: u32 = 3;

/// The health of an endpoint, from the results of all its attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointHealth {
    /// The time of the first failure since the latest success.
    failing_since: Option<DateTime<Utc>>,
    /// The number of failures since the latest success.
    failures: u32,
    /// Whether the warning was given.
    warned: bool,
    /// The reason why the endpoint gets no messages.
    disabled: Option<DisabledReason>,
}

/// The reason why an endpoint gets no messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DisabledReason {
    /// The endpoint had only failures for [`DISABLE_AFTER`].
    Failures,
    /// The receiver responded that it refuses messages (HTTP 410).
    Gone,
}

/// The change by the result of an attempt. Each is reported once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthChange {
    /// The endpoint had only failures for [`WARN_AFTER`]: warn by another channel.
    Warn,
    /// The endpoint is disabled now: report this by another channel.
    Disable(DisabledReason),
    /// The endpoint works again after a warning or after it was disabled.
    Recover,
}

impl EndpointHealth {
    /// Returns the reason why the endpoint gets no messages; `None`: it gets them.
    #[must_use]
    pub fn disabled(&self) -> Option<DisabledReason> {
        self.disabled
    }

    /// Returns the time of the first failure since the latest success; `None`: the latest attempt succeeded.
    #[must_use]
    pub fn failing_since(&self) -> Option<DateTime<Utc>> {
        self.failing_since
    }

    /// Returns the number of failures since the latest success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns whether the endpoint works, or has not failed long enough for a warning.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.warned && self.disabled.is_none()
    }

    /// Records a success, which resets all fields. A successful test therefore enables a disabled endpoint.
    pub fn record_success(&mut self) -> Option<HealthChange> {
        let was_reported = self.warned || self.disabled.is_some();
        self.enable();
        was_reported.then_some(HealthChange::Recover)
    }

    /// Enables the endpoint for an administrator, and forgets its failures.
    pub fn enable(&mut self) {
        *self = Self::default();
    }

    /// Records an attempt that failed at `now`. An attempt that was not made says nothing about the endpoint, and is
    /// ignored.
    pub fn record_failure(
        &mut self,
        kind: DeliveryErrorKind,
        now: DateTime<Utc>,
    ) -> Option<HealthChange> {
        if kind == DeliveryErrorKind::NotAttempted {
            return None;
        }
        // After the clock was set back, the time begins again.
        let since = self.failing_since.map_or(now, |since| since.min(now));
        self.failing_since = Some(since);
        self.failures = self.failures.saturating_add(1);
        if self.disabled.is_some() {
            return None;
        }
        if kind == DeliveryErrorKind::Gone {
            return Some(self.disable(DisabledReason::Gone));
        }
        let failing = (now - since).to_std().unwrap_or_default();
        if self.failures < MIN_FAILURES {
            return None;
        }
        if failing >= DISABLE_AFTER {
            return Some(self.disable(DisabledReason::Failures));
        }
        if failing >= WARN_AFTER && !self.warned {
            self.warned = true;
            return Some(HealthChange::Warn);
        }
        None
    }

    fn disable(&mut self, reason: DisabledReason) -> HealthChange {
        self.disabled = Some(reason);
        HealthChange::Disable(reason)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    const TEMPORARY: DeliveryErrorKind = DeliveryErrorKind::Temporary { retry_after: None };

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_764_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
    }

    fn fail(health: &mut EndpointHealth, hours: i64) -> Option<HealthChange> {
        health.record_failure(TEMPORARY, at(hours * 60))
    }

    #[test]
    fn warning_after_6_hours_and_disabled_after_3_days() {
        let mut health = EndpointHealth::default();
        let changes: Vec<_> = (0..80)
            .filter_map(|hour| fail(&mut health, hour).map(|change| (hour, change)))
            .collect();
        let disabled = HealthChange::Disable(DisabledReason::Failures);
        assert_eq!(changes, [(6, HealthChange::Warn), (72, disabled)]);
        assert_eq!(health.disabled(), Some(DisabledReason::Failures));
        assert_eq!(health.failing_since(), Some(at(0)));
    }

    #[test]
    fn attempts_that_are_not_made_say_nothing() {
        let mut health = EndpointHealth::default();
        for hour in 0..80 {
            let change = health.record_failure(DeliveryErrorKind::NotAttempted, at(hour * 60));
            assert_eq!(change, None);
        }
        assert_eq!(health, EndpointHealth::default());
    }

    #[test]
    fn gone_disables_immediately() {
        let mut health = EndpointHealth::default();
        let change = health.record_failure(DeliveryErrorKind::Gone, at(0));
        assert_eq!(change, Some(HealthChange::Disable(DisabledReason::Gone)));
        assert_eq!(health.record_failure(DeliveryErrorKind::Gone, at(1)), None);
    }

    #[test]
    fn success_resets_the_time() {
        let mut health = EndpointHealth::default();
        for hour in [0, 3, 5] {
            assert_eq!(fail(&mut health, hour), None);
        }
        assert_eq!(health.record_success(), None);
        for hour in [6, 8, 11] {
            assert_eq!(fail(&mut health, hour), None, "{hour}");
        }
        assert_eq!(fail(&mut health, 12), Some(HealthChange::Warn));
        assert_eq!(health.record_success(), Some(HealthChange::Recover));
        assert_eq!(health, EndpointHealth::default());
    }

    #[test]
    fn enabled_endpoint_survives_the_next_failure() {
        let mut health = EndpointHealth::default();
        for hour in 0..=72 {
            fail(&mut health, hour);
        }
        health.enable();
        assert_eq!(health.disabled(), None);
        assert_eq!(fail(&mut health, 73), None);
        assert_eq!(fail(&mut health, 78), None);
        assert_eq!(fail(&mut health, 79), Some(HealthChange::Warn));
    }

    #[test]
    fn two_failures_far_apart_say_nothing() {
        let mut health = EndpointHealth::default();
        assert_eq!(fail(&mut health, 0), None);
        assert_eq!(fail(&mut health, 500), None);
        let disabled = HealthChange::Disable(DisabledReason::Failures);
        assert_eq!(fail(&mut health, 501), Some(disabled));
    }

    #[test]
    fn clock_that_is_set_back_disables_nothing() {
        let mut health = EndpointHealth::default();
        for hour in [100, 0, 1, 2, 3, 4, 5] {
            assert_eq!(fail(&mut health, hour), None);
        }
        assert_eq!(fail(&mut health, 6), Some(HealthChange::Warn));
    }

    #[test]
    fn stored_form_is_read_again() {
        let mut health = EndpointHealth::default();
        fail(&mut health, 0);
        health.record_failure(DeliveryErrorKind::Gone, at(1));
        let text = serde_json::to_string(&health).unwrap();
        let read: EndpointHealth = serde_json::from_str(&text).unwrap();
        assert_eq!(read, health);
    }

    proptest! {
        /// With temporary failures, a warning needs 6 hours without a success, and disabling needs 72 hours.
        #[test]
        fn changes_need_their_time_of_failures(steps in prop::collection::vec((any::<bool>(), 0_i64..600), 1..200)) {
            let mut health = EndpointHealth::default();
            let (mut now, mut first) = (0, None);
            for (succeeds, pause) in steps {
                now += pause;
                if succeeds {
                    health.record_success();
                    first = None;
                    continue;
                }
                let since = *first.get_or_insert(now);
                let hours = |hours: i64| now - since >= hours * 60;
                match health.record_failure(TEMPORARY, at(now)) {
                    Some(HealthChange::Warn) => prop_assert!(hours(6) && !hours(72)),
                    Some(HealthChange::Disable(_)) => prop_assert!(hours(72)),
                    Some(HealthChange::Recover) => prop_assert!(false),
                    None => {}
                }
                prop_assert_eq!(health.failing_since(), Some(at(since)));
            }
        }
    }
}
