//! Reads stored records for administrators.

use serde_json::Value;

use crate::contract;
use crate::platform::{Document, Failure};
use crate::record::{OwnedDocument, Record};
use crate::reports::{ConnectionReport, RecordDetails};

/// Reads the record in `document`. Needs no storage and no request.
///
/// # Errors
/// `internal` if the document is not a record of this release.
pub fn show(document: Document) -> Result<RecordDetails, Failure> {
    let record = Record::from_document(document)?;
    Ok(RecordDetails {
        connection: ConnectionReport::from_record(&record),
        fields: Value::Object(record.body.fields).to_string(),
        owned_documents: record
            .body
            .owned_documents
            .iter()
            .map(contract::OwnedDocument::from)
            .collect(),
    })
}

impl From<&OwnedDocument> for contract::OwnedDocument {
    fn from(owned: &OwnedDocument) -> Self {
        Self {
            reference: owned.reference(),
            name: owned.name.clone(),
            role: owned.role.clone(),
        }
    }
}
