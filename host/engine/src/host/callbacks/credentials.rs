//! The credentials that a callback uses, and the audit event of each use.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CALLBACK_AUTH_MODEL;
use crate::store::{Change, StoreError};
use crate::types::{Document, Hierarchy, InvalidPkid, Pkid, Reference, Timestamp};

/// The credentials of a callback.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallbackCredentials {
    /// The primary key of the document, of the model [`CALLBACK_AUTH_MODEL`].
    pub pkid: Pkid,
    /// The document that each use adds.
    pub event: UseEvent,
}

/// A document of an audit log: who lets the credentials be used, and from where. It must not contain a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UseEvent {
    /// The model of the document.
    pub model: String,
    /// The node of the document.
    pub node: Hierarchy,
    /// The body. Each use adds `at`, the time, and `transaction`.
    pub body: Map<String, Value>,
}

impl CallbackCredentials {
    pub(super) fn reference(&self) -> Reference {
        Reference::new(CALLBACK_AUTH_MODEL, self.pkid.clone())
    }

    /// Returns the change that records a use. The primary keys of the documents sort by time.
    pub(super) fn to_event(&self, transaction: &str, at: Timestamp) -> Result<Change, StoreError> {
        let random = Pkid::random();
        let random = random.as_str().get(..12).unwrap_or_default();
        let pkid = format!("{:012x}{random}", at.0 & 0xffff_ffff_ffff).parse();
        let pkid: Pkid =
            pkid.map_err(|error: InvalidPkid| StoreError::Invalid(error.to_string()))?;
        let mut body = self.event.body.clone();
        body.insert("at".to_owned(), at.0.into());
        body.insert("transaction".to_owned(), transaction.into());
        Ok(Change::Put(Document {
            reference: Reference::new(&self.event.model, pkid),
            hierarchy: self.event.node.clone(),
            version: 0,
            body: Value::Object(body).to_string(),
            keys: Vec::new(),
        }))
    }
}
