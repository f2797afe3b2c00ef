//! Begins a consent: builds the link for a person and stores the data to check the callback.

use oauth2::RedirectUrl;

use crate::consent::{self, PendingConsent};
use crate::grant::Grant;
use crate::model::derived;
use crate::platform::{Change, Failure, FieldError, Level, Platform};
use crate::record::Record;
use crate::reports::Authorization;
use crate::scopes;
use crate::settings::{ClientCredentials, Settings};
use crate::webex::oauth;

/// Begins a consent for `grant` of `pkid`: OAuth's authorization-code flow with PKCE. Sends nothing to
/// Webex and leaves the connection unchanged. A second call replaces the first.
///
/// # Errors
/// `not-found`; `invalid` (`redirect-uri`, `grant`); `limit-exceeded` when a setting is missing,
/// so that no consent is useless; `conflict` and `unavailable` from the storage.
pub fn connect(
    platform: &dyn Platform,
    pkid: &str,
    grant: Grant,
    redirect_uri: &str,
) -> Result<Authorization, Failure> {
    let mut record = Record::load(platform, pkid)?;
    record.require_grant(grant)?;
    record.note_interruption(platform);
    consent::check_redirect(redirect_uri)
        .map_err(|error| Failure::Invalid(vec![FieldError::new("redirect-uri", error)]))?;
    let redirect = RedirectUrl::new(redirect_uri.to_owned()).map_err(|error| {
        Failure::Internal(format!(
            "the redirect address cannot be read again: {error}"
        ))
    })?;
    let settings = Settings::load(platform)?;
    let client = ClientCredentials::reveal(&settings, platform)?
        .map_err(|missing| Failure::LimitExceeded(missing.to_owned()))?;

    let now = platform.now();
    let scopes = scopes::required(&record, grant, &settings);
    let state = consent::new_state(pkid, platform);
    let verifier = consent::new_verifier(platform);
    let expires = now + settings.connect_lifetime;
    let consent_request = oauth::Consent {
        redirect_uri: &redirect,
        scopes: &scopes,
        state: &state,
        verifier: &verifier,
    };
    let url = oauth::authorize_url(&settings, &client.id, &consent_request).ok_or_else(|| {
        Failure::LimitExceeded("`webex.base-url` is not an address of a consent page".to_owned())
    })?;

    let check = record.version_check();
    let pending = PendingConsent {
        state: consent::hash_state(&state),
        redirect_uri: redirect_uri.to_owned(),
        scopes: scopes.clone(),
        expires,
    };
    record.body.consents.begin(grant, pending, now);
    let seal = Change::PutSecret {
        owner: record.reference(),
        name: consent::verifier_name(grant).to_owned(),
        value: verifier,
    };
    platform.commit(vec![check], vec![Change::Put(record.to_document()?), seal])?;
    platform.log(
        Level::Info,
        &format!(
            "a consent for the grant {grant} of {} was begun; it waits for its callback until {}",
            record.name(),
            derived::format_timestamp(expires)
        ),
    );
    Ok(Authorization {
        grant,
        url,
        state,
        redirect_uri: redirect_uri.to_owned(),
        scopes,
        expires: expires.0,
    })
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
