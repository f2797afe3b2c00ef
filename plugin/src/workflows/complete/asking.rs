//! What a consent asks of Webex: its tokens, and whose they are.

use oauth2::RedirectUrl;

use super::begin_again;
use crate::grant::Grant;
use crate::platform::{Failure, Level, Platform, Secret};
use crate::record::Record;
use crate::scopes;
use crate::settings::{ClientCredentials, Settings};
use crate::webex::answer::TokenResponse;
use crate::webex::client::{Proxies, Webex};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::ids::OrgId;
use crate::webex::oauth;
use crate::webex::organizations::{Source, Unresolved, organization_of};

/// A consent whose callback came, with everything that is needed to ask for its tokens.
pub(super) struct Consent<'a, P: ?Sized> {
    pub(super) platform: &'a P,
    pub(super) settings: &'a Settings,
    pub(super) client: ClientCredentials,
    pub(super) proxies: Proxies,
    pub(super) code: Secret,
    pub(super) verifier: Secret,
    pub(super) redirect_uri: String,
}

/// The record's proxies, once the host has said that they can be used: a consent is not to be
/// used up for a request that cannot be made.
pub(super) fn proxies<P: Platform + ?Sized>(
    platform: &P,
    record: &Record,
) -> Result<Proxies, Failure> {
    let proxies = Proxies::of(record, platform)?;
    match platform.use_proxies(proxies.http.as_ref(), proxies.https.as_ref()) {
        Err(failure @ (Failure::Invalid(_) | Failure::LimitExceeded(_))) => {
            Err(Failure::LimitExceeded(format!(
                "the proxy of {} cannot be used: {failure}; once it can, the same callback serves",
                record.name()
            )))
        }
        Err(failure) => Err(failure),
        Ok(()) => Ok(proxies),
    }
}

impl<P: Platform + ?Sized> Consent<'_, P> {
    /// Exchanges the code for tokens.
    pub(super) fn exchange(&self, record: &Record, grant: Grant) -> Result<TokenResponse, Failure> {
        let webex = Webex::new(self.platform, self.settings, &self.proxies)?;
        let redirect = RedirectUrl::new(self.redirect_uri.clone()).map_err(|error| {
            Failure::Internal(format!(
                "the redirect address cannot be read again: {error}"
            ))
        })?;
        let answer = oauth::exchange(&webex, &self.client, &self.code, &redirect, &self.verifier);
        let answer = answer.map_err(|error| self.told(&self.refused(record, grant, error)))?;
        if answer.refresh_token.is_none() {
            return Err(self.told(&Failure::Unavailable(
                "Webex answered the consent without a refresh token, so the connection could not \
                 be kept alive; it is as it was, begin again with connect"
                    .to_owned(),
            )));
        }
        Ok(answer)
    }

    /// Whose the tokens are: the record's organisation, or any when it has none yet.
    ///
    /// Tokens of another organisation are dropped. They are not revoked: Webex revokes by client
    /// and organisation, and would end whatever else that organisation granted to this client.
    pub(super) fn organization(
        &self,
        record: &Record,
        answer: &TokenResponse,
    ) -> Result<OrgId, Failure> {
        let webex = Webex::new(self.platform, self.settings, &self.proxies)?;
        let expected = record
            .organization()
            .and_then(|organization| OrgId::parse(organization).ok());
        let token = &answer.access_token;
        let asked = organization_of(&webex, self.platform, token, expected, Source::Issued);
        let actual = asked.map_err(|unresolved| {
            self.told(&match unresolved {
                Unresolved::Refused(error) => begin_again(&format!(
                    "Webex does not accept the access token that it has just issued: {error}"
                )),
                Unresolved::Silent => Failure::LimitExceeded(
                    "the new access token works, but Webex does not tell its organisation: \
                     webex.scopes must have spark-admin:organizations_read; the connection is as \
                     it was, begin again with connect"
                        .to_owned(),
                ),
                Unresolved::Unproven(why) => begin_again(&why),
                Unresolved::Unasked(error) => self.passing(error),
            })
        })?;
        match expected {
            Some(expected) if expected != actual => Err(self.told(&begin_again(&format!(
                "the consent was given by the organisation {actual}, but {} is connected to \
                 {expected}: consent with an account of that organisation; the tokens of the other \
                 were dropped",
                record.name()
            )))),
            _ => Ok(actual),
        }
    }

    fn refused(&self, record: &Record, grant: Grant, error: WebexError) -> Failure {
        match error.kind {
            ErrorKind::Refused => begin_again(&format!(
                "Webex refused the code: it was used before, has expired, or belongs to another \
                 link ({})",
                said(&error)
            )),
            ErrorKind::Rejected if error.error.as_deref() == Some("invalid_scope") => {
                Failure::LimitExceeded(format!(
                    "Webex does not accept a scope ({}): correct {}; the connection is as it was",
                    said(&error),
                    scopes::settings_of(record, grant),
                ))
            }
            _ => self.passing(error),
        }
    }

    fn passing(&self, error: WebexError) -> Failure {
        match error.into_failure(self.platform.now()) {
            Failure::Unavailable(text) => Failure::Unavailable(format!(
                "{text}; the connection is as it was, begin again with connect"
            )),
            failure => failure,
        }
    }

    fn told(&self, failure: &Failure) -> Failure {
        self.platform.log(Level::Warning, &failure.to_string());
        failure.clone()
    }
}

fn said(error: &WebexError) -> String {
    match &error.tracking_id {
        Some(tracking_id) => format!("{}; tracking id {tracking_id}", error.reason()),
        None => error.reason(),
    }
}
