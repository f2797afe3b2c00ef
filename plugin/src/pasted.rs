//! Tokens that a person brings: whether they work, whose they are, and how old they are.
//!
//! An access token that Webex refuses is no reason to refuse the connection while the refresh token
//! lives: new tokens are asked for first, and those are stored.

use crate::model::{FieldErrors, ValidatedInput};
use crate::platform::{Failure, FieldError, Level, OnUnavailable, Platform, Secret, Timestamp};
use crate::record::Record;
use crate::settings::{ClientCredentials, Settings};
use crate::timing::{CLOCKS_APART, LONGEST_LIFE};
use crate::tokens::{Held, Origin};
use crate::webex::answer::{Lifetime, TokenResponse};
use crate::webex::authorizations::{TOKENS_READ, token_expiry};
use crate::webex::client::{Proxies, Webex};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::ids::OrgId;
use crate::webex::oauth;
use crate::webex::organizations::{Source, Unresolved, organization_of};

/// What the caller knows the token endpoint's answer as.
const TOKEN_ANSWER: &str = "token_response";
const TOKEN: &str = "token";
const REFRESH_TOKEN: &str = "refresh_token";
/// The error text after Webex accepted the pasted refresh token.
const USED: &str = "the access token was refused, so the pasted refresh token was used to get new \
                    tokens, and Webex may not accept it again: fetch new tokens";

/// The tokens that came with the input, by either way; faults when they cannot be used.
pub fn read_tokens(
    accepted: &ValidatedInput,
    answer: Option<&Secret>,
    faults: &mut FieldErrors,
) -> Option<TokenResponse> {
    let tokens = match answer {
        None => accepted.tokens.as_ref().map(|pasted| {
            TokenResponse::pasted(pasted.access.clone(), Some(pasted.refresh.clone()))
        }),
        Some(answer) => match TokenResponse::parse(answer.expose()) {
            Ok(answer) if answer.refresh_token.is_none() => {
                faults.add(
                    TOKEN_ANSWER,
                    "has no `refresh_token`: without it the connection cannot be kept alive",
                );
                None
            }
            Ok(answer) => Some(answer),
            Err(error) => {
                faults.add(TOKEN_ANSWER, error.to_string());
                None
            }
        },
    };
    tokens.filter(|tokens| {
        let same = tokens.refresh_token.as_ref() == Some(&tokens.access_token);
        if same {
            faults.add(
                REFRESH_TOKEN,
                "is the access token once more: the refresh token is another one",
            );
        }
        !same
    })
}

/// Tokens that Webex confirmed.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// The tokens with their lifetimes, as far as these are known.
    pub answer: TokenResponse,
    /// The source of the tokens.
    pub origin: Origin,
    /// The moment from which lives count.
    pub issued: Timestamp,
}

impl Confirmed {
    /// The fate of the tokens' commit while the store is unavailable. The caller still holds pasted
    /// tokens; the tokens of a response exist nowhere else.
    pub fn on_unavailable(&self) -> OnUnavailable {
        match self.origin {
            Origin::Pasted => OnUnavailable::Fail,
            Origin::Consented | Origin::Refreshed => OnUnavailable::Keep,
        }
    }

    /// Adds to `failure`, by which the tokens were not stored, that the pasted refresh token was
    /// used.
    pub fn explain(&self, failure: Failure) -> Failure {
        match self.origin {
            Origin::Pasted => failure,
            _ => add_used_note(failure),
        }
    }
}

/// The context for asking Webex about pasted tokens.
pub struct Inquiry<'a, P: ?Sized> {
    /// The platform.
    pub platform: &'a P,
    /// The settings of the call.
    pub settings: &'a Settings,
    /// The proxies as they will be.
    pub proxies: &'a Proxies,
    /// The record that the tokens are for, with those that it holds, unless it is a new one.
    pub before: Option<(&'a Record, &'a Held)>,
}

