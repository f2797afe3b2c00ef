//! Checks tokens that a person pastes: whether they work, which organization they belong to, and
//! how old they are.
//!
//! A refused access token is not a reason to refuse the connection while the refresh token works:
//! new tokens are requested first, and stored.

use crate::grant::Grant;
use crate::model::{FieldErrors, ValidatedInput};
use crate::platform::{Failure, FieldError, Level, OnUnavailable, Platform, Secret, UnixMillis};
use crate::record::Record;
use crate::settings::{ClientCredentials, Settings};
use crate::timing::{MAX_CLOCK_SKEW, MAX_LIFETIME};
use crate::tokens::{self, ReceivedTokens, StoredTokens, TokenSource, TokenUpdate};
use crate::webex::authorizations::{TOKENS_READ, fetch_token_expiry};
use crate::webex::client::{Proxies, Webex};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::ids::OrgId;
use crate::webex::oauth;
use crate::webex::organizations::{OrganizationError, TokenTrust, resolve_organization};
use crate::webex::token_response::{Lifetime, TokenResponse};

/// The caller's name for a pasted token response.
const TOKEN_RESPONSE: &str = "token_response";
const TOKEN: &str = "token";
const REFRESH_TOKEN: &str = "refresh_token";
/// The note in error texts after Webex accepted the pasted refresh token.
const REFRESH_TOKEN_USED: &str = "the access token was refused, so the pasted refresh token was used to get new \
                    tokens, and Webex may not accept it again: fetch new tokens";

/// Reads the tokens of the input, from its fields or from a pasted token response. Adds a field
/// error when they cannot be used.
pub fn read_tokens(
    accepted: &ValidatedInput,
    response: Option<&Secret>,
    errors: &mut FieldErrors,
) -> Option<TokenResponse> {
    let tokens = match response {
        None => accepted.tokens.as_ref().map(|pasted| {
            TokenResponse::from_pasted(pasted.access.clone(), Some(pasted.refresh.clone()))
        }),
        Some(response) => match TokenResponse::parse(response.expose()) {
            Ok(response) if response.refresh_token.is_none() => {
                errors.add(
                    TOKEN_RESPONSE,
                    "has no `refresh_token`: without it the connection cannot be kept alive",
                );
                None
            }
            Ok(response) => Some(response),
            Err(error) => {
                errors.add(TOKEN_RESPONSE, error.to_string());
                None
            }
        },
    };
    tokens.filter(|tokens| {
        let same = tokens.refresh_token.as_ref() == Some(&tokens.access_token);
        if same {
            errors.add(
                REFRESH_TOKEN,
                "is equal to the access token: paste the refresh token",
            );
        }
        !same
    })
}

/// Tokens that Webex confirmed.
#[derive(Clone, Debug)]
pub struct ConfirmedTokens {
    /// The tokens, with their lifetimes where these are known.
    pub response: TokenResponse,
    /// The source of the tokens.
    pub source: TokenSource,
    /// The time from which lifetimes count.
    pub issued: UnixMillis,
}

impl ConfirmedTokens {
    /// Returns what happens to the tokens' commit while the store is unavailable. The caller still has
    /// pasted tokens; the tokens of a response exist nowhere else.
    pub fn on_unavailable(&self) -> OnUnavailable {
        match self.source {
            TokenSource::Pasted => OnUnavailable::Fail,
            TokenSource::Consented | TokenSource::Refreshed => OnUnavailable::Keep,
        }
    }

    /// Applies the tokens to `record` in place of the `stored` ones, and logs the warnings.
    ///
    /// # Errors
    /// Errors of [`tokens::apply`].
    pub fn apply(
        &self,
        platform: &dyn Platform,
        settings: &Settings,
        record: &mut Record,
        stored: &StoredTokens,
        now: UnixMillis,
    ) -> Result<TokenUpdate, Failure> {
        let received = ReceivedTokens {
            response: &self.response,
            stored,
            source: self.source,
            issued: self.issued,
        };
        let update = tokens::apply(record, Grant::Organization, received, now, settings)?;
        for warning in &update.warnings {
            platform.log(Level::Warning, warning);
        }
        Ok(update)
    }

    /// Adds a note to `failure`, the reason why the tokens were not stored, if the pasted refresh token was used.
    pub fn explain(&self, failure: Failure) -> Failure {
        match self.source {
            TokenSource::Pasted => failure,
            _ => add_used_note(failure),
        }
    }
}

/// The context for asking Webex about pasted tokens.
pub struct TokenChecker<'a> {
    /// The platform.
    pub platform: &'a dyn Platform,
    /// The settings of the call.
    pub settings: &'a Settings,
    /// The proxies after this call.
    pub proxies: &'a Proxies,
    /// The stored record and its stored tokens; none for a new record.
    pub before: Option<(&'a Record, &'a StoredTokens)>,
}

