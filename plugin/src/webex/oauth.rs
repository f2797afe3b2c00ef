//! The token endpoint: refresh by RFC 6749 (section 6) as Webex speaks it, and revocation.

use std::cell::RefCell;
use std::fmt;

use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use oauth2::basic::{
    BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AccessToken, AuthType, Client, ClientId, ClientSecret, ErrorResponse, HttpRequest,
    HttpResponse, RefreshToken, RequestTokenError, Scope, StandardRevocableToken, TokenResponse,
    TokenUrl,
};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::answer::{LARGEST_TOKEN_ANSWER, TokenAnswer};
use super::client::{Webex, label};
use super::errors::{Answered, ErrorBody, ErrorKind, WebexError, kind_of};
use crate::platform::{HttpError, Platform, Secret};
use crate::settings::ClientCredentials;

const TOKEN_PATH: &str = "/access_token";
const AUTHORIZATIONS_PATH: &str = "/authorizations";

type WebexClient = Client<
    ErrorAnswer,
    WireAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// Asks Webex for new tokens by `refresh_token`.
///
/// # Errors
/// [`ErrorKind::Refused`] only when Webex says that this refresh token is dead;
/// [`ErrorKind::Client`] when it does not accept the client id or secret; every other error
/// says nothing about the grant.
pub fn refresh<P: Platform + ?Sized>(
    webex: &Webex<'_, P>,
    client: &ClientCredentials,
    refresh_token: &Secret,
) -> Result<TokenAnswer, WebexError> {
    let address = webex.address(TOKEN_PATH);
    let request = label(&Method::POST, &address);
    let scrubber = webex.scrubber_with(&[refresh_token, &client.secret]);
    let Ok(token_url) = TokenUrl::new(address) else {
        let what = Some("the address is not valid".to_owned());
        return Err(WebexError::new(ErrorKind::Rejected, request, what));
    };
    let authenticated = WebexClient::new(ClientId::new(client.id.clone()))
        .set_client_secret(ClientSecret::new(client.secret.expose().to_owned()))
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(token_url);

    // The library keeps of an answer only its body; the rest is noted here as it passes.
    let noted: RefCell<Option<Answered>> = RefCell::new(None);
    let send = |request: HttpRequest| -> Result<HttpResponse, HttpError> {
        let mut answer = webex.send(request)?;
        *noted.borrow_mut() = Some(Answered::of(&answer, webex.now()));
        if answer.body().len() > LARGEST_TOKEN_ANSWER {
            answer.body_mut().clear();
        }
        if answer.status().is_success() {
            // Tokens under another type or another success, as a proxy may make of them, are
            // tokens all the same, and may be the only ones that live.
            *answer.status_mut() = StatusCode::OK;
            answer.headers_mut().remove(CONTENT_TYPE);
        }
        Ok(answer)
    };
    let held = RefreshToken::new(refresh_token.expose().to_owned());
    let result = authenticated.exchange_refresh_token(&held).request(&send);

    let answered = noted.into_inner();
    let unreadable = |what: &str| match &answered {
        Some(answered) if answered.status.is_success() => {
            WebexError::unusable(&request, answered.clone(), what, &scrubber)
        }
        Some(answered) => {
            let kind = match kind_of(answered.status) {
                ErrorKind::RateLimited => ErrorKind::RateLimited,
                // Without a body that Webex could have written, somebody in between answered.
                _ => ErrorKind::Unavailable,
            };
            let body = ErrorBody::default();
            WebexError::with_body(kind, &request, answered.clone(), &body, &scrubber)
        }
        None => WebexError::new(ErrorKind::Rejected, request.clone(), Some(what.to_owned())),
    };
    result.map(|wire| wire.answer).map_err(|error| match error {
        RequestTokenError::Request(error) => WebexError::unanswered(&request, &error, &scrubber),
        RequestTokenError::ServerResponse(ErrorAnswer(body)) => match &answered {
            Some(answered) => {
                let kind = refusal_or_fault(answered, &body);
                WebexError::with_body(kind, &request, answered.clone(), &body, &scrubber)
            }
            None => unreadable("nothing was answered"),
        },
        // Neither text is repeated: both may show parts of the answer.
        RequestTokenError::Parse(..) => unreadable("the answer is not a token answer"),
        RequestTokenError::Other(_) => unreadable("the answer is empty or too large"),
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

/// Whether an error answer of the token endpoint refuses the grant, or is a fault that says
/// nothing about it. Decided by status and codes, and by the one sentence that Webex is known to
/// use in a body without a code.
fn refusal_or_fault(answered: &Answered, body: &ErrorBody) -> ErrorKind {
    let status = answered.status.as_u16();
    if !matches!(status, 400 | 401 | 403) {
        return kind_of(answered.status);
    }
    match body.error.as_deref().map(str::trim) {
        Some("invalid_grant" | "unauthorized_client") => ErrorKind::Refused,
        Some("invalid_client") => ErrorKind::Client,
        _ if status != 403 && says_refresh_token_is_dead(&body.words()) => ErrorKind::Refused,
        Some(_) => ErrorKind::Rejected,
        None if status == 403 => ErrorKind::Unavailable,
        None => ErrorKind::Client,
    }
}

fn says_refresh_token_is_dead(words: &str) -> bool {
    let words = words.to_lowercase().replace('_', " ");
    words.contains("refresh token")
        && ["expired", "invalid", "not valid", "revoked"]
            .iter()
            .any(|each| words.contains(each))
}

/// A token answer in the shape that the OAuth library wants.
struct WireAnswer {
    answer: TokenAnswer,
    access_token: AccessToken,
    refresh_token: Option<RefreshToken>,
}

impl<'de> Deserialize<'de> for WireAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let answer = TokenAnswer::deserialize(deserializer)?;
        Ok(Self {
            access_token: AccessToken::new(answer.access_token.expose().to_owned()),
            refresh_token: answer
                .refresh_token
                .as_ref()
                .map(|token| RefreshToken::new(token.expose().to_owned())),
            answer,
        })
    }
}

impl Serialize for WireAnswer {
    /// The library demands it and never calls it; tokens are not written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

impl fmt::Debug for WireAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answer.fmt(f)
    }
}

impl TokenResponse for WireAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &BasicTokenType::Bearer
    }

    fn expires_in(&self) -> Option<std::time::Duration> {
        self.answer
            .expires_in
            .milliseconds()
            .map(std::time::Duration::from_millis)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    /// None: the scopes are taken from the answer itself.
    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

/// An error answer of either shape. Shows nothing of itself: it may repeat a secret.
struct ErrorAnswer(ErrorBody);

impl<'de> Deserialize<'de> for ErrorAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::<String, Value>::deserialize(deserializer)?;
        Ok(Self(ErrorBody::from_fields(&fields)))
    }
}

impl Serialize for ErrorAnswer {
    /// The library demands it and never calls it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

impl fmt::Debug for ErrorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorAnswer(…)")
    }
}

impl fmt::Display for ErrorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error answer")
    }
}

impl ErrorResponse for ErrorAnswer {}

#[cfg(test)]
#[path = "oauth_tests.rs"]
mod tests;
