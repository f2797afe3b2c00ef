//! Wakeups: scheduled, canceled, settled, listed, and found when due.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use async_trait::async_trait;
use relation_host::store::cursor::{Listing, build_page, validate_limit};
use relation_host::store::{DeadlineCounts, DueWakeup, KindFilter, StoreError, WakeupStore};
use relation_host::types::{Hierarchy, Page, Reference, Timestamp, Wakeup};

use super::state::State;
use super::{MemoryStore, parse_cursor_part, take_page};

/// The sort key of a wakeup: due time, subject and id.
pub(super) type Position = (Timestamp, Reference, String);

/// The wakeups by subject and id, and by due time.
#[derive(Clone, Debug, Default)]
pub(super) struct Wakeups {
    by_subject: BTreeMap<Reference, BTreeMap<String, DueWakeup>>,
    by_due: BTreeSet<Position>,
    // The clock's time when each wakeup was scheduled, by subject and id.
    scheduled: BTreeMap<(Reference, String), Timestamp>,
}

pub(super) fn position(found: &DueWakeup) -> Position {
    let Wakeup {
        due, subject, id, ..
    } = &found.wakeup;
    (*due, subject.clone(), id.clone())
}

impl Wakeups {
    /// Creates a wakeup, or replaces the one with that subject and id.
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
        let Some(ids) = self.by_subject.get_mut(subject) else {
            return;
        };
        if let Some(old) = ids.remove(id) {
            self.by_due.remove(&position(&old));
            self.scheduled.remove(&(subject.clone(), id.to_owned()));
        }
        if ids.is_empty() {
            self.by_subject.remove(subject);
        }
    }

    pub(super) fn cancel_all(&mut self, subject: &Reference) {
        for old in self
            .by_subject
            .remove(subject)
            .iter()
            .flat_map(BTreeMap::values)
        {
            self.by_due.remove(&position(old));
            let key = (subject.clone(), old.wakeup.id.clone());
            self.scheduled.remove(&key);
        }
    }

    /// Removes a wakeup that has run, unless it was scheduled again.
    pub(super) fn done(&mut self, settled: &DueWakeup) {
        if self.current(settled).is_some() {
            self.cancel(&settled.wakeup.subject, &settled.wakeup.id);
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

    /// Makes wakeups due that were scheduled after `latest`. Returns their number and the latest time of
    /// scheduling.
    pub(super) fn redate(&mut self, now: Timestamp, latest: Timestamp) -> (u64, Option<Timestamp>) {
        let ahead: Vec<_> = self
            .scheduled
            .iter()
            .filter(|(_, scheduled)| **scheduled > latest)
            .map(|(key, scheduled)| (key.clone(), *scheduled))
            .collect();
        for ((subject, id), _) in &ahead {
            let found = self
                .by_subject
                .get(subject)
                .and_then(|ids| ids.get(id))
                .cloned();
            if let Some(mut found) = found {
                self.cancel(subject, id);
                found.wakeup.due = found.wakeup.due.min(now);
                self.insert(found, now);
            }
        }
        let latest = ahead.iter().map(|(_, scheduled)| *scheduled).max();
        (ahead.len() as u64, latest)
    }

    /// Returns whether the wakeup still waits, with the same number of failed attempts.
    pub(super) fn is_waiting(&self, found: &DueWakeup) -> bool {
        let current = self.current(found);
        current.is_some_and(|current| current.attempts == found.attempts)
    }

    /// Returns the wakeups of one subject, earliest first.
    pub(super) fn of_subject(&self, subject: &Reference) -> Vec<DueWakeup> {
        let ids = self.by_subject.get(subject);
        let mut found: Vec<DueWakeup> = ids.iter().flat_map(|ids| ids.values()).cloned().collect();
        found.sort_by_key(|found| found.wakeup.due);
        found
    }

    /// Returns the wakeups after `after`, by due time.
    pub(super) fn upcoming(&self, after: Option<Position>) -> impl Iterator<Item = &DueWakeup> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let places = self.by_due.range((from, Bound::Unbounded));
        places.filter_map(|place| self.at(place))
    }

    /// Returns the first `limit` wakeups that are due at `now`, by deadline, at most one per subject. Leaves
    /// out wakeups of kinds that are not among `kinds`, and subjects that are `held`.
    pub(super) fn due(
        &self,
        now: Timestamp,
        limit: usize,
        kinds: KindFilter<'_>,
        held: impl Fn(&Reference) -> bool,
    ) -> Vec<DueWakeup> {
        let ready = self.by_due.iter().take_while(|(due, ..)| *due <= now);
        let mut found: Vec<&DueWakeup> = ready
            .filter(|(_, subject, _)| !held(subject))
            .filter_map(|place| self.at(place))
            .filter(|found| kinds.admits(found.wakeup.kind()))
            .collect();
        // The sort is stable: equal deadlines stay ordered by due time.
        found.sort_by_key(|found| found.wakeup.deadline.unwrap_or(Timestamp(u64::MAX)));
        let mut subjects = BTreeSet::new();
        found.retain(|found| subjects.insert(&found.wakeup.subject));
        found.into_iter().take(limit).cloned().collect()
    }

    pub(super) fn count_due(&self, now: Timestamp, at_most: u64) -> u64 {
        let due = self.by_due.iter().take_while(|(due, ..)| *due <= now);
        (due.count() as u64).min(at_most)
    }

    pub(super) fn next_due(&self, after: Option<Timestamp>) -> Option<Timestamp> {
        let mut due = self.by_due.iter().map(|(due, ..)| *due);
        due.find(|due| after.is_none_or(|after| *due > after))
    }

    fn at(&self, (_, subject, id): &Position) -> Option<&DueWakeup> {
        self.by_subject.get(subject)?.get(id)
    }

    /// Returns the stored wakeup, unless it was scheduled again.
    fn current(&self, found: &DueWakeup) -> Option<&DueWakeup> {
        let current = self
            .by_subject
            .get(&found.wakeup.subject)?
            .get(&found.wakeup.id)?;
        (current.revision == found.revision).then_some(current)
    }

    fn count_deadlines(&self, kind: &str, times: &[Timestamp], at_most: u64) -> DeadlineCounts {
        let all = self.by_subject.values().flat_map(BTreeMap::values);
        let of_kind = all.filter(|found| found.wakeup.kind() == kind);
        let deadlines = of_kind.filter_map(|found| found.wakeup.deadline);
        let deadlines: Vec<Timestamp> = deadlines.collect();
        let count = |time: &Timestamp| {
            let until = deadlines.iter().filter(|deadline| *deadline <= time);
            (until.count() as u64).min(at_most)
        };
        DeadlineCounts {
            earliest: deadlines.iter().min().copied(),
            counts: times.iter().map(count).collect(),
        }
    }

    fn insert(&mut self, wakeup: DueWakeup, now: Timestamp) {
        self.by_due.insert(position(&wakeup));
        let Wakeup { subject, id, .. } = &wakeup.wakeup;
        let (subject, id) = (subject.clone(), id.clone());
        self.scheduled.insert((subject.clone(), id.clone()), now);
        self.by_subject
            .entry(subject)
            .or_default()
            .insert(id, wakeup);
    }
}

