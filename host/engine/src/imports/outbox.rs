//! The outbox: a commit that changes an alert stores a notice of it, which a handler of the host delivers later.
//!
//! The notice is a document of the host with a wakeup that is due. Both are part of the commit, also in the stash. The
//! primary key of a notice is derived from the alert and its change, so repeating a commit adds no second notice.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Call, convert};
use crate::store::{Change, StoreError};
use crate::types::{
    ALERT_MODEL, AlertNotice, Document, Failure, Filter, Hierarchy, Key, NOTICE_MODEL,
    NoticeChange, Pkid, RECORD_KEY, Reference, Timestamp, Wakeup,
};
use crate::wakeup_kinds;

/// How long a commit waits for alerts that it deletes and that the call has not read.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// The number of documents in one page of a search.
const PAGE: u32 = 1000;
/// The length of an RFC 3339 time without its last second and its fraction. Several calls may raise an alert of the
/// installation within the same moment; they store one notice.
const TEN_SECONDS: usize = "2026-01-01T00:00:0".len();

/// The outbox of a host: see [`HostBuilder::outbox`](crate::HostBuilder::outbox).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    /// Further models of the host, such as the deliveries that a handler makes of a notice. The commit that deletes a
    /// record deletes their documents with the record's key ([`RECORD_KEY`]), and its notices.
    pub record_models: Vec<String>,
}

impl Call {
    /// Adds the notices of a commit to its changes. A commit that deletes the call's record adds none, and deletes the
    /// record's notices.
    ///
    /// # Errors
    /// The notices of a deleted record cannot be read. Another commit does not fail.
    pub(super) async fn extend_with_notices(
        &self,
        changes: &mut Vec<Change>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let Some(outbox) = &self.services.outbox else {
            return Ok(());
        };
        let record = self.lease.as_ref().map(|lease| &lease.subject);
        let deletes =
            |change: &Change| matches!(change, Change::Delete(deleted) if Some(deleted) == record);
        if let Some(record) = record
            && changes.iter().any(deletes)
        {
            let notices = self.find_documents_of(record, outbox).await;
            let notices = notices.map_err(|error| convert::store_failure(&error))?;
            changes.extend(notices.into_iter().map(Change::Delete));
            return Ok(());
        }
        let alerts = find_changed(changes);
        if alerts.is_empty() {
            return Ok(());
        }
        let unread = self.read_unknown(&alerts).await;
        let mut added = Vec::new();
        for (alert, stored) in alerts {
            let earlier = match self.known_alerts.get(alert) {
                Some(document) => Earlier::Document(document),
                None => unread.get(alert).map_or(Earlier::Absent, Found::as_earlier),
            };
            if let Some(mut notice) = derive_notice(alert, stored, earlier, now) {
                notice.content.record = record.filter(|record| notice.is_about(record)).cloned();
                self.journal
                    .id()
                    .clone_into(&mut notice.content.transaction);
                let node = notice.node.clone();
                // An alert that could not be read is at the node of the record, as far as known here.
                if let Some(node) = node.or_else(|| find_node(changes, record)) {
                    added.extend(notice.to_changes(node, now));
                }
            }
        }
        changes.extend(added);
        Ok(())
    }

