//! Counts what came of wakeups: how many calls were made, and how the customers stand after them.

use std::collections::{HashMap, HashSet};

use crate::types::Reference;

/// The counted effects of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Webex gave new tokens.
    pub refreshed: bool,
    /// How the connection stands; none: the call says nothing of it.
    pub condition: Option<Condition>,
    /// Whether an import succeeded; none: it was no import.
    pub imported: Option<bool>,
}

/// How a connection stands, by who acts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It works.
    Working,
    /// The last attempt failed for a passing reason, and is repeated.
    Retrying,
    /// It does not work, or not as it should, until a person connects it again.
    NeedsPerson,
}

/// The counts of a dispatcher's run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Wakeups answered.
    pub done: u64,
    /// Calls that failed, and whose wakeup is due again later.
    pub failed: u64,
    /// Refreshes for which Webex gave new tokens.
    pub refreshed: u64,
    /// Customers whose last attempt failed for a passing reason, and is repeated.
    pub retrying: u64,
    /// Customers that a person has to connect again.
    pub need_person: u64,
    /// Customers whose last import failed.
    pub failed_imports: u64,
}

/// The counts so far, with only those customers whose connection or import has a problem.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Summary,
    unwell: HashMap<Reference, Condition>,
    not_imported: HashSet<Reference>,
}

impl Tally {
    /// Counts a wakeup that was answered.
    pub fn done(&mut self, subject: &Reference, effect: Effect) {
        self.counts.done += 1;
        self.add(subject, effect);
    }

    /// Counts a call that failed.
    pub fn failed(&mut self, subject: &Reference, effect: Effect) {
        self.counts.failed += 1;
        self.add(subject, effect);
    }

    /// The counts as they are.
    pub fn summary(&self) -> Summary {
        let standing = |wanted| {
            let all = self.unwell.values();
            all.filter(|condition| **condition == wanted).count() as u64
        };
        Summary {
            retrying: standing(Condition::Retrying),
            need_person: standing(Condition::NeedsPerson),
            failed_imports: self.not_imported.len() as u64,
            ..self.counts
        }
    }

    fn add(&mut self, subject: &Reference, effect: Effect) {
        let Effect {
            refreshed,
            condition,
            imported,
        } = effect;
        self.counts.refreshed += u64::from(refreshed);
        match condition {
            Some(Condition::Working) => {
                self.unwell.remove(subject);
            }
            Some(unwell) => {
                self.unwell.insert(subject.clone(), unwell);
            }
            None => {}
        }
        match imported {
            Some(true) => {
                self.not_imported.remove(subject);
            }
            Some(false) => {
                self.not_imported.insert(subject.clone());
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
    fn a_customer_counts_once_and_as_it_stands_last() {
        let [one, other] = [0; 2].map(|_| Reference::record(Pkid::random()));
        let stands = |condition| Effect {
            condition: Some(condition),
            ..Effect::default()
        };
        let mut tally = Tally::default();
        tally.done(&one, stands(Condition::NeedsPerson));
        tally.done(&one, stands(Condition::NeedsPerson));
        tally.failed(&other, stands(Condition::Retrying));
        let import = |imported| Effect {
            imported: Some(imported),
            ..Effect::default()
        };
        tally.failed(&other, import(false));
        let summary = tally.summary();
        assert_eq!((summary.done, summary.failed), (2, 2));
        assert_eq!((summary.need_person, summary.retrying), (1, 1));
        assert_eq!(summary.failed_imports, 1);

        let refreshed = Effect {
            refreshed: true,
            ..stands(Condition::Working)
        };
        tally.done(&other, refreshed);
        tally.done(&other, import(true));
        let expected = Summary {
            done: 4,
            failed: 2,
            refreshed: 1,
            need_person: 1,
            ..Summary::default()
        };
        assert_eq!(tally.summary(), expected);
    }
}