impl<P: Platform + ?Sized> Inquiry<'_, P> {
    /// Asks Webex whether `tokens` work and whose they are. They must belong to the organisation of
    /// the account number, which is filled in when there is none.
    ///
    /// # Errors
    /// `invalid` when the tokens are the wrong ones; `unavailable`, `rate-limited` or
    /// `limit-exceeded` when Webex could not be asked, or something else answered.
    pub fn confirm(
        &self,
        tokens: TokenResponse,
        accepted: &mut ValidatedInput,
    ) -> Result<Confirmed, Failure> {
        let webex =
            Webex::new(self.platform, self.settings, self.proxies).map_err(rename_proxy_fields)?;
        let issued = self.platform.now();
        let (token, expected) = (&tokens.access_token, accepted.organization);
        match organization_of(&webex, self.platform, token, expected, Source::Pasted) {
            Ok(actual) => {
                match_organization(actual, accepted)?;
                Ok(self.date(&webex, tokens, issued))
            }
            Err(Unresolved::Refused(refusal)) => self.renew(&webex, &tokens, refusal, accepted),
            Err(unresolved @ Unresolved::Silent) => Err(invalid(TOKEN, unresolved.to_string())),
            Err(unresolved @ Unresolved::Unproven(_)) => {
                Err(Failure::Unavailable(unresolved.to_string()))
            }
            Err(Unresolved::Unasked(error)) => Err(error.into_failure(self.platform.now())),
        }
    }

    /// Finds out how old pasted tokens are. By Webex's word on the end of the access token the lives
    /// that the answer names count from their beginning; without it they are assumed.
    fn date(&self, webex: &Webex<'_, P>, tokens: TokenResponse, now: Timestamp) -> Confirmed {
        for warning in tokens.warnings() {
            self.platform.log(Level::Warning, &warning);
        }
        let life = tokens.expires_in.milliseconds();
        let (answer, issued) = match (self.ask_expiry(webex, &tokens, now), life) {
            (Some(end), Some(life)) => (tokens, end.saturating_sub(life).min(now)),
            (Some(end), None) => {
                let expires_in = Lifetime::Told(end.saturating_sub(now));
                let answer = tokens.into_undated();
                (
                    TokenResponse {
                        expires_in,
                        ..answer
                    },
                    now,
                )
            }
            (None, _) => (tokens.into_undated(), now),
        };
        Confirmed {
            answer,
            origin: Origin::Pasted,
            issued,
        }
    }

    /// Asks Webex when the access token expires. None when Webex cannot be asked, or names an
    /// impossible moment: in the past although the token works, or after the lifetime that the
    /// response names.
    fn ask_expiry(
        &self,
        webex: &Webex<'_, P>,
        tokens: &TokenResponse,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let scopes = tokens.scopes.as_deref().unwrap_or_default();
        if !scopes.iter().any(|scope| scope == TOKENS_READ) {
            return None;
        }
        let life = tokens.expires_in.milliseconds().unwrap_or(LONGEST_LIFE);
        let latest = now.saturating_add(life).saturating_add(CLOCKS_APART);
        let doubt = match token_expiry(webex, &tokens.access_token) {
            Ok(end) if now < end && end <= latest => return Some(end),
            Ok(_) => "Webex names an end that cannot be the one of this token".to_owned(),
            Err(error) => error.to_string(),
        };
        let text = format!("how old the tokens are is not known: {doubt}");
        self.platform.log(Level::Info, &text);
        None
    }

    /// Asks for new tokens, because Webex refused the access token.
    fn renew(
        &self,
        webex: &Webex<'_, P>,
        pasted: &TokenResponse,
        refusal: WebexError,
        accepted: &mut ValidatedInput,
    ) -> Result<Confirmed, Failure> {
        let refused = Unresolved::Refused(refusal).to_string();
        let Some(refresh_token) = &pasted.refresh_token else {
            return Err(invalid(TOKEN, refused));
        };
        let client = match ClientCredentials::reveal(self.settings, self.platform)? {
            Ok(client) => client,
            Err(key) => {
                let why = format!("{refused}; it cannot be refreshed: `{key}` is not configured");
                return Err(invalid(TOKEN, why));
            }
        };
        // The tokens of this organisation: they must not be used up for another one.
        let own = self.find_own_organization(refresh_token);
        if let (Some(own), Some(_)) = (own, accepted.organization) {
            match_organization(own, accepted)?;
        }
        let text = format!("the access token {refused}; it is refreshed first");
        self.platform.log(Level::Warning, &text);
        let issued = self.platform.now();
        let access_token = || Some(pasted.access_token.clone());
        let answer = oauth::refresh(webex, &client, refresh_token, access_token)
            .map_err(|error| self.explain_failed_renewal(&refused, error))?;
        let answer = answer.complete_from(pasted);
        let actual = self.find_organization(webex, &answer, own, accepted)?;
        match_organization(actual, accepted).map_err(add_used_note)?;
        Ok(Confirmed {
            answer,
            origin: Origin::Consented,
            issued,
        })
    }

    /// Determines the organisation of new tokens. If Webex cannot be asked, the organisation is that
    /// of the token itself, or of the record that held the refresh token, so that no tokens are lost.
    fn find_organization(
        &self,
        webex: &Webex<'_, P>,
        answer: &TokenResponse,
        own: Option<OrgId>,
        accepted: &ValidatedInput,
    ) -> Result<OrgId, Failure> {
        let (token, expected) = (&answer.access_token, accepted.organization);
        let asked = organization_of(webex, self.platform, token, expected, Source::Issued);
        let unresolved = match asked {
            Ok(organization) => return Ok(organization),
            Err(unresolved) => unresolved,
        };
        let passing = matches!(unresolved, Unresolved::Unasked(_) | Unresolved::Unproven(_));
        let known = own.or_else(|| OrgId::claimed_by(token).filter(|_| passing));
        match known {
            Some(organization) => {
                let text = format!(
                    "Webex could not be asked for the organisation of the new tokens; they are \
                     taken as those of {organization}: {unresolved}"
                );
                self.platform.log(Level::Warning, &text);
                Ok(organization)
            }
            None if passing => Err(add_used_note(Failure::Unavailable(unresolved.to_string()))),
            None => Err(add_used_note(invalid(TOKEN, unresolved.to_string()))),
        }
    }

    /// The record's organisation, when `refresh_token` is the one that the record holds.
    fn find_own_organization(&self, refresh_token: &Secret) -> Option<OrgId> {
        let (record, held) = self.before?;
        let same = held.refresh_token.as_ref() == Some(refresh_token);
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
                "; what Webex may have answered is lost, and it may not accept the pasted \
                     refresh token again"
            }
            false => "",
        };
        let why = format!("the access token {refused}; new tokens could not be had: {error}{lost}");
        match error.into_failure(self.platform.now()) {
            Failure::Unavailable(_) => Failure::Unavailable(why),
            Failure::LimitExceeded(_) => Failure::LimitExceeded(why),
            Failure::Internal(_) => Failure::Internal(why),
            failure => {
                self.platform.log(Level::Warning, &why);
                failure
            }
        }
    }
}

