//! OAuth as Webex speaks it (RFC 6749, RFC 7636): the consent page's address, the exchange of its
//! code, refresh, and revocation.

use std::borrow::Cow;

use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, Scope,
};

use super::answer::TokenResponse;
use super::client::Webex;
use super::errors::{ErrorKind, WebexError};
use super::token_endpoint::{Shown, WebexClient, tokens};
use crate::platform::{Platform, Secret};
use crate::settings::{ClientCredentials, Settings};

const AUTHORIZE_PATH: &str = "/authorize";
const AUTHORIZATIONS_PATH: &str = "/authorizations";

/// What a person is asked to consent to.
pub struct Consent<'a> {
    /// Where the browser is sent afterwards; Webex compares it verbatim.
    pub redirect_uri: &'a RedirectUrl,
    /// What is asked for.
    pub scopes: &'a [String],
    /// What the callback brings back.
    pub state: &'a str,
    /// RFC 7636's `code_verifier`: 43 to 128 characters, of which the page gets the SHA-256.
    pub verifier: &'a Secret,
}

/// The address of Webex's consent page; none when the configured base address cannot be one.
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

/// Asks Webex for the tokens of a consent: by its `code`, the redirect address to which the code
/// came, and the verifier of which the consent page got the SHA-256.
///
/// # Errors
/// [`ErrorKind::Refused`] only when Webex says that the code is dead, which it is also when
/// redirect address or verifier do not belong to it; [`ErrorKind::Client`] when it does not
/// accept the client id or secret; every other error says nothing about the consent.
pub fn exchange<P: Platform + ?Sized>(
    webex: &Webex<'_, P>,
    client: &ClientCredentials,
    code: &Secret,
    redirect_uri: &RedirectUrl,
    verifier: &Secret,
) -> Result<TokenResponse, WebexError> {
    let secrets = || vec![code.clone(), verifier.clone()];
    tokens(webex, client, Shown::Code, secrets, |client, courier| {
        client
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_redirect_uri(Cow::Borrowed(redirect_uri))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
            .request(courier)
    })
}

/// Asks Webex for new tokens by `refresh_token`. `access_token` opens the one that is held, for
/// an error text that repeats it; it is called only when there is an error.
///
/// # Errors
/// [`ErrorKind::Refused`] only when Webex says that this refresh token is dead;
/// [`ErrorKind::Client`] when it does not accept the client id or secret; every other error
/// says nothing about the grant.
pub fn refresh<P: Platform + ?Sized>(
    webex: &Webex<'_, P>,
    client: &ClientCredentials,
    refresh_token: &Secret,
    access_token: impl FnOnce() -> Option<Secret>,
) -> Result<TokenResponse, WebexError> {
    let secrets = || {
        let held = access_token();
        held.into_iter().chain([refresh_token.clone()]).collect()
    };
    let shown = Shown::RefreshToken;
    tokens(webex, client, shown, secrets, |client, courier| {
        let held = RefreshToken::new(refresh_token.expose().to_owned());
        client.exchange_refresh_token(&held).request(courier)
    })
}

/// Withdraws what the organisation `organization` (the API's id) granted to the client: its
/// refresh tokens, and with them their access tokens. That it is already gone is success.
///
/// # Errors
/// Any other answer than success.
pub fn revoke<P: Platform + ?Sized>(
    webex: &Webex<'_, P>,
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
