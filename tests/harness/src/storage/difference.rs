//! The differences between two snapshots, as JSON and as text.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{StoredDocument, StoredWakeup};

/// The changes between two snapshots, with the names of [`super::Snapshot`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Documents.
    #[serde(skip_serializing_if = "Changes::is_empty")]
    pub documents: Changes<StoredDocument>,
    /// Secrets, as digests.
    #[serde(skip_serializing_if = "Changes::is_empty")]
    pub secrets: Changes<String>,
    /// Wakeups.
    #[serde(skip_serializing_if = "Changes::is_empty")]
    pub wakeups: Changes<StoredWakeup>,
}

/// The changes of one kind of items, by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changes<T> {
    /// The new items.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub added: BTreeMap<String, T>,
    /// The changed items.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, Change<T>>,
    /// The removed items.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub removed: BTreeMap<String, T>,
}

/// A change of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change<T> {
    /// The old value.
    pub before: T,
    /// The new value.
    pub after: T,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self {
            added: BTreeMap::new(),
            changed: BTreeMap::new(),
            removed: BTreeMap::new(),
        }
    }
}

impl<T> Changes<T> {
    /// Returns whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl<T: Clone + PartialEq> Changes<T> {
    pub(super) fn between(before: &BTreeMap<String, T>, after: &BTreeMap<String, T>) -> Self {
        let only_in = |these: &BTreeMap<String, T>, others: &BTreeMap<String, T>| {
            let alone = these.iter().filter(|(name, _)| !others.contains_key(*name));
            alone
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        let changed = before.iter().filter_map(|(name, was)| {
            let is = after.get(name).filter(|is| *is != was)?;
            let change = Change {
                before: was.clone(),
                after: is.clone(),
            };
            Some((name.clone(), change))
        });
        Self {
            added: only_in(after, before),
            changed: changed.collect(),
            removed: only_in(before, after),
        }
    }
}

impl Difference {
    /// Returns whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.secrets.is_empty() && self.wakeups.is_empty()
    }
}

impl fmt::Display for Difference {
    /// Formats a line for each item: `+` added, `~` changed, `-` removed. The fields of a changed item follow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        section(f, "document", &self.documents)?;
        section(f, "secret", &self.secrets)?;
        section(f, "wakeup", &self.wakeups)
    }
}

fn section<T: Serialize>(
    f: &mut fmt::Formatter<'_>,
    kind: &str,
    changes: &Changes<T>,
) -> fmt::Result {
    for (name, value) in &changes.added {
        writeln!(f, "+ {kind} {name} {}", json(value))?;
    }
    for (name, change) in &changes.changed {
        writeln!(f, "~ {kind} {name}")?;
        fields(f, "", &json(&change.before), &json(&change.after))?;
    }
    for name in changes.removed.keys() {
        writeln!(f, "- {kind} {name}")?;
    }
    Ok(())
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Writes the innermost fields that differ, with their paths.
fn fields(f: &mut fmt::Formatter<'_>, path: &str, before: &Value, after: &Value) -> fmt::Result {
    if before == after {
        return Ok(());
    }
    let (Value::Object(was), Value::Object(is)) = (before, after) else {
        let place = path.trim_start_matches('.');
        let place = if place.is_empty() { "value" } else { place };
        return writeln!(f, "    {place}: {before} -> {after}");
    };
    let mut names: Vec<&String> = was.keys().chain(is.keys()).collect();
    names.sort();
    names.dedup();
    let absent = Value::Null;
    for name in names {
        let was = was.get(name).unwrap_or(&absent);
        let is = is.get(name).unwrap_or(&absent);
        fields(f, &format!("{path}.{name}"), was, is)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use relation_host::types::Timestamp;
    use serde_json::json;

    use super::super::Snapshot;
    use super::*;

    fn stored(version: u64, body: Value) -> StoredDocument {
        StoredDocument {
            hierarchy: "sys.P".parse().unwrap(),
            version,
            keys: BTreeMap::new(),
            body,
        }
    }

    #[test]
    fn difference_lists_added_changed_and_removed() {
        let mut before = Snapshot::default();
        let mut after = Snapshot::default();
        before.documents.insert(
            "data/A/1".into(),
            stored(1, json!({ "state": "new", "same": 1 })),
        );
        after.documents.insert(
            "data/A/1".into(),
            stored(2, json!({ "state": "old", "same": 1 })),
        );
        before
            .secrets
            .insert("data/A/1#token".into(), "sha256:1".into());
        let waiting = StoredWakeup {
            due: Timestamp(5),
            deadline: None,
            payload: "p".into(),
            attempts: 0,
        };
        after.wakeups.insert("data/A/1#refresh".into(), waiting);
        let difference = before.difference(&after);
        assert_eq!(
            difference.to_string(),
            "~ document data/A/1\n    body.state: \"new\" -> \"old\"\n    version: 1 -> 2\n\
             - secret data/A/1#token\n\
             + wakeup data/A/1#refresh {\"attempts\":0,\"due\":5,\"payload\":\"p\"}\n"
        );
        assert!(before.difference(&before).is_empty());
    }
}
