//! The relation's model: its fields, their rules, and what the caller's input becomes.

pub mod derived;
mod fields;
mod input;
pub mod proxy;
mod rules;

pub use fields::{Choice, FIELDS, Field, Kind, SHADOW, field};
pub use input::Input;
pub use rules::{Accepted, PastedTokens, accept, complete_organization};

use crate::platform::{Failure, FieldError};

/// The relation that callers see.
pub const RELATION: &str = "relation/SparkCustomer";
/// What the relation is called on a form.
pub const TITLE: &str = "Webex Organization";

/// Everything found wrong so far, so that a caller learns all of it at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<FieldError>);

impl Faults {
    /// Notes that `field` is wrong; `message` must hold no secret.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    /// Whether something is wrong with `field` already: what follows from that is no news.
    pub(crate) fn blames(&self, field: &str) -> bool {
        self.0.iter().any(|fault| fault.field == field)
    }

    /// `invalid` with all of them, or nothing when there are none.
    pub fn check(self) -> Result<(), Failure> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Failure::Invalid(self.0))
        }
    }
}
