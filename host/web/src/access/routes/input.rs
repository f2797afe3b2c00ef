//! The fields of requests. Errors name all wrong fields together, and repeat no values, which may be secrets.

use axum::extract::{FromRequest, Request};
use relation_host::types::{FieldError, Timestamp};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::WebError;
use crate::access::nodes::NodeName;
use crate::access::users::{check_fields, field_error};
use crate::access::{Operation, RoleGrant};
use crate::api::body::{Fields, OptionalFields, find_meta_hint};

/// The fields of a JSON object. A request without a body is refused.
pub(super) struct Input {
    fields: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl<S: Send + Sync> FromRequest<S> for Input {
    type Rejection = WebError;

    async fn from_request(request: Request, state: &S) -> Result<Self, WebError> {
        let fields = Fields::from_request(request, state).await?;
        Ok(Self::new(fields))
    }
}

/// The fields of a request that may have no body, which is the same as an empty object.
pub(super) struct OptionalInput(pub(super) Input);

impl<S: Send + Sync> FromRequest<S> for OptionalInput {
    type Rejection = WebError;

    async fn from_request(request: Request, state: &S) -> Result<Self, WebError> {
        let OptionalFields(fields) = OptionalFields::from_request(request, state).await?;
        Ok(Self(Input::new(fields)))
    }
}

impl Input {
    fn new(body: Fields) -> Self {
        Self {
            fields: body.fields,
            errors: body.request_meta.into_errors_without_transaction(),
        }
    }

    fn refuse(&mut self, field: &str, message: &str) {
        self.errors.push(field_error(field, message));
    }

    /// Takes a field; `null` is the same as none.
    fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    /// Adds errors that were found in the values of fields without an error so far.
    pub(super) fn report(&mut self, mut errors: Vec<FieldError>) {
        errors.retain(|new| self.errors.iter().all(|error| error.field != new.field));
        self.errors.append(&mut errors);
    }

    /// Takes an optional secret text.
    pub(super) fn optional_secret(&mut self, field: &str) -> Option<SecretString> {
        self.optional_text(field).map(SecretString::from)
    }

    /// Takes an optional text.
    pub(super) fn optional_text(&mut self, field: &str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            _ => {
                self.refuse(field, "this is not a text");
                None
            }
        }
    }

    /// Takes a text.
    pub(super) fn text(&mut self, field: &str) -> String {
        if !self.fields.contains_key(field) {
            self.refuse(field, "the field is missing");
        }
        self.optional_text(field).unwrap_or_default()
    }

    /// Takes a secret text.
    pub(super) fn secret(&mut self, field: &str) -> SecretString {
        SecretString::from(self.text(field))
    }

    /// Takes a node of the hierarchy, by its path or its pkid.
    pub(super) fn node(&mut self, field: &str) -> Option<NodeName> {
        let text = self.text(field);
        match text.parse() {
            Ok(node) => Some(node),
            Err(_) if self.errors.iter().any(|error| error.field == field) => None,
            Err(error) => {
                let error: relation_host::types::InvalidHierarchy = error;
                self.refuse(field, &error.to_string());
                None
            }
        }
    }

    /// Takes an optional node of the hierarchy, by its path or its pkid.
    pub(super) fn optional_node(&mut self, field: &str) -> Option<NodeName> {
        match self.take(field) {
            None => None,
            Some(node) => {
                self.fields.insert(field.to_owned(), node);
                self.node(field)
            }
        }
    }

    /// Takes an optional time, in milliseconds since 1970.
    pub(super) fn optional_time(&mut self, field: &str) -> Option<Timestamp> {
        self.optional_number(field).map(Timestamp)
    }

    /// Takes an optional number.
    pub(super) fn optional_number(&mut self, field: &str) -> Option<u64> {
        let value = self.take(field)?;
        let number = value.as_u64();
        if number.is_none() {
            self.refuse(field, "this is not a whole number of at least 0");
        }
        number
    }

    /// Takes a list of operations.
    pub(super) fn operations(&mut self, field: &str) -> Vec<Operation> {
        let value = self.take(field).unwrap_or_default();
        match serde_json::from_value(value) {
            Ok(operations) => operations,
            Err(_) => {
                let names = Operation::ALL.map(Operation::as_str).join(", ");
                self.refuse(
                    field,
                    &format!("this is not a list of operations, which are {names}"),
                );
                Vec::new()
            }
        }
    }

    /// Takes a list of roles with their nodes.
    pub(super) fn grants(&mut self, field: &str) -> Vec<RoleGrant> {
        let Some(value) = self.take(field) else {
            self.refuse(field, "the field is missing: it is a list, such as [{\"role\": \"operator\", \"node\": \"sys\"}]");
            return Vec::new();
        };
        let Value::Array(items) = value else {
            self.refuse(field, "this is not a list");
            return Vec::new();
        };
        let mut grants = Vec::with_capacity(items.len().min(100));
        for (index, item) in items.into_iter().enumerate() {
            match serde_json::from_value::<RoleGrant>(item) {
                Ok(grant) => grants.push(grant),
                Err(_) => {
                    let message =
                        "this is not an object with a role and a node, which is a dotted path";
                    self.refuse(&format!("{field}[{index}]"), message);
                }
            }
        }
        grants
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Some fields are wrong, missing or unknown.
    pub(super) fn finish(mut self) -> Result<(), WebError> {
        let unknown: Vec<String> = self.fields.keys().take(20).cloned().collect();
        for field in unknown {
            let field: String = field.chars().take(100).collect();
            self.refuse(&field, "there is no such field here");
        }
        let hint = find_meta_hint(&self.errors);
        check_fields(self.errors).map_err(|mut error| {
            error.error.hint = error.error.hint.or(hint);
            error
        })
    }
}
