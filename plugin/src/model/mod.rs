//! The relation's model: its fields, their rules, and the validation of input.

pub mod derived;
mod fields;
mod input;
pub mod proxy;
mod rules;

pub use fields::{Choice, FIELDS, Field, FieldKind, REGIONS, SHADOW, TEXT_LIMIT, find_field};
pub use input::{Input, type_name};
pub use rules::{PastedTokens, ValidatedInput, complete_organization, validate};

use crate::platform::{Failure, FieldError};

/// The relation that callers see.
pub const RELATION: &str = "relation/SparkCustomer";
/// The relation's label in a form.
pub const TITLE: &str = "Webex Organization";

/// All errors found so far, so that a caller gets them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds an error of `field`; `message` must not contain a secret.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    /// Returns whether `field` has an error already, so that a consequence of it need not be reported.
    pub(crate) fn has_error_for(&self, field: &str) -> bool {
        self.0.iter().any(|error| error.field == field)
    }

    /// Returns `invalid` with all errors, or `Ok` if there are none.
    pub fn into_result(self) -> Result<(), Failure> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Failure::Invalid(self.0))
        }
    }
}
