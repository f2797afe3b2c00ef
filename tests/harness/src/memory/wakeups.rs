//! Wakeups: scheduled, cancelled, settled, listed, and found when they are due.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use relation_host::store::DueWakeup;
use relation_host::types::{Reference, Timestamp, Wakeup};

/// Where a wakeup stands among all: by due time, subject and id.
pub(super) type Position = (Timestamp, Reference, String);

/// By subject and id, and in the order of their due times.
#[derive(Clone, Debug, Default)]
pub(super) struct Wakeups {
    of: BTreeMap<Reference, BTreeMap<String, DueWakeup>>,
    by_due: BTreeSet<Position>,
    // By subject and id: what the clock showed when it was scheduled.
    scheduled: BTreeMap<(Reference, String), Timestamp>,
}

pub(super) fn position(found: &DueWakeup) -> Position {
    let Wakeup {
        due, subject, id, ..
    } = &found.wakeup;
    (*due, subject.clone(), id.clone())
}

impl Wakeups {
    /// Creates it, or moves the one of that subject and id.
    pub(super) fn schedule(&mut self, wakeup: Wakeup, revision: u64, now: Timestamp) {
        self.cancel(&wakeup.subject, &wakeup.id);
        let due = DueWakeup {
            wakeup,
            revision,
            attempts: 0,
        };
        self.insert(due, now);
    }

    pub(super) fn cancel(&mut self, subject: &Reference, id: &str) {
        let Some(ids) = self.of.get_mut(subject) else {
            return;
        };
        if let Some(old) = ids.remove(id) {
            self.by_due.remove(&position(&old));
            self.scheduled.remove(&(subject.clone(), id.to_owned()));
        }
        if ids.is_empty() {
            self.of.remove(subject);
        }
    }

    pub(super) fn cancel_all(&mut self, subject: &Reference) {
        for old in self.of.remove(subject).iter().flat_map(BTreeMap::values) {
            self.by_due.remove(&position(old));
            let key = (subject.clone(), old.wakeup.id.clone());
            self.scheduled.remove(&key);
        }
    }

    /// Removes an answered wakeup, unless it was scheduled anew.
    pub(super) fn done(&mut self, answered: &DueWakeup) {
        if self.current(answered).is_some() {
            self.cancel(&answered.wakeup.subject, &answered.wakeup.id);
        }
    }

    /// Makes a wakeup due again at `at`, as of `now`, unless the wakeup was scheduled again.
    pub(super) fn retry(&mut self, failed: &DueWakeup, at: Timestamp, now: Timestamp) {
        if let Some(current) = self.current(failed) {
            let mut later = current.clone();
            later.wakeup.due = at;
            later.attempts += 1;
            self.cancel(&later.wakeup.subject, &later.wakeup.id);
            self.insert(later, now);
        }
    }

    /// Makes those due that were scheduled after `latest`, and says how many they were and what the
    /// clock showed at most.
    pub(super) fn redate(&mut self, now: Timestamp, latest: Timestamp) -> (u64, Option<Timestamp>) {
        let ahead: Vec<_> = self
            .scheduled
            .iter()
            .filter(|(_, scheduled)| **scheduled > latest)
            .map(|(key, scheduled)| (key.clone(), *scheduled))
            .collect();
        for ((subject, id), _) in &ahead {
            let found = self.of.get(subject).and_then(|ids| ids.get(id)).cloned();
            if let Some(mut found) = found {
                self.cancel(subject, id);
                found.wakeup.due = found.wakeup.due.min(now);
                self.insert(found, now);
            }
        }
        let latest = ahead.iter().map(|(_, scheduled)| *scheduled).max();
        (ahead.len() as u64, latest)
    }

    /// Whether it waits to be answered, just as it was found: a failed answer that was recorded
    /// meanwhile counts as well.
    pub(super) fn is_waiting(&self, found: &DueWakeup) -> bool {
        let current = self.current(found);
        current.is_some_and(|current| current.attempts == found.attempts)
    }

    /// Those of one subject, the earliest first.
    pub(super) fn of_subject(&self, subject: &Reference) -> Vec<DueWakeup> {
        let ids = self.of.get(subject);
        let mut found: Vec<DueWakeup> = ids.iter().flat_map(|ids| ids.values()).cloned().collect();
        found.sort_by_key(|found| found.wakeup.due);
        found
    }

    /// Those behind `after`, by due time.
    pub(super) fn upcoming(&self, after: Option<Position>) -> impl Iterator<Item = &DueWakeup> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let places = self.by_due.range((from, Bound::Unbounded));
        places.filter_map(|place| self.at(place))
    }

    /// The first `limit` that are due at `now`, by deadline, one for each subject; without those of a
    /// kind and of subjects that are `held`.
    pub(super) fn due(
        &self,
        now: Timestamp,
        limit: usize,
        without: Option<&str>,
        held: impl Fn(&Reference) -> bool,
    ) -> Vec<DueWakeup> {
        let ripe = self.by_due.iter().take_while(|(due, ..)| *due <= now);
        let mut found: Vec<&DueWakeup> = ripe
            .filter(|(_, subject, _)| !held(subject))
            .filter_map(|place| self.at(place))
            .filter(|found| Some(found.wakeup.kind()) != without)
            .collect();
        // What was in the order of due times stays so among equal deadlines.
        found.sort_by_key(|found| found.wakeup.deadline.unwrap_or(Timestamp(u64::MAX)));
        let mut subjects = BTreeSet::new();
        found.retain(|found| subjects.insert(&found.wakeup.subject));
        found.into_iter().take(limit).cloned().collect()
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.by_due.first().map(|(due, ..)| *due)
    }

    fn at(&self, (_, subject, id): &Position) -> Option<&DueWakeup> {
        self.of.get(subject)?.get(id)
    }

    /// The wakeup that was found, unless it was scheduled anew.
    fn current(&self, found: &DueWakeup) -> Option<&DueWakeup> {
        let current = self.of.get(&found.wakeup.subject)?.get(&found.wakeup.id)?;
        (current.revision == found.revision).then_some(current)
    }

    fn insert(&mut self, wakeup: DueWakeup, now: Timestamp) {
        self.by_due.insert(position(&wakeup));
        let Wakeup { subject, id, .. } = &wakeup.wakeup;
        let (subject, id) = (subject.clone(), id.clone());
        self.scheduled.insert((subject.clone(), id.clone()), now);
        self.of.entry(subject).or_default().insert(id, wakeup);
    }
}