impl TokenChecker<'_> {
    /// Asks Webex whether `tokens` work and which organization they belong to. The organization
    /// must match the account number; an absent account number is filled in.
    ///
    /// # Errors
    /// `invalid` when the tokens are wrong; `unavailable`, `rate-limited` or `limit-exceeded` when
    /// Webex could not be asked, or another server responded.
    pub fn confirm(
        &self,
        tokens: TokenResponse,
        accepted: &mut ValidatedInput,
    ) -> Result<ConfirmedTokens, Failure> {
        let webex =
            Webex::new(self.platform, self.settings, self.proxies).map_err(rename_proxy_fields)?;
        let issued = self.platform.now();
        let (token, expected) = (&tokens.access_token, accepted.organization);
        match resolve_organization(&webex, self.platform, token, expected, TokenTrust::Pasted) {
            Ok(actual) => {
                match_organization(actual, accepted)?;
                Ok(self.date_tokens(&webex, tokens, issued))
            }
            Err(OrganizationError::Refused(refusal)) => {
                self.renew(&webex, &tokens, refusal, accepted)
            }
            Err(unresolved @ OrganizationError::Undisclosed) => {
                Err(invalid(TOKEN, unresolved.to_string()))
            }
            Err(unresolved @ OrganizationError::Unverified(_)) => {
                Err(Failure::Unavailable(unresolved.to_string()))
            }
            Err(OrganizationError::RequestFailed(error)) => {
                Err(error.into_failure(self.platform.now()))
            }
        }
    }

    /// Determines how old pasted tokens are. If Webex names the access token's expiry, the
    /// lifetimes of the response count from its issue; otherwise they are assumed.
    fn date_tokens(
        &self,
        webex: &Webex<'_>,
        tokens: TokenResponse,
        now: UnixMillis,
    ) -> ConfirmedTokens {
        for warning in tokens.warnings() {
            self.platform.log(Level::Warning, &warning);
        }
        let lifetime = tokens.expires_in.usable();
        let (response, issued) = match (self.fetch_expiry(webex, &tokens, now), lifetime) {
            (Some(end), Some(lifetime)) => (tokens, (end - lifetime).min(now)),
            (Some(end), None) => {
                let expires_in = Lifetime::Reported(end - now);
                let response = tokens.assume_lifetimes();
                (
                    TokenResponse {
                        expires_in,
                        ..response
                    },
                    now,
                )
            }
            (None, _) => (tokens.assume_lifetimes(), now),
        };
        ConfirmedTokens {
            response,
            source: TokenSource::Pasted,
            issued,
        }
    }

    /// Asks Webex when the access token expires. `None` when Webex cannot be asked, or names an impossible time. This is
    /// one in the past although the token works, or after the lifetime that the response names.
    fn fetch_expiry(
        &self,
        webex: &Webex<'_>,
        tokens: &TokenResponse,
        now: UnixMillis,
    ) -> Option<UnixMillis> {
        let scopes = tokens.scopes.as_deref().unwrap_or_default();
        if !scopes.iter().any(|scope| scope == TOKENS_READ) {
            return None;
        }
        let lifetime = tokens.expires_in.usable().unwrap_or(MAX_LIFETIME);
        let latest = now + lifetime + MAX_CLOCK_SKEW;
        let reason = match fetch_token_expiry(webex, &tokens.access_token) {
            Ok(end) if now < end && end <= latest => return Some(end),
            Ok(_) => "Webex names an expiry that is impossible for this token".to_owned(),
            Err(error) => error.to_string(),
        };
        let text = format!("the age of the tokens is not known: {reason}");
        self.platform.log(Level::Info, &text);
        None
    }

    /// Requests new tokens, because Webex refused the access token.
    fn renew(
        &self,
        webex: &Webex<'_>,
        pasted: &TokenResponse,
        refusal: WebexError,
        accepted: &mut ValidatedInput,
    ) -> Result<ConfirmedTokens, Failure> {
        let refused = OrganizationError::Refused(refusal).to_string();
        let Some(refresh_token) = &pasted.refresh_token else {
            return Err(invalid(TOKEN, refused));
        };
        let client = match ClientCredentials::reveal(self.settings, self.platform)? {
            Ok(client) => client,
            Err(missing) => {
                let why = format!("{refused}; it cannot be refreshed: {missing}");
                return Err(invalid(TOKEN, why));
            }
        };
        // The stored tokens of this organization must not be used up for another one.
        let own = self.find_own_organization(refresh_token);
        if let (Some(own), Some(_)) = (own, accepted.organization) {
            match_organization(own, accepted)?;
        }
        let text = format!("the access token {refused}; it is refreshed first");
        self.platform.log(Level::Warning, &text);
        let issued = self.platform.now();
        let access_token = || Some(pasted.access_token.clone());
        let response = oauth::refresh(webex, &client, refresh_token, access_token)
            .map_err(|error| self.explain_failed_renewal(&refused, error))?;
        let response = response.complete_from(pasted);
        let actual = self.find_organization(webex, &response, own, accepted)?;
        match_organization(actual, accepted).map_err(add_used_note)?;
        Ok(ConfirmedTokens {
            response,
            source: TokenSource::Consented,
            issued,
        })
    }

    /// Determines the organization of new tokens. If Webex cannot be asked, uses the organization
    /// in the token itself, or of the record that stored the refresh token. So no tokens are lost.
    fn find_organization(
        &self,
        webex: &Webex<'_>,
        response: &TokenResponse,
        own: Option<OrgId>,
        accepted: &ValidatedInput,
    ) -> Result<OrgId, Failure> {
        let (token, expected) = (&response.access_token, accepted.organization);
        let resolved =
            resolve_organization(webex, self.platform, token, expected, TokenTrust::Issued);
        let unresolved = match resolved {
            Ok(organization) => return Ok(organization),
            Err(unresolved) => unresolved,
        };
        let passing = matches!(
            unresolved,
            OrganizationError::RequestFailed(_) | OrganizationError::Unverified(_)
        );
        let known = own.or_else(|| OrgId::from_token_claim(token).filter(|_| passing));
        match known {
            Some(organization) => {
                let text = format!(
                    "Webex could not be asked for the organization of the new tokens; they are \
                     taken as those of {organization}: {unresolved}"
                );
                self.platform.log(Level::Warning, &text);
                Ok(organization)
            }
            None if passing => Err(add_used_note(Failure::Unavailable(unresolved.to_string()))),
            None => Err(add_used_note(invalid(TOKEN, unresolved.to_string()))),
        }
    }

    /// Returns the record's organization if `refresh_token` is the stored one.
    fn find_own_organization(&self, refresh_token: &Secret) -> Option<OrgId> {
        let (record, stored) = self.before?;
        let same = stored.refresh_token.as_ref() == Some(refresh_token);
        OrgId::parse(record.organization()?).ok().filter(|_| same)
    }

    fn explain_failed_renewal(&self, refused: &str, error: WebexError) -> Failure {
        if error.kind == ErrorKind::Refused {
            let too = format!("is refused by Webex too: {error}");
            return Failure::Invalid(vec![
                FieldError::new(TOKEN, refused),
                FieldError::new(REFRESH_TOKEN, too),
            ]);
        }
        let lost = match error.lost {
            true => {
                "; the response of Webex may be lost, and Webex may not accept the pasted \
                     refresh token again"
            }
            false => "",
        };
        let why =
            format!("the access token {refused}; new tokens could not be fetched: {error}{lost}");
        match error.into_failure(self.platform.now()) {
            Failure::Unavailable(_) => Failure::Unavailable(why),
            Failure::LimitExceeded(_) => Failure::LimitExceeded(why),
            failure => {
                self.platform.log(Level::Warning, &why);
                failure
            }
        }
    }
}