#[async_trait]
impl WakeupStore for MemoryStore {
    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError> {
        self.with(|state| Ok(state.wakeups.of_subject(subject)))
    }

    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_wakeups(&self.id, hierarchy);
        let after = match cursor {
            Some(cursor) => {
                let [due, model, pkid, id] = listing.position(cursor)?;
                let subject = Reference::new(model, parse_cursor_part(&pkid)?);
                Some((Timestamp(parse_cursor_part(&due)?), subject, id))
            }
            None => None,
        };
        let found = self.with(|state| {
            let State {
                wakeups, documents, ..
            } = state;
            let here = |found: &&DueWakeup| match hierarchy {
                None => true,
                Some(node) => documents
                    .get(&found.wakeup.subject)
                    .is_some_and(|subject| node.contains(&subject.hierarchy)),
            };
            Ok(take_page(
                limit,
                wakeups.upcoming(after).filter(here).cloned(),
            ))
        })?;
        Ok(build_page(found, |last| {
            let (due, Reference { model, pkid }, id) = position(last);
            listing.cursor(&[&due.0.to_string(), &model, pkid.as_str(), &id])
        }))
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        kinds: KindFilter<'_>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        self.with(|state| {
            let held = |subject: &Reference| state.leases.busy(subject, now).is_some();
            Ok(state.wakeups.due(now, limit as usize, kinds, held))
        })
    }

    async fn count_due(&self, now: Timestamp, at_most: u64) -> Result<u64, StoreError> {
        self.with(|state| Ok(state.wakeups.count_due(now, at_most)))
    }

    async fn next_due(&self, after: Option<Timestamp>) -> Result<Option<Timestamp>, StoreError> {
        self.with(|state| Ok(state.wakeups.next_due(after)))
    }

    async fn count_deadlines(
        &self,
        kind: &str,
        times: &[Timestamp],
        at_most: u64,
    ) -> Result<DeadlineCounts, StoreError> {
        self.with(|state| Ok(state.wakeups.count_deadlines(kind, times, at_most)))
    }
}
