//! Transactions and their updates as parameters of functions: see `functions/transactions.sql`.

use std::borrow::Cow;

use relation_types::transactions::{NewTransaction, TransactionUpdate, parent_of, part_id};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::{require_text, to_millis, to_sql_count};
use crate::StoreError;

/// An update of a transaction, as three parameters.
#[derive(Debug)]
pub(super) struct EncodedUpdate {
    /// The update as JSON, without what follows.
    pub(super) update: String,
    /// The lines of the log, as JSON, one object per line.
    pub(super) lines: String,
    /// The opened secrets, as JSON, one object per line.
    pub(super) reveals: String,
}

/// Encodes an update.
pub(super) fn encode_update(update: &TransactionUpdate) -> Result<EncodedUpdate, StoreError> {
    require_text("the id of a transaction", &update.id)?;
    let progress = update.progress.as_ref();
    let outcome = update.outcome.as_ref();
    let completed = outcome.filter(|outcome| outcome.status.is_ended());
    let parts: Vec<Value> = update
        .parts
        .iter()
        .map(|part| {
            json!({
                "id": part_id(&update.id, part.number),
                "action": to_text(&part.action),
                "status": part.outcome.status.as_str(),
                "message": to_text(&part.outcome.message),
                "started": to_millis(part.started),
                "completed": to_millis(part.outcome.completed),
            })
        })
        .collect();
    let json = json!({
        "id": update.id,
        "done": progress.map(|progress| progress.done),
        "total": progress.map(|progress| progress.total),
        "progress": progress.map(|progress| to_text(&progress.message)),
        "subject_name": update.subject_name.as_deref().map(to_text),
        "omitted": to_sql_count(update.omitted_accesses).max(0),
        "status": outcome.map(|outcome| outcome.status.as_str()),
        "message": outcome.map(|outcome| to_text(&outcome.message)),
        "completed": completed.map(|outcome| to_millis(outcome.completed)),
        "bulk": parent_of(&update.id),
        "parts": Some(parts).filter(|parts| !parts.is_empty()),
    });
    Ok(EncodedUpdate {
        update: json.to_string(),
        lines: encode_lines(&update.lines)?,
        reveals: encode_lines(&update.secret_accesses)?,
    })
}

/// Encodes a new transaction as JSON.
pub(super) fn encode_new(new: &NewTransaction) -> Result<Value, StoreError> {
    require_text("the id of a transaction", &new.id)?;
    require_text("the action of a transaction", &new.action)?;
    let subject = new.subject.as_ref();
    if let Some(subject) = subject {
        require_text("the model of a subject", &subject.model)?;
    }
    // JSON within JSON: the text is stored as it is.
    let originator = new.originator.as_ref().map(encode).transpose()?;
    Ok(json!({
        "id": new.id,
        "action": new.action,
        "subject_model": subject.map(|subject| &subject.model),
        "subject_pkid": subject.map(|subject| subject.pkid.as_str()),
        "subject_name": to_text(&new.subject_name),
        "hierarchy": new.hierarchy.as_ref().map(|node| node.as_str()),
        "originator": originator,
        "request": new.request.as_ref().map(|pkid| pkid.as_str()),
        "submitted": to_millis(new.submitted),
        "started": to_millis(new.started),
    }))
}

/// Parses the result of a function, or the detail of its refusal.
pub(super) fn parse_result<T: DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json)
        .map_err(|error| StoreError::Corrupt(format!("the database has returned {json}: {error}")))
}

/// Replaces U+0000, which PostgreSQL cannot store, in a text that people read.
pub(super) fn to_text(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

pub(super) fn encode_lines(items: &[impl Serialize]) -> Result<String, StoreError> {
    let mut lines = String::new();
    for item in items {
        lines.push_str(&encode(item)?);
        lines.push('\n');
    }
    Ok(lines)
}

pub(super) fn encode(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}
