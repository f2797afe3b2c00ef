//! Checks that the host allows a record's proxies.

use crate::model::{FieldErrors, ValidatedInput};
use crate::platform::{Failure, Platform};
use crate::record::secret;

/// Asks the host about each given proxy separately, so that a forbidden proxy is reported at its
/// field.
///
/// # Errors
/// The errors of the platform, except that a proxy cannot be used.
pub fn check_proxies(
    platform: &dyn Platform,
    accepted: &ValidatedInput,
    errors: &mut FieldErrors,
) -> Result<(), Failure> {
    for (field, proxy) in &accepted.sealed {
        let Some(proxy) = proxy else { continue };
        let outcome = match *field {
            secret::HTTP_PROXY => platform.use_proxies(Some(proxy), None),
            _ => platform.use_proxies(None, Some(proxy)),
        };
        match outcome {
            Ok(()) => {}
            Err(Failure::LimitExceeded(reason)) => errors.add(*field, reason),
            Err(Failure::Invalid(refusals)) => {
                for error in refusals {
                    errors.add(*field, error.message);
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
