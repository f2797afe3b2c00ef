//! Counts of calls for wakeups, and of the health of connections after them.

use std::collections::{HashMap, HashSet};

use crate::types::Reference;

/// The counted effects of a call for a wakeup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WakeupEffect {
    /// Whether Webex issued new tokens.
    pub refreshed: bool,
    /// The health of the connection; `None`: not reported by the call.
    pub health: Option<ConnectionHealth>,
    /// Whether an import succeeded; `None`: the call was not an import.
    pub imported: Option<bool>,
}

/// The health of a connection, by who acts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ConnectionHealth {
    /// The connection works.
    Working,
    /// The last attempt failed temporarily and will be repeated.
    Retrying,
    /// Attempts fail until the operator corrects a setting, a policy, a limit or a proxy.
    NeedsOperator,
    /// The connection does not work properly until a person connects it again.
    NeedsPerson,
}

/// The counts of a dispatcher's run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DispatchSummary {
    /// Wakeups whose call succeeded.
    pub done: u64,
    /// Failed calls, whose wakeup is due again later.
    pub failed: u64,
    /// Refreshes for which Webex issued new tokens.
    pub refreshed: u64,
    /// Customers whose last attempt failed temporarily and will be repeated.
    pub retrying: u64,
    /// Customers whose attempts fail until the operator corrects a setting, a policy, a limit or a proxy.
    pub need_operator: u64,
    /// Customers that a person has to connect again.
    pub need_person: u64,
    /// Customers whose last import failed.
    pub failed_imports: u64,
}

/// The counts so far, and the customers whose connection or import has a problem.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: DispatchSummary,
    unhealthy: HashMap<Reference, ConnectionHealth>,
    failed_imports: HashSet<Reference>,
}

impl Tally {
    /// Returns the current counts.
    pub fn summary(&self) -> DispatchSummary {
        let count_with = |wanted| {
            let all = self.unhealthy.values();
            all.filter(|health| **health == wanted).count() as u64
        };
        DispatchSummary {
            retrying: count_with(ConnectionHealth::Retrying),
            need_operator: count_with(ConnectionHealth::NeedsOperator),
            need_person: count_with(ConnectionHealth::NeedsPerson),
            failed_imports: self.failed_imports.len() as u64,
            ..self.counts
        }
    }

    /// Counts a call for a wakeup, and whether the call succeeded.
    pub fn add(&mut self, subject: &Reference, succeeded: bool, effect: WakeupEffect) {
        let WakeupEffect {
            refreshed,
            health,
            imported,
        } = effect;
        self.counts.done += u64::from(succeeded);
        self.counts.failed += u64::from(!succeeded);
        self.counts.refreshed += u64::from(refreshed);
        match health {
            Some(ConnectionHealth::Working) => {
                self.unhealthy.remove(subject);
            }
            Some(unhealthy) => {
                self.unhealthy.insert(subject.clone(), unhealthy);
            }
            None => {}
        }
        match imported {
            Some(true) => {
                self.failed_imports.remove(subject);
            }
            Some(false) => {
                self.failed_imports.insert(subject.clone());
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Pkid;

    #[test]
    fn customer_counts_once_with_its_last_health() {
        let [one, other] = [0; 2].map(|_| Reference::record(Pkid::random()));
        let with_health = |health| WakeupEffect {
            health: Some(health),
            ..WakeupEffect::default()
        };
        let mut tally = Tally::default();
        tally.add(&one, true, with_health(ConnectionHealth::NeedsPerson));
        tally.add(&one, true, with_health(ConnectionHealth::NeedsPerson));
        tally.add(&other, false, with_health(ConnectionHealth::Retrying));
        let import = |imported| WakeupEffect {
            imported: Some(imported),
            ..WakeupEffect::default()
        };
        tally.add(&other, false, import(false));
        let summary = tally.summary();
        assert_eq!((summary.done, summary.failed), (2, 2));
        assert_eq!((summary.need_person, summary.retrying), (1, 1));
        assert_eq!(summary.failed_imports, 1);

        let refreshed = WakeupEffect {
            refreshed: true,
            ..with_health(ConnectionHealth::Working)
        };
        tally.add(&other, true, refreshed);
        tally.add(&other, true, import(true));
        let expected = DispatchSummary {
            done: 4,
            failed: 2,
            refreshed: 1,
            need_person: 1,
            ..DispatchSummary::default()
        };
        assert_eq!(tally.summary(), expected);
    }
}
