//! The entries of one listing of an organization: generated ones, and changes of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::generated::Blueprint;
use crate::resources::Resource;

/// Changes of generated entries, and further entries after them.
///
/// An entry has a fixed position: its index among the generated ones, or a later number. Pages
/// therefore neither repeat nor skip entries when others are removed between two requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collection {
    /// Number of generated entries, removed ones included.
    generated: usize,
    /// Changed and added entries by position; `None` is a removed one.
    changes: BTreeMap<usize, Option<Value>>,
    /// Positions of added entries by id.
    added: HashMap<String, usize>,
}

/// A collection with what is needed to generate its entries.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) resource: &'static Resource,
    pub(crate) blueprint: &'a Blueprint,
}

/// A list of one organization at one moment.
pub(crate) struct List {
    pub(crate) resource: &'static Resource,
    pub(crate) blueprint: Blueprint,
    pub(crate) collection: Arc<Collection>,
}

impl List {
    fn source(&self) -> Source<'_> {
        Source {
            resource: self.resource,
            blueprint: &self.blueprint,
        }
    }

    /// Returns all entries.
    pub(crate) fn entries(&self) -> Vec<Value> {
        let positions = self.collection.positions(0);
        positions
            .filter_map(|position| self.get(position))
            .collect()
    }

    /// Returns the entry at this position.
    pub(crate) fn get(&self, position: usize) -> Option<Value> {
        self.collection.get(position, self.source())
    }

    /// Returns at least the fields of an entry that filters read.
    pub(crate) fn get_filtered(&self, position: usize) -> Option<Value> {
        self.collection.get_filtered(position, self.source())
    }

    /// Returns the entry with this id.
    pub(crate) fn find(&self, id: &str) -> Option<Value> {
        self.get(self.collection.find(id, self.source())?)
    }
}

impl Collection {
    /// Creates a collection with this many generated entries.
    pub(crate) fn generated(count: usize) -> Self {
        Self {
            generated: count,
            ..Self::default()
        }
    }

    /// Creates a collection of these entries.
    pub(crate) fn with_entries(entries: Vec<Value>, resource: &Resource) -> Self {
        let mut collection = Self::default();
        for entry in entries {
            collection.add(entry, resource);
        }
        collection
    }

    /// Returns the position after the last entry.
    fn end(&self) -> usize {
        let last = self.changes.last_key_value();
        last.map_or(0, |(position, _)| position + 1)
            .max(self.generated)
    }

    fn is_present(&self, position: usize) -> bool {
        match self.changes.get(&position) {
            Some(entry) => entry.is_some(),
            None => position < self.generated,
        }
    }

    /// Returns the positions of all entries from this one on.
    pub(crate) fn positions(&self, from: usize) -> impl Iterator<Item = usize> {
        (from..self.end()).filter(|position| self.is_present(*position))
    }

    /// Returns the positions of changed and added entries.
    pub(crate) fn changed_positions(&self) -> impl Iterator<Item = usize> {
        self.changes.keys().copied()
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        let removed = self.changes.range(..self.generated);
        let removed = removed.filter(|(_, entry)| entry.is_none()).count();
        let added = self.changes.range(self.generated..);
        self.generated - removed + added.filter(|(_, entry)| entry.is_some()).count()
    }

    fn get_filtered(&self, position: usize, source: Source<'_>) -> Option<Value> {
        match source.resource.generate_filtered {
            Some(generate) if !self.changes.contains_key(&position) => {
                (position < self.generated).then(|| generate(source.blueprint, position))
            }
            _ => self.get(position, source),
        }
    }

    fn get(&self, position: usize, source: Source<'_>) -> Option<Value> {
        match self.changes.get(&position) {
            Some(entry) => entry.clone(),
            None if position < self.generated => {
                Some((source.resource.generate)(source.blueprint, position))
            }
            None => None,
        }
    }

    /// Returns the position of the entry with this id.
    fn find(&self, id: &str, source: Source<'_>) -> Option<usize> {
        let generated = || {
            let index = source.resource.generated_index(source.blueprint, id);
            // Later positions are those of added entries.
            index.filter(|index| *index < self.generated)
        };
        let position = self.added.get(id).copied().or_else(generated);
        position.filter(|position| self.is_present(*position))
    }

    /// Adds an entry, or replaces the one with its id.
    pub(crate) fn put(&mut self, entry: Value, source: Source<'_>) {
        match self.find(source.resource.id_of(&entry), source) {
            Some(position) => {
                self.changes.insert(position, Some(entry));
            }
            None => self.add(entry, source.resource),
        }
    }

    fn add(&mut self, entry: Value, resource: &Resource) {
        let position = self.end();
        self.added
            .insert(resource.id_of(&entry).to_owned(), position);
        self.changes.insert(position, Some(entry));
    }

    /// Removes the entry with this id. Returns false if there is none.
    pub(crate) fn remove(&mut self, id: &str, source: Source<'_>) -> bool {
        let Some(position) = self.find(id, source) else {
            return false;
        };
        self.changes.insert(position, None);
        true
    }

    /// Changes the number of generated entries. Changes of those that remain, and added entries, stay.
    pub(crate) fn resize(&mut self, count: usize, resource: &Resource) {
        let added = self.changes.split_off(&self.generated);
        self.changes.split_off(&count);
        self.added.clear();
        self.generated = count;
        for entry in added.into_values().flatten() {
            self.add(entry, resource);
        }
    }
}