/// Checks that `actual` is the organisation of the account number; fills in a missing account number.
fn match_organization(actual: OrgId, accepted: &mut ValidatedInput) -> Result<(), Failure> {
    match accepted.organization {
        None => {
            accepted.set_organization(actual);
            Ok(())
        }
        Some(expected) if expected == actual => Ok(()),
        Some(expected) => Err(invalid(
            accepted.organization_field,
            format!("names the organisation {expected}, but the tokens belong to {actual}"),
        )),
    }
}

fn add_used_note(failure: Failure) -> Failure {
    let told = |text: String| format!("{text}; {USED}");
    match failure {
        Failure::Invalid(mut faults) => {
            if let Some(fault) = faults.first_mut() {
                fault.message = told(std::mem::take(&mut fault.message));
            }
            Failure::Invalid(faults)
        }
        Failure::Conflict(text) => Failure::Conflict(told(text)),
        Failure::Unavailable(text) => Failure::Unavailable(told(text)),
        failure => failure,
    }
}

// The host calls the proxies by the schemes they are for.
fn rename_proxy_fields(failure: Failure) -> Failure {
    let Failure::Invalid(mut faults) = failure else {
        return failure;
    };
    for fault in &mut faults {
        if fault.field == "http" || fault.field == "https" {
            fault.field.push_str("_proxy");
        }
    }
    Failure::Invalid(faults)
}

fn invalid(field: &str, message: impl Into<String>) -> Failure {
    Failure::Invalid(vec![FieldError::new(field, message)])
}

#[cfg(test)]
#[path = "pasted_tests.rs"]
mod tests;