    /// Finds the host's documents that are deleted with a record.
    async fn find_documents_of(
        &self,
        record: &Reference,
        outbox: &Outbox,
    ) -> Result<Vec<Reference>, StoreError> {
        let store = &self.services.store;
        let mut found = Vec::new();
        let models = outbox.record_models.iter().map(String::as_str);
        for model in std::iter::once(NOTICE_MODEL).chain(models) {
            let filter = Filter {
                model: model.to_owned(),
                hierarchy: None,
                equals: vec![record_key(record)],
            };
            let mut cursor: Option<String> = None;
            loop {
                let page = store.find_pkids(&filter, cursor.as_deref(), PAGE).await?;
                let pkids = page.items.into_iter();
                found.extend(pkids.map(|pkid| Reference::new(model, pkid)));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Reads the alerts that are deleted and that the call has not read. The commit does not wait for a store that does
    /// not respond: its notice is then without the alert.
    async fn read_unknown(
        &self,
        alerts: &BTreeMap<&Reference, Option<&Document>>,
    ) -> BTreeMap<Reference, Found> {
        let unknown = alerts
            .iter()
            .filter(|(alert, stored)| stored.is_none() && self.known_alerts.get(alert).is_none());
        let unknown: Vec<Reference> = unknown.map(|(alert, _)| (*alert).clone()).collect();
        if unknown.is_empty() {
            return BTreeMap::new();
        }
        let read = tokio::time::timeout(READ_TIMEOUT, self.services.store.get(&unknown)).await;
        match read {
            Ok(Ok(found)) => {
                let found = unknown.into_iter().zip(found);
                let stored =
                    found.filter_map(|(alert, found)| Some((alert, Found::Stored(found?))));
                stored.collect()
            }
            Ok(Err(_)) | Err(_) => unknown
                .into_iter()
                .map(|alert| (alert, Found::Unreadable))
                .collect(),
        }
    }
}

/// An alert that was read for a commit.
enum Found {
    Stored(Document),
    Unreadable,
}

impl Found {
    fn as_earlier(&self) -> Earlier<'_> {
        match self {
            Self::Stored(document) => Earlier::Document(document),
            Self::Unreadable => Earlier::Unreadable,
        }
    }
}

/// The state of an alert before a commit.
#[derive(Clone, Copy)]
enum Earlier<'a> {
    Document(&'a Document),
    /// The alert does not exist, or the call has not read it before a put.
    Absent,
    Unreadable,
}

/// Returns the alerts that these changes put or delete, each with the document of its last change; `None`: deleted.
fn find_changed(changes: &[Change]) -> BTreeMap<&Reference, Option<&Document>> {
    let changed = changes.iter().filter_map(|change| match change {
        Change::Put(document) => Some((&document.reference, Some(document))),
        Change::Delete(reference) => Some((reference, None)),
        _ => None,
    });
    changed
        .filter(|(reference, _)| reference.model == ALERT_MODEL)
        .collect()
}

/// Returns the node at which a commit puts the record.
fn find_node(changes: &[Change], record: Option<&Reference>) -> Option<Hierarchy> {
    changes.iter().rev().find_map(|change| match change {
        Change::Put(document) if Some(&document.reference) == record => {
            Some(document.hierarchy.clone())
        }
        _ => None,
    })
}

fn record_key(record: &Reference) -> Key {
    Key {
        name: RECORD_KEY.to_owned(),
        value: record.pkid.to_string(),
    }
}

/// A notice that is not stored yet.
struct NewNotice {
    content: AlertNotice,
    /// The node of the alert, if known.
    node: Option<Hierarchy>,
}

/// Returns the notice of one changed alert; `None` if the alert was only repeated or moved.
fn derive_notice(
    alert: &Reference,
    stored: Option<&Document>,
    earlier: Earlier<'_>,
    now: Timestamp,
) -> Option<NewNotice> {
    let mut earlier_severity = None;
    let (change, document) = match (stored, earlier) {
        (Some(document), Earlier::Document(before)) => {
            let [before, after] =
                [before, document].map(|document| AlertBody::parse(Some(document)));
            if rank(before.severity()?)? >= rank(after.severity()?)? {
                return None;
            }
            earlier_severity = before.severity().map(str::to_owned);
            (NoticeChange::SeverityRose, Some(document))
        }
        (Some(document), _) if AlertBody::parse(Some(document)).count() <= 1 => {
            (NoticeChange::Raised, Some(document))
        }
        (Some(_), _) | (None, Earlier::Absent) => return None,
        (None, Earlier::Document(before)) => (NoticeChange::Cleared, Some(before)),
        (None, Earlier::Unreadable) => (NoticeChange::Cleared, None),
    };
    Some(NewNotice {
        content: AlertNotice {
            change,
            alert: alert.clone(),
            record: None,
            transaction: String::new(),
            time: now,
            earlier_severity,
            body: document.map(|document| AlertBody::parse(Some(document)).0),
        },
        node: document.map(|document| document.hierarchy.clone()),
    })
}

impl NewNotice {
    /// Returns whether the alert is about this record. One that does not say so is.
    fn is_about(&self, record: &Reference) -> bool {
        let subject = self
            .content
            .body
            .as_ref()
            .and_then(|body| body.get("subject"));
        subject.is_none_or(|subject| *subject == record.to_string())
    }

    /// Returns the primary key, which is the same whenever the same change is committed.
    fn derive_pkid(&self) -> Pkid {
        let content = &self.content;
        let body = AlertBody(content.body.clone().unwrap_or_default());
        let mut parts = vec![
            content.alert.to_string(),
            content.change.to_string(),
            body.member("generation"),
            body.member("threshold"),
            match body.first() {
                // An alert may be raised again under the same primary key.
                Some(first) => first.get(..TEN_SECONDS).unwrap_or(first).to_owned(),
                None => content.time.to_string(),
            },
        ];
        if content.change == NoticeChange::SeverityRose {
            parts.extend([body.member("severity"), body.member("count")]);
        }
        Pkid::derive(&parts.join("\n"))
    }

    /// Returns the changes that store the notice at a node, and make its wakeup due.
    fn to_changes(&self, node: Hierarchy, now: Timestamp) -> Vec<Change> {
        let Ok(body) = serde_json::to_string(&self.content) else {
            return Vec::new();
        };
        let reference = Reference::new(NOTICE_MODEL, self.derive_pkid());
        let document = Document {
            reference: reference.clone(),
            hierarchy: node,
            version: 0,
            body,
            keys: self
                .content
                .record
                .as_ref()
                .map(record_key)
                .into_iter()
                .collect(),
        };
        let wakeup = Wakeup {
            id: wakeup_kinds::NOTICE_ROUTE.to_owned(),
            subject: reference,
            due: now,
            // Work with a deadline comes first.
            deadline: None,
            payload: String::new(),
        };
        vec![Change::Put(document), Change::Schedule(wakeup)]
    }
}

/// The body of an alert. An embedder's plugin may leave out members.
struct AlertBody(Value);

impl AlertBody {
    fn parse(document: Option<&Document>) -> Self {
        let body = document.and_then(|document| serde_json::from_str(&document.body).ok());
        Self(body.unwrap_or_default())
    }

    fn count(&self) -> u64 {
        self.0.get("count").and_then(Value::as_u64).unwrap_or(0)
    }

    fn severity(&self) -> Option<&str> {
        self.0.get("severity").and_then(Value::as_str)
    }

    fn first(&self) -> Option<&str> {
        self.0.get("first").and_then(Value::as_str)
    }

    /// Returns a member as JSON.
    fn member(&self, name: &str) -> String {
        self.0.get(name).map(Value::to_string).unwrap_or_default()
    }
}

/// Returns the urgency of a severity; `None`: unknown.
fn rank(severity: &str) -> Option<usize> {
    ["info", "minor", "major", "critical"]
        .iter()
        .position(|known| *known == severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(pkid: &Pkid, node: &str, body: Value) -> Document {
        Document {
            reference: Reference::new(ALERT_MODEL, pkid.clone()),
            hierarchy: node.parse().unwrap(),
            version: 1,
            body: body.to_string(),
            keys: Vec::new(),
        }
    }

    fn body(severity: &str, count: u32, first: &str) -> Value {
        serde_json::json!({
            "severity": severity, "count": count, "first": first, "generation": 3, "threshold": 5,
        })
    }

    fn notice(stored: Option<&Document>, earlier: Earlier<'_>) -> Option<NewNotice> {
        let alert = match (stored, earlier) {
            (Some(document), _) | (None, Earlier::Document(document)) => document.reference.clone(),
            _ => Reference::new(ALERT_MODEL, Pkid::random()),
        };
        derive_notice(&alert, stored, earlier, Timestamp(7))
    }

    #[test]
    fn new_worse_and_deleted_alerts_have_notices() {
        let pkid = Pkid::random();
        let first = "2026-01-01T00:00:07.000Z";
        let minor = alert(&pkid, "sys.A", body("minor", 1, first));
        let repeated = alert(&pkid, "sys.A", body("minor", 2, first));
        let moved = alert(&pkid, "sys.B", body("minor", 1, first));
        let major = alert(&pkid, "sys.A", body("major", 2, first));
        let of = |stored, earlier| notice(stored, earlier).map(|notice| notice.content);
        let known = Earlier::Document(&minor);
        let raised = of(Some(&minor), Earlier::Absent).unwrap();
        assert_eq!(raised.change, NoticeChange::Raised);
        assert_eq!(raised.body, Some(body("minor", 1, first)));
        assert_eq!(of(Some(&repeated), known), None);
        assert_eq!(of(Some(&repeated), Earlier::Absent), None);
        assert_eq!(of(Some(&moved), known), None);
        let rose = of(Some(&major), known).unwrap();
        assert_eq!(rose.change, NoticeChange::SeverityRose);
        assert_eq!(rose.earlier_severity.as_deref(), Some("minor"));
        assert_eq!(of(Some(&minor), Earlier::Document(&major)), None);
        let cleared = of(None, Earlier::Document(&major)).unwrap();
        assert_eq!(cleared.change, NoticeChange::Cleared);
        assert_eq!(cleared.body, Some(body("major", 2, first)));
        assert_eq!(of(None, Earlier::Absent), None);
        assert_eq!(of(None, Earlier::Unreadable).unwrap().body, None);
    }

    #[test]
    fn key_is_derived_from_alert_and_change() {
        let pkid = Pkid::random();
        let at = |first: &str, count| alert(&pkid, "sys.A", body("critical", count, first));
        let key = |stored: Option<&Document>, earlier: Earlier<'_>| {
            notice(stored, earlier).unwrap().derive_pkid()
        };
        let raised = key(Some(&at("2026-01-01T00:00:07.000Z", 1)), Earlier::Absent);
        // Two calls of the same moment raise the alert of the installation.
        let concurrent = key(Some(&at("2026-01-01T00:00:07.500Z", 1)), Earlier::Absent);
        assert_eq!(raised, concurrent);
        let again = key(Some(&at("2026-01-01T00:01:07.000Z", 1)), Earlier::Absent);
        assert_ne!(raised, again);
        let alert = at("2026-01-01T00:00:07.000Z", 4);
        assert_ne!(raised, key(None, Earlier::Document(&alert)));
    }

    #[test]
    fn last_change_of_an_alert_counts() {
        let alert = alert(&Pkid::random(), "sys.A", body("minor", 1, ""));
        let reference = alert.reference.clone();
        let changes = [Change::Put(alert), Change::Delete(reference.clone())];
        assert_eq!(find_changed(&changes), BTreeMap::from([(&reference, None)]));
    }
}
