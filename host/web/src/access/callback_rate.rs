//! The limit of failed callbacks without a log-in. Anybody can send one, and each is stored with its transaction.

use relation_app::{AppError, ErrorKind};

use super::back_off::{Subject, to_seconds};
use super::{AccessParts, ClientAddress};
use crate::WebError;

/// Counts a callback as a failure until [`succeed`].
///
/// # Errors
/// The address has sent too many failed callbacks.
pub(crate) fn begin(parts: &AccessParts, address: ClientAddress) -> Result<(), WebError> {
    let subjects = address.0.map(Subject::callback);
    let now = parts.clock().monotonic();
    let begun = parts.back_off().lock().begin(subjects.as_slice(), now);
    begun.map_err(|wait| {
        let message = "too many callbacks from this address have failed";
        AppError::new(ErrorKind::RateLimited, message)
            .hint(format!("try again in {} s", to_seconds(wait)))
            .into()
    })
}

/// Forgets the failed callbacks of an address.
pub(crate) fn succeed(parts: &AccessParts, address: ClientAddress) {
    if let Some(subject) = address.0.map(Subject::callback) {
        parts.back_off().lock().succeed(subject, None);
    }
}
