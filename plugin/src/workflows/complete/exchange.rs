//! Requests of a consent: the tokens, and their organization.

use oauth2::RedirectUrl;

use super::require_new_consent;
use crate::grant::Grant;
use crate::platform::{Failure, Level, Platform, Secret};
use crate::record::Record;
use crate::scopes;
use crate::settings::{ClientCredentials, Settings};
use crate::webex::client::{Proxies, Webex};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::ids::OrgId;
use crate::webex::oauth;
use crate::webex::organizations::{OrganizationError, TokenTrust, resolve_organization};
use crate::webex::token_response::TokenResponse;

/// A consent with its callback, and everything needed to request its tokens.
pub(super) struct TokenExchange<'a> {
    pub(super) platform: &'a dyn Platform,
    pub(super) settings: &'a Settings,
    pub(super) client: ClientCredentials,
    pub(super) proxies: Proxies,
    pub(super) code: Secret,
    pub(super) verifier: Secret,
    pub(super) redirect_uri: String,
}

/// Returns the record's proxies after the host has accepted them. A consent must not be used up for a
/// request that cannot be sent; `open` says so.
pub(super) fn load_proxies(
    platform: &dyn Platform,
    record: &Record,
    open: &str,
) -> Result<Proxies, Failure> {
    let proxies = Proxies::reveal(record, platform)?;
    match platform.use_proxies(proxies.http.as_ref(), proxies.https.as_ref()) {
        Err(failure @ (Failure::Invalid(_) | Failure::LimitExceeded(_))) => {
            Err(Failure::LimitExceeded(format!(
                "the proxy of {} cannot be used: {failure}; the connection is unchanged; {open}",
                record.name()
            )))
        }
        Err(failure) => Err(failure),
        Ok(()) => Ok(proxies),
    }
}

impl TokenExchange<'_> {
    /// Exchanges the code for tokens. The inner error is the request's; the outer error occurs before the request.
    pub(super) fn exchange_code(&self) -> Result<Result<TokenResponse, WebexError>, Failure> {
        let webex = Webex::new(self.platform, self.settings, &self.proxies)?;
        let redirect = RedirectUrl::new(self.redirect_uri.clone()).map_err(|error| {
            Failure::Internal(format!(
                "the redirect address cannot be read again: {error}"
            ))
        })?;
        Ok(oauth::exchange(
            &webex,
            &self.client,
            &self.code,
            &redirect,
            &self.verifier,
        ))
    }

    /// Refuses a response without a refresh token.
    pub(super) fn require_refresh_token(&self, response: &TokenResponse) -> Result<(), Failure> {
        match response.refresh_token {
            Some(_) => Ok(()),
            None => Err(self.log_failure(&Failure::Unavailable(
                "Webex's response to the consent has no refresh token, so the connection would \
                 expire; the connection is unchanged; begin again with connect"
                    .to_owned(),
            ))),
        }
    }

    /// Returns the organization of the tokens. It must be the record's, unless the record has none yet.
    ///
    /// Tokens of another organization are dropped and not revoked. Webex revokes by client and
    /// organization, which would end other grants of that organization to this client.
    pub(super) fn verify_organization(
        &self,
        record: &Record,
        response: &TokenResponse,
    ) -> Result<OrgId, Failure> {
        let webex = Webex::new(self.platform, self.settings, &self.proxies)?;
        let expected = record
            .organization()
            .and_then(|organization| OrgId::parse(organization).ok());
        let token = &response.access_token;
        let asked =
            resolve_organization(&webex, self.platform, token, expected, TokenTrust::Issued);
        let actual = asked.map_err(|unresolved| {
            self.log_failure(&match unresolved {
                OrganizationError::Refused(error) => require_new_consent(&format!(
                    "Webex does not accept the access token that it has just issued: {error}"
                )),
                OrganizationError::Undisclosed => Failure::LimitExceeded(
                    "the new access token works, but Webex does not tell its organization: \
                     webex.scopes must have spark-admin:organizations_read; the connection is \
                     unchanged; begin again with connect"
                        .to_owned(),
                ),
                OrganizationError::Unverified(why) => require_new_consent(&why),
                OrganizationError::RequestFailed(error) => self.map_temporary_error(error),
            })
        })?;
        match expected {
            Some(expected) if expected != actual => {
                Err(self.log_failure(&require_new_consent(&format!(
                    "the consent was given by the organization {actual}, but {} is connected to \
                 {expected}: consent with an account of that organization; the tokens of the other \
                 were dropped",
                    record.name()
                ))))
            }
            _ => Ok(actual),
        }
    }

    /// Maps and logs the error of an exchange that has used the consent up.
    pub(super) fn map_exchange_error(
        &self,
        record: &Record,
        grant: Grant,
        error: WebexError,
    ) -> Failure {
        let failure = match error.kind {
            ErrorKind::Refused => require_new_consent(&format!(
                "Webex refused the code: it was used before, has expired, or belongs to another \
                 link ({})",
                describe_error(&error)
            )),
            ErrorKind::Rejected if error.error.as_deref() == Some("invalid_scope") => {
                Failure::LimitExceeded(format!(
                    "Webex does not accept a scope ({}): correct {}; the connection is unchanged; \
                     begin again with connect",
                    describe_error(&error),
                    scopes::setting_names(record, grant),
                ))
            }
            _ => self.map_temporary_error(error),
        };
        self.log_failure(&failure)
    }

    fn map_temporary_error(&self, error: WebexError) -> Failure {
        let consequence = "the connection is unchanged; begin again with connect";
        error.into_failure_with(self.platform.now(), consequence)
    }

    fn log_failure(&self, failure: &Failure) -> Failure {
        self.platform.log(Level::Warning, &failure.to_string());
        failure.clone()
    }
}

fn describe_error(error: &WebexError) -> String {
    match &error.tracking_id {
        Some(tracking_id) => format!("{}; tracking id {tracking_id}", error.reason()),
        None => error.reason(),
    }
}
