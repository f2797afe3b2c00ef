//! The alerts in a call's commits, which observers are told of.

use std::collections::HashMap;

use serde::Deserialize;

use crate::observer::{AlertChange, AlertChanged, Observers};
use crate::store::Change;
use crate::types::{ALERT_MODEL, Document, Reference};

/// The alerts that a call has read. They tell a new alert from one that was repeated or moved.
#[derive(Debug, Default)]
pub(crate) struct KnownAlerts(HashMap<Reference, Document>);

/// A change of an alert in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommittedAlert {
    change: AlertChange,
    alert: Reference,
    body: AlertBody,
    document: Option<Document>,
}

/// The part of an alert's body that the host reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct AlertBody {
    code: String,
    count: u32,
}

impl AlertBody {
    /// Reads the body. An unreadable one has no code and no count.
    fn parse(document: &Document) -> Self {
        serde_json::from_str(&document.body).unwrap_or_default()
    }
}

impl KnownAlerts {
    /// Notes a document that the call has read.
    pub(crate) fn note_read(&mut self, document: &Document) {
        if document.reference.model == ALERT_MODEL {
            self.0.insert(document.reference.clone(), document.clone());
        }
    }

    /// Returns an alert that the call has read or committed.
    pub(super) fn get(&self, alert: &Reference) -> Option<&Document> {
        self.0.get(alert)
    }

    /// Returns the alerts that `changes` raise, repeat or clear.
    pub(crate) fn find_changed(&self, changes: &[Change]) -> Vec<CommittedAlert> {
        let changed = changes.iter().filter_map(|change| match change {
            Change::Put(document) if document.reference.model == ALERT_MODEL => {
                let body = AlertBody::parse(document);
                let change = match self.0.get(&document.reference).map(AlertBody::parse) {
                    Some(earlier) if earlier.count >= body.count => return None,
                    None if body.count <= 1 => AlertChange::Raised,
                    _ => AlertChange::Repeated,
                };
                Some(CommittedAlert {
                    change,
                    alert: document.reference.clone(),
                    body,
                    document: Some(document.clone()),
                })
            }
            Change::Delete(alert) if alert.model == ALERT_MODEL => {
                let document = self.0.get(alert).cloned();
                Some(CommittedAlert {
                    change: AlertChange::Cleared,
                    alert: alert.clone(),
                    body: document.as_ref().map(AlertBody::parse).unwrap_or_default(),
                    document,
                })
            }
            _ => None,
        });
        changed.collect()
    }

    /// Notes the alerts as they are after a commit.
    pub(crate) fn note_committed(&mut self, alerts: Vec<CommittedAlert>) {
        for alert in alerts {
            match alert.document {
                Some(document) if alert.change != AlertChange::Cleared => {
                    self.0.insert(alert.alert, document);
                }
                _ => {
                    self.0.remove(&alert.alert);
                }
            }
        }
    }
}

/// Tells the observers of the alerts in a commit, which the store has.
pub(crate) fn notify(
    observers: &Observers,
    alerts: &[CommittedAlert],
    subject: &Reference,
    transaction: &str,
) {
    for alert in alerts {
        let event = AlertChanged {
            change: alert.change,
            alert: &alert.alert,
            code: alert.document.as_ref().map(|_| alert.body.code.as_str()),
            count: alert.body.count,
            document: alert.document.as_ref(),
            subject,
            transaction,
        };
        observers.notify(|observer| observer.alert_changed(&event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Pkid;

    fn alert(reference: &Reference, count: u32, hierarchy: &str) -> Document {
        Document {
            reference: reference.clone(),
            hierarchy: hierarchy.parse().unwrap(),
            version: 0,
            body: format!(r#"{{"code": "WEBEX_REAUTHORIZE", "count": {count}}}"#),
            keys: Vec::new(),
        }
    }

    #[test]
    fn alert_is_raised_repeated_moved_and_cleared() {
        let reference = Reference::new(ALERT_MODEL, Pkid::random());
        let mut known = KnownAlerts::default();
        for (change, expected) in [
            (Change::Put(alert(&reference, 1, "sys.A")), "raised 1"),
            (Change::Put(alert(&reference, 2, "sys.A")), "repeated 2"),
            (Change::Put(alert(&reference, 2, "sys.B")), ""),
            (Change::Delete(reference.clone()), "cleared 2"),
            (Change::Put(alert(&reference, 1, "sys.B")), "raised 1"),
        ] {
            let changed = known.find_changed(&[change]);
            let text = changed.iter().map(|alert| {
                assert_eq!(alert.body.code, "WEBEX_REAUTHORIZE");
                format!("{} {}", alert.change, alert.body.count)
            });
            assert_eq!(text.collect::<String>(), expected);
            known.note_committed(changed);
        }
    }

    #[test]
    fn alert_that_was_not_read_is_judged_by_its_count() {
        let reference = Reference::new(ALERT_MODEL, Pkid::random());
        let known = KnownAlerts::default();
        let changes = [
            Change::Put(alert(&reference, 3, "sys.A")),
            Change::Delete(reference.clone()),
            Change::Delete(Reference::record(Pkid::random())),
        ];
        let changed = known.find_changed(&changes);
        let kinds: Vec<_> = changed.iter().map(|alert| alert.change).collect();
        assert_eq!(kinds, [AlertChange::Repeated, AlertChange::Cleared]);
        assert_eq!(changed[1].document, None);
    }

    #[test]
    fn unreadable_alert_is_reported_without_a_code() {
        let reference = Reference::new(ALERT_MODEL, Pkid::random());
        let mut broken = alert(&reference, 1, "sys.A");
        broken.body = r#"{"count": "many"}"#.to_owned();
        let mut known = KnownAlerts::default();
        known.note_read(&broken);
        let changed = known.find_changed(&[Change::Put(alert(&reference, 1, "sys.A"))]);
        assert_eq!(changed[0].change, AlertChange::Repeated);
        let changed = known.find_changed(&[Change::Delete(reference)]);
        assert_eq!(changed[0].body, AlertBody::default());
    }
}