/// Checks that `actual` is the organization of the account number; fills in an absent account
/// number.
fn match_organization(actual: OrgId, accepted: &mut ValidatedInput) -> Result<(), Failure> {
    match accepted.organization {
        None => {
            accepted.set_organization(actual);
            Ok(())
        }
        Some(expected) if expected == actual => Ok(()),
        Some(expected) => Err(invalid(
            accepted.organization_field,
            format!("names the organization {expected}, but the tokens belong to {actual}"),
        )),
    }
}

fn add_used_note(failure: Failure) -> Failure {
    let with_note = |text: String| format!("{text}; {REFRESH_TOKEN_USED}");
    match failure {
        Failure::Invalid(mut errors) => {
            if let Some(error) = errors.first_mut() {
                error.message = with_note(std::mem::take(&mut error.message));
            }
            Failure::Invalid(errors)
        }
        Failure::Conflict(text) => Failure::Conflict(with_note(text)),
        Failure::Unavailable(text) => Failure::Unavailable(with_note(text)),
        failure => failure,
    }
}

// The host names the proxies by URL scheme.
fn rename_proxy_fields(failure: Failure) -> Failure {
    let Failure::Invalid(mut errors) = failure else {
        return failure;
    };
    for error in &mut errors {
        if error.field == "http" || error.field == "https" {
            error.field.push_str("_proxy");
        }
    }
    Failure::Invalid(errors)
}

fn invalid(field: &str, message: impl Into<String>) -> Failure {
    Failure::Invalid(vec![FieldError::new(field, message)])
}

#[cfg(test)]
#[path = "pasted_tokens_tests.rs"]
mod tests;
