//! The token endpoint as the OAuth library speaks to it: one request, and what its answer means.

use std::cell::RefCell;
use std::fmt;

use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use oauth2::basic::{
    BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AccessToken, AuthType, Client, ClientId, ClientSecret, EndpointNotSet, EndpointSet,
    ErrorResponse, HttpRequest, HttpResponse, RefreshToken, RequestTokenError, Scope,
    StandardRevocableToken, SyncHttpClient, TokenUrl,
};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::answer::{LARGEST_TOKEN_ANSWER, TokenResponse, TokenResponseError};
use super::client::{Webex, label};
use super::errors::{Answered, ErrorBody, ErrorKind, WebexError, kind_of};
use super::list_body::keep_readable_members;
use super::scrub::Scrubber;
use crate::platform::{HttpError, Platform, Secret};
use crate::settings::ClientCredentials;
use crate::text::strip_mark;

const TOKEN_PATH: &str = "/access_token";

/// The library's client, with Webex's answers.
pub(super) type WebexClient<HasAuthUrl = EndpointNotSet, HasTokenUrl = EndpointNotSet> = Client<
    ErrorAnswer,
    WireAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    HasAuthUrl,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    HasTokenUrl,
>;

/// A client that can ask for tokens.
pub(super) type TokenClient = WebexClient<EndpointNotSet, EndpointSet>;

/// What was shown for new tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// A refresh token.
    RefreshToken,
    /// The code of a consent.
    Code,
}

/// Carries the library's requests. Of an answer the library keeps only the body; the rest is
/// noted here as it passes.
pub(super) struct Courier<'a, P: ?Sized> {
    webex: &'a Webex<'a, P>,
    noted: RefCell<Option<Answered>>,
}

impl<P: Platform + ?Sized> SyncHttpClient for Courier<'_, P> {
    type Error = HttpError;

    fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut answer = self.webex.send(request)?;
        *self.noted.borrow_mut() = Some(Answered::of(&answer, self.webex.now()));
        if answer.body().len() > LARGEST_TOKEN_ANSWER {
            answer.body_mut().clear();
        }
        let content = strip_mark(answer.body());
        if content.len() < answer.body().len() {
            *answer.body_mut() = content.to_vec();
        }
        if answer.status().is_success() {
            if let Some(readable) = without_unreadable_members(answer.body()) {
                *answer.body_mut() = readable;
            }
            // Tokens under another type or another success, as a proxy may make of them, are
            // tokens all the same, and may be the only ones that live. An error under a success is
            // an error all the same.
            *answer.status_mut() = match is_error(answer.body()) {
                true => StatusCode::BAD_REQUEST,
                false => StatusCode::OK,
            };
            answer.headers_mut().remove(CONTENT_TYPE);
        }
        Ok(answer)
    }
}

/// The body of a success without members that cannot be read, such as a number that is too large; none
/// when all can be, or nothing can.
fn without_unreadable_members(body: &[u8]) -> Option<Vec<u8>> {
    match serde_json::from_slice::<Map<String, Value>>(body) {
        Ok(_) => None,
        Err(_) => keep_readable_members(body),
    }
}

/// Whether the body of a success is an error of Webex.
fn is_error(body: &[u8]) -> bool {
    // Nearly every answer has tokens: those are not read twice.
    let text = String::from_utf8_lossy(body);
    let named = ["\"error\"", "\"trackingId\""];
    named.iter().any(|name| text.contains(name))
        && serde_json::from_slice::<Map<String, Value>>(body)
            .is_ok_and(|fields| ErrorBody::from_success(&fields).is_some())
}

/// Asks the token endpoint by `ask`. `secrets` names what an error text must not repeat, besides
/// the client's own; it is called only when there is an error to tell.
///
/// # Errors
/// [`ErrorKind::Refused`] only when Webex says that what was shown is dead;
/// [`ErrorKind::Client`] when it does not accept the client id or secret; every other error says
/// nothing about the grant.
pub(super) fn tokens<P: Platform + ?Sized>(
    webex: &Webex<'_, P>,
    client: &ClientCredentials,
    shown: Shown,
    secrets: impl FnOnce() -> Vec<Secret>,
    ask: impl FnOnce(
        &TokenClient,
        &Courier<'_, P>,
    ) -> Result<WireAnswer, RequestTokenError<HttpError, ErrorAnswer>>,
) -> Result<TokenResponse, WebexError> {
    let address = webex.address(TOKEN_PATH);
    let request = label(&Method::POST, &address);
    let Ok(token_url) = TokenUrl::new(address) else {
        let what = Some("the address is not valid".to_owned());
        return Err(WebexError::new(ErrorKind::Rejected, request, what));
    };
    let authenticated = WebexClient::new(ClientId::new(client.id.clone()))
        .set_client_secret(ClientSecret::new(client.secret.expose().to_owned()))
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(token_url);
    let courier = Courier {
        webex,
        noted: RefCell::new(None),
    };
    ask(&authenticated, &courier)
        .map(|wire| wire.answer)
        .map_err(|error| {
            let secrets = secrets();
            let mut scrubber = webex.scrubber_with(&secrets.iter().collect::<Vec<_>>());
            scrubber.hide(&client.secret);
            scrubber.hide_basic(&client.id, client.secret.expose());
            let answered = courier.noted.into_inner();
            in_words(&request, error, answered, shown, &scrubber)
        })
}

