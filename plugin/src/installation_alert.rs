//! The alert of the installation: Webex does not accept the integration that all customers share.
//!
//! All customers share one document, whose count rises with each error. The document is written
//! without checks, so that concurrent customers do not fail with a conflict. A count may be lost; a
//! record is not.

use crate::alerts::{ALERT, AlertBody, CATEGORY, Severity, code};
use crate::model::derived;
use crate::platform::{Change, Document, Failure, Reference, Storage, UnixMillis};
use crate::record::Record;
use crate::webex::errors::WebexError;

/// The alert's primary key, the same for every customer: "webex client" in hexadecimal.
const PKID: &str = "776562657820636c69656e74";
/// Subject and owner of the alert, which is about no single record.
const SUBJECT: &str = "installation";

fn reference() -> Reference {
    Reference::new(ALERT, PKID)
}

/// Returns the change that raises the alert for `error`, which `record` received, at the root of
/// the hierarchy. `None` when the alert cannot be read now: the record's own failure is stored all
/// the same.
///
/// # Errors
/// `internal` when the alert cannot be written as JSON.
pub fn raise(
    storage: &dyn Storage,
    record: &Record,
    error: &WebexError,
    now: UnixMillis,
) -> Result<Option<Change>, Failure> {
    let Ok(stored) = storage.get(&reference()) else {
        return Ok(None);
    };
    let earlier: AlertBody = stored
        .and_then(|document| serde_json::from_str(&document.body).ok())
        .unwrap_or_default();
    let latest = derived::format_timestamp(now);
    let body = AlertBody {
        id: PKID.to_owned(),
        code: code::CLIENT.to_owned(),
        category: CATEGORY.to_owned(),
        severity: Severity::Critical,
        message: format!(
            "Webex does not accept the integration, so no customer is refreshed: {error}"
        ),
        count: earlier.count.saturating_add(1),
        first: if earlier.first.is_empty() {
            latest.clone()
        } else {
            earlier.first
        },
        latest,
        subject: SUBJECT.to_owned(),
        ..AlertBody::default()
    };
    let root = record.hierarchy.split('.').next().unwrap_or_default();
    let keys = body.keys(SUBJECT);
    let body = serde_json::to_string(&body)
        .map_err(|error| Failure::Internal(format!("the alert cannot be written: {error}")))?;
    Ok(Some(Change::Put(Document {
        reference: reference(),
        hierarchy: root.to_owned(),
        version: 0,
        body,
        keys,
    })))
}

/// Returns the change that deletes the alert, for the first success of a record that had the error.
/// A customer that still has the error raises the alert again.
pub fn clear() -> Change {
    Change::Delete(reference())
}
