//! OAuth at Webex (RFC 6749, RFC 7636): the URL of the consent page, the exchange of its code,
//! refresh, and revocation.

use std::borrow::Cow;

use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, Scope,
};

use super::client::Webex;
use super::errors::{ErrorKind, WebexError};
use super::token_endpoint::{Credential, WebexClient, request_tokens};
use super::token_response::TokenResponse;
use crate::platform::Secret;
use crate::settings::{ClientCredentials, Settings};

const AUTHORIZE_PATH: &str = "/authorize";
const AUTHORIZATIONS_PATH: &str = "/authorizations";

/// The parameters of a consent.
pub struct Consent<'a> {
    /// The URL to which the browser is sent afterwards; Webex compares it verbatim.
    pub redirect_uri: &'a RedirectUrl,
    /// The requested scopes.
    pub scopes: &'a [String],
    /// The `state` that the callback returns.
    pub state: &'a str,
    /// RFC 7636's `code_verifier`: 43 to 128 characters; the page receives its SHA-256.
    pub verifier: &'a Secret,
}

/// Builds the URL of Webex's consent page; none when the configured base URL is not valid.
pub fn authorize_url(
    settings: &Settings,
    client_id: &str,
    consent: &Consent<'_>,
) -> Option<String> {
    let address = format!("{}{AUTHORIZE_PATH}", settings.base_url);
    let verifier = PkceCodeVerifier::new(consent.verifier.expose().to_owned());
    let state = CsrfToken::new(consent.state.to_owned());
    let (url, _) = WebexClient::new(ClientId::new(client_id.to_owned()))
        .set_auth_uri(AuthUrl::new(address).ok()?)
        .authorize_url(|| state)
        .set_redirect_uri(Cow::Borrowed(consent.redirect_uri))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .add_scopes(consent.scopes.iter().cloned().map(Scope::new))
        .url();
    Some(url.into())
}

/// Exchanges the `code` of a consent for tokens, with the redirect URI that received the code, and
/// the verifier whose SHA-256 the consent page received.
///
/// # Errors
/// - [`ErrorKind::Refused`] only when Webex says that the code is dead, or that redirect URI or
///   verifier do not belong to it.
/// - [`ErrorKind::Client`] when Webex does not accept the client id or secret.
/// - All other errors say nothing about the consent.
pub fn exchange(
    webex: &Webex<'_>,
    client: &ClientCredentials,
    code: &Secret,
    redirect_uri: &RedirectUrl,
    verifier: &Secret,
) -> Result<TokenResponse, WebexError> {
    let secrets = || vec![code.clone(), verifier.clone()];
    request_tokens(
        webex,
        client,
        Credential::Code,
        secrets,
        |client, transport| {
            client
                .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
                .set_redirect_uri(Cow::Borrowed(redirect_uri))
                .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
                .request(transport)
        },
    )
}

/// Requests new tokens with `refresh_token`. `access_token` reveals the stored one, so that an
/// error text that repeats it can be redacted; it is called only after an error.
///
/// # Errors
/// - [`ErrorKind::Refused`] only when Webex says that this refresh token is dead.
/// - [`ErrorKind::Client`] when Webex does not accept the client id or secret.
/// - All other errors say nothing about the grant.
pub fn refresh(
    webex: &Webex<'_>,
    client: &ClientCredentials,
    refresh_token: &Secret,
    access_token: impl FnOnce() -> Option<Secret>,
) -> Result<TokenResponse, WebexError> {
    let secrets = || {
        let stored = access_token();
        stored.into_iter().chain([refresh_token.clone()]).collect()
    };
    let credential = Credential::RefreshToken;
    request_tokens(webex, client, credential, secrets, |client, transport| {
        let stored = RefreshToken::new(refresh_token.expose().to_owned());
        client.exchange_refresh_token(&stored).request(transport)
    })
}

/// Revokes what `organization` (in the API's form) granted to the client: its refresh tokens, and
/// with them their access tokens. An absent grant counts as revoked.
///
/// # Errors
/// Any response other than success.
pub fn revoke(
    webex: &Webex<'_>,
    client_id: &str,
    organization: &str,
    access_token: &Secret,
) -> Result<(), WebexError> {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("clientId", client_id)
        .append_pair("orgId", organization)
        .finish();
    match webex.delete(&format!("{AUTHORIZATIONS_PATH}?{query}"), access_token) {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
#[path = "oauth_tests.rs"]
mod tests;