fn in_words(
    request: &str,
    error: RequestTokenError<HttpError, ErrorAnswer>,
    answered: Option<Answered>,
    shown: Shown,
    scrubber: &Scrubber,
) -> WebexError {
    let unreadable = |what: &str| match &answered {
        Some(answered) if answered.status.is_success() => {
            WebexError::unusable(request, answered.clone(), what, scrubber)
        }
        Some(answered) => {
            let kind = match kind_of(answered.status) {
                ErrorKind::RateLimited => ErrorKind::RateLimited,
                // Without a body that Webex could have written, somebody in between answered.
                _ => ErrorKind::Unavailable,
            };
            let body = ErrorBody::default();
            WebexError::with_body(kind, request, answered.clone(), &body, scrubber)
        }
        None => WebexError::new(ErrorKind::Rejected, request, Some(what.to_owned())),
    };
    match error {
        RequestTokenError::Request(error) => WebexError::unanswered(request, &error, scrubber),
        RequestTokenError::ServerResponse(ErrorAnswer(body)) => match &answered {
            Some(answered) => {
                let kind = refusal_or_fault(answered, &body, shown);
                WebexError::with_body(kind, request, answered.clone(), &body, scrubber)
            }
            None => unreadable("nothing was answered"),
        },
        // Neither text is repeated: both may show parts of the answer.
        RequestTokenError::Parse(_, body) => match (TokenResponse::find_fault(&body), &answered) {
            // Without tokens it may be somebody else's.
            (Some(fault), Some(answered)) if fault != TokenResponseError::NoAccessToken => {
                let what = format!("the response {fault}");
                WebexError::malformed(request, answered.clone(), &what, scrubber)
            }
            _ => unreadable("the answer is not a token answer"),
        },
        RequestTokenError::Other(_) => unreadable("the answer is empty or too large"),
    }
}

/// Whether an error answer of the token endpoint refuses what was shown, or is a fault that says
/// nothing about it. Decided by status and codes, and by the sentences that Webex is known to use
/// in a body without a code. An error with the status of a success counts as a 400.
fn refusal_or_fault(answered: &Answered, body: &ErrorBody, shown: Shown) -> ErrorKind {
    let status = answered.status.as_u16();
    if !answered.status.is_success() && !matches!(status, 400 | 401 | 403) {
        return kind_of(answered.status);
    }
    if let Some(kind) = body.passing_kind() {
        return kind;
    }
    match body.code() {
        Some("invalid_grant") => ErrorKind::Refused,
        // Neither code judges the token in the request (RFC 6749, section 5.2).
        Some("invalid_client" | "unauthorized_client") => ErrorKind::Client,
        _ if !body.can_refuse() => ErrorKind::Unavailable,
        _ if status != 403 && says_it_is_dead(&body.words(), shown) => ErrorKind::Refused,
        Some(_) => ErrorKind::Rejected,
        None if status == 403 || answered.status.is_success() => ErrorKind::Unavailable,
        None => ErrorKind::Client,
    }
}

fn says_it_is_dead(words: &str, shown: Shown) -> bool {
    let words = words.to_lowercase().replace('_', " ");
    let what = match shown {
        Shown::RefreshToken => "refresh token",
        Shown::Code => "code",
    };
    words.contains(what)
        && ["expired", "invalid", "not valid", "revoked"]
            .iter()
            .any(|each| words.contains(each))
}

/// A token answer in the shape that the OAuth library wants.
pub(super) struct WireAnswer {
    answer: TokenResponse,
    access_token: AccessToken,
    refresh_token: Option<RefreshToken>,
}

impl<'de> Deserialize<'de> for WireAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let answer = TokenResponse::deserialize(deserializer)?;
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

impl oauth2::TokenResponse for WireAnswer {
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
pub(super) struct ErrorAnswer(ErrorBody);

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
