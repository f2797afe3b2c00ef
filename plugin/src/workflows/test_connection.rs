//! Tests a connection: asks Webex whether the stored access token works, and for which organization.

use schemars::JsonSchema;
use serde::Serialize;

use crate::grant::Grant;
use crate::platform::{Failure, Platform};
use crate::record::Record;
use crate::settings::Settings;
use crate::webex::client::{Proxies, Webex};
use crate::webex::ids::OrgId;
use crate::webex::organizations::{OrganizationError, TokenTrust, resolve_organization};

/// The result of a successful test.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConnectionTest {
    /// The grant whose access token was tested.
    pub grant: Grant,
    /// The bare UUID of the organization, from the token itself if Webex does not name it; none if
    /// neither does.
    pub organization: Option<String>,
    /// The result for the administrator.
    pub message: String,
}

/// Asks Webex whether the access token of `grant` works. Changes nothing, neither tokens nor state.
///
/// # Errors
/// `not-found`. `invalid` (`grant`). `reauthorize` when there is no access token, Webex refuses it, or it belongs to
/// another organization. `unavailable` and `rate-limited` when Webex could not be asked. `limit-exceeded` when a policy
/// or a limit of the host forbids the request.
pub fn test_connection(
    platform: &dyn Platform,
    pkid: &str,
    grant: Grant,
) -> Result<ConnectionTest, Failure> {
    let record = Record::load(platform, pkid)?;
    record.require_grant(grant)?;
    let name = record.display_name(grant);
    let settings = Settings::load(platform)?;
    let token = platform.reveal(&record.reference(), grant.access_token())?;
    let token = token.ok_or_else(|| {
        Failure::Reauthorize(format!(
            "{name} has no access token: connect this customer to Webex"
        ))
    })?;
    let proxies = Proxies::reveal(&record, platform)?;
    let webex = Webex::new(platform, &settings, &proxies)?;
    let expected = record.organization().and_then(|id| OrgId::parse(id).ok());
    let found = resolve_organization(&webex, platform, &token, expected, TokenTrust::Pasted);
    let organization = match found {
        Ok(found) if expected.is_some_and(|expected| expected != found) => {
            return Err(Failure::Reauthorize(format!(
                "the access token of {name} belongs to the organization {found}: connect this \
                 customer again, as its own administrator"
            )));
        }
        Ok(found) => Some(found.external()),
        Err(OrganizationError::Undisclosed) => None,
        Err(OrganizationError::Refused(error)) => {
            return Err(Failure::Reauthorize(format!(
                "Webex refuses the access token of {name}: {error}; refresh it, and connect this \
                 customer again if that fails"
            )));
        }
        Err(OrganizationError::RequestFailed(error)) => {
            return Err(error.into_failure(platform.now()));
        }
        Err(error @ OrganizationError::Unverified(_)) => {
            return Err(Failure::Unavailable(error.to_string()));
        }
    };
    let message = match &organization {
        Some(organization) => {
            format!("Webex accepts the access token of {name}, for the organization {organization}")
        }
        None => format!("Webex accepts the access token of {name}, but hides its organization"),
    };
    Ok(ConnectionTest {
        grant,
        organization,
        message,
    })
}
