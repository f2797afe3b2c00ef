//! What can be told of an input without looking at what is stored.

use std::collections::BTreeSet;

use super::seal::DataKey;
use super::{Change, Commit, StoreError};
use crate::types::Document;

impl Commit {
    /// Refuses documents whose body is not one JSON object, or that name a key twice; for stores, before
    /// they begin to write.
    pub fn validate(&self) -> Result<(), StoreError> {
        for change in &self.changes {
            if let Change::Put(document) = change {
                validate_document(document)?;
            }
        }
        Ok(())
    }
}

/// Refuses to wrap data keys anew as others than they are.
pub fn validate_rewrap(were: &[DataKey], anew: &[DataKey]) -> Result<(), StoreError> {
    let same = |(was, becomes): (&DataKey, &DataKey)| was.id == becomes.id;
    if were.len() == anew.len() && were.iter().zip(anew).all(same) {
        return Ok(());
    }
    Err(StoreError::Invalid(
        "data keys were to be wrapped anew and are not the same ones".to_owned(),
    ))
}

fn validate_document(document: &Document) -> Result<(), StoreError> {
    let which = &document.reference;
    let body: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_str(&document.body);
    if let Err(error) = body {
        // The error names the place in the body and none of its content.
        return Err(StoreError::Invalid(format!(
            "the body of {which} is not one JSON object: {:?} at line {}, column {}",
            error.classify(),
            error.line(),
            error.column()
        )));
    }
    let mut names = BTreeSet::new();
    for key in &document.keys {
        if !names.insert(&key.name) {
            return Err(StoreError::Invalid(format!(
                "{which} has the key {} twice",
                key.name
            )));
        }
    }
    Ok(())
}
