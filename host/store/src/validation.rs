//! Validation of inputs that does not depend on stored data.

use std::collections::BTreeSet;

use super::seal::DataKey;
use super::{Change, Commit, StoreError};
use relation_types::Document;

impl Commit {
    /// Refuses documents whose body is not one JSON object, or that name a key twice. Stores call this
    /// before they begin to write.
    pub fn validate(&self) -> Result<(), StoreError> {
        for change in &self.changes {
            if let Change::Put(document) = change {
                validate_document(document)?;
            }
        }
        Ok(())
    }
}

/// Refuses a rewrap that does not contain exactly the same data keys.
pub fn validate_rewrap(current: &[DataKey], rewrapped: &[DataKey]) -> Result<(), StoreError> {
    let same = |(was, becomes): (&DataKey, &DataKey)| was.id == becomes.id;
    if current.len() == rewrapped.len() && current.iter().zip(rewrapped).all(same) {
        return Ok(());
    }
    Err(StoreError::Invalid(
        "cannot wrap the data keys again: the new list does not have the same keys".to_owned(),
    ))
}

fn validate_document(document: &Document) -> Result<(), StoreError> {
    let reference = &document.reference;
    let body: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_str(&document.body);
    if let Err(error) = body {
        // The error gives the position in the body, but none of its content.
        return Err(StoreError::Invalid(format!(
            "the body of {reference} is not one JSON object: {:?} at line {}, column {}",
            error.classify(),
            error.line(),
            error.column()
        )));
    }
    let mut names = BTreeSet::new();
    for key in &document.keys {
        if !names.insert(&key.name) {
            return Err(StoreError::Invalid(format!(
                "{reference} has the key {} twice",
                key.name
            )));
        }
    }
    Ok(())
}
