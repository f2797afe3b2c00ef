//! The back-off of log-ins and of callbacks without a log-in: after some failures, an account and an address must wait,
//! each time longer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// The maximum number of accounts and addresses that are remembered.
const MAX_ENTRIES: usize = 10_000;

/// After this time without an attempt, failures are forgotten.
const MEMORY: Duration = Duration::from_secs(3600);

/// Rounds a time to wait up to whole seconds, as responses name it.
pub(super) fn to_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// An account or an address, as a digest: people type passwords as names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject([u8; 32], Rule);

/// The failures without a delay, and the longest delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Rule {
    free_failures: u32,
    max_delay: Duration,
}

impl Subject {
    /// Creates the subject of an account. The longest delay is short: a stranger must not be able to lock an account
    /// for long.
    pub(super) fn account(folded_name: &str) -> Self {
        let rule = Rule {
            free_failures: 5,
            max_delay: Duration::from_secs(60),
        };
        Self(
            Sha256::digest(format!("account {folded_name}")).into(),
            rule,
        )
    }

    /// Creates the subject of an address. Several people may share it. An IPv6 network of 64 bits counts as one address.
    pub(super) fn address(address: IpAddr) -> Self {
        Self::from_address("address", address)
    }

    /// Creates the subject of an address that sends callbacks without a log-in.
    pub(super) fn callback(address: IpAddr) -> Self {
        Self::from_address("callback", address)
    }

    fn from_address(purpose: &str, address: IpAddr) -> Self {
        let rule = Rule {
            free_failures: 20,
            max_delay: Duration::from_secs(900),
        };
        let text = match address.to_canonical() {
            IpAddr::V4(address) => format!("{purpose} {address}"),
            IpAddr::V6(address) => format!("{purpose} network {:x}", address.to_bits() >> 64),
        };
        Self(Sha256::digest(text).into(), rule)
    }
}

#[derive(Debug)]
struct Failures {
    count: u32,
    /// The monotonic time of the latest attempt.
    latest: Duration,
    /// The monotonic time before which attempts are refused.
    refused_until: Duration,
}

/// The failed log-ins of this process.
#[derive(Debug, Default)]
pub(super) struct BackOff(HashMap<Subject, Failures>);

impl BackOff {
    /// Counts an attempt of all subjects as a failure until [`BackOff::succeed`], so that attempts at the same moment
    /// count too.
    ///
    /// # Errors
    /// A subject must wait; the error is the time, and the attempt does not count.
    pub(super) fn begin(&mut self, subjects: &[Subject], now: Duration) -> Result<(), Duration> {
        let waits = subjects.iter().filter_map(|subject| self.0.get(subject));
        let wait = waits.map(|failures| failures.refused_until.saturating_sub(now));
        let wait = wait.max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        self.make_room(now);
        for subject in subjects {
            let failures = self.0.entry(*subject).or_insert(Failures {
                count: 0,
                latest: now,
                refused_until: Duration::ZERO,
            });
            failures.count = failures.count.saturating_add(1);
            failures.latest = now;
            let exponent = failures.count.checked_sub(subject.1.free_failures);
            if let Some(exponent) = exponent {
                let delay = Duration::from_secs(1_u64.checked_shl(exponent).unwrap_or(u64::MAX));
                failures.refused_until = now.saturating_add(delay.min(subject.1.max_delay));
            }
        }
        Ok(())
    }

    /// Forgets the failures of an account that has logged in, and the attempt of its address.
    pub(super) fn succeed(&mut self, account: Subject, address: Option<Subject>) {
        self.0.remove(&account);
        let address = address.and_then(|address| self.0.get_mut(&address));
        if let Some(failures) = address {
            failures.count = failures.count.saturating_sub(1);
            failures.refused_until = Duration::ZERO;
        }
    }

    /// Removes expired failures.
    pub(super) fn prune(&mut self, now: Duration) {
        self.0
            .retain(|_, failures| now.saturating_sub(failures.latest) < MEMORY);
    }

    /// Keeps the map bounded, also while many addresses try many names: the oldest entries go first.
    fn make_room(&mut self, now: Duration) {
        if self.0.len() < MAX_ENTRIES {
            return;
        }
        self.prune(now);
        if self.0.len() >= MAX_ENTRIES {
            let mut ages: Vec<Duration> = self.0.values().map(|entry| entry.latest).collect();
            let (_, middle, _) = ages.select_nth_unstable(MAX_ENTRIES / 2);
            let middle = *middle;
            self.0.retain(|_, failures| failures.latest > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delay_doubles_up_to_the_longest() {
        let mut back_off = BackOff::default();
        let account = [Subject::account("ada")];
        for _ in 0..5 {
            assert_eq!(back_off.begin(&account, SECOND), Ok(()));
        }
        let mut now = SECOND;
        let mut delays = Vec::new();
        for _ in 0..8 {
            let wait = back_off.begin(&account, now).unwrap_err();
            delays.push(wait.as_secs());
            now += wait;
            assert_eq!(back_off.begin(&account, now), Ok(()));
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(back_off.begin(&[Subject::account("bob")], now), Ok(()));
    }

    #[test]
    fn success_forgets_the_account() {
        let mut back_off = BackOff::default();
        let account = Subject::account("ada");
        let address = Subject::address("192.0.2.1".parse().unwrap());
        for _ in 0..100 {
            back_off.begin(&[account, address], SECOND).unwrap();
            back_off.succeed(account, Some(address));
        }
    }

    #[test]
    fn an_address_counts_for_all_names() {
        let mut back_off = BackOff::default();
        let address = |text: &str| Subject::address(text.parse().unwrap());
        for number in 0..20_u64 {
            let account = Subject::account(&number.to_string());
            let network = address(&format!("2001:db8:0:1::{number:x}"));
            assert_eq!(back_off.begin(&[account, network], SECOND), Ok(()));
        }
        let account = Subject::account("next");
        let same = address("2001:db8:0:1:ffff::1");
        assert_eq!(back_off.begin(&[account, same], SECOND), Err(SECOND));
        let other = address("2001:db8:0:2::1");
        assert_eq!(back_off.begin(&[account, other], SECOND), Ok(()));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }

    #[test]
    fn memory_is_bounded() {
        let mut back_off = BackOff::default();
        for number in 0..30_000_u64 {
            let account = Subject::account(&number.to_string());
            let now = Duration::from_millis(number);
            back_off.begin(&[account], now).unwrap();
            assert!(back_off.0.len() <= MAX_ENTRIES);
        }
    }
}
