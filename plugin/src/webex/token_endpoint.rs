//! The token endpoint as used by the OAuth library: sends one request and classifies its response.

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

use super::client::{Webex, label};
use super::error_body::ErrorBody;
use super::errors::{ErrorKind, ResponseHead, WebexError, classify_status};
use super::list_body::keep_readable_members;
use super::redactor::Redactor;
use super::token_response::{MAX_TOKEN_RESPONSE_BYTES, TokenResponse, TokenResponseError};
use crate::platform::{HttpError, Secret};
use crate::settings::ClientCredentials;
use crate::text::strip_byte_order_mark;

const TOKEN_PATH: &str = "/access_token";

/// The library's client, with Webex's response types.
pub(super) type WebexClient<HasAuthUrl = EndpointNotSet, HasTokenUrl = EndpointNotSet> = Client<
    WireErrorResponse,
    WireResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    HasAuthUrl,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    HasTokenUrl,
>;

/// A client that can request tokens.
pub(super) type TokenClient = WebexClient<EndpointNotSet, EndpointSet>;

/// The kind of credential that was exchanged for new tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// A refresh token.
    RefreshToken,
    /// The code of a consent.
    Code,
}

/// The sender of the library's requests. The library keeps only the body of a response, so the transport
/// records the head.
pub(super) struct OAuthTransport<'a> {
    webex: &'a Webex<'a>,
    response_head: RefCell<Option<ResponseHead>>,
}

impl SyncHttpClient for OAuthTransport<'_> {
    type Error = HttpError;

    fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.webex.send(request)?;
        *self.response_head.borrow_mut() =
            Some(ResponseHead::from_response(&response, self.webex.now()));
        if response.body().len() > MAX_TOKEN_RESPONSE_BYTES {
            response.body_mut().clear();
        }
        let content = strip_byte_order_mark(response.body());
        if content.len() < response.body().len() {
            *response.body_mut() = content.to_vec();
        }
        if response.status().is_success() {
            if let Some(readable) = drop_unreadable_members(response.body()) {
                *response.body_mut() = readable;
            }
            // Tokens with another content type or another success status, as a proxy may produce,
            // are still tokens, and may be the only valid ones. An error with the status of a
            // success is still an error.
            *response.status_mut() = match is_error_body(response.body()) {
                true => StatusCode::BAD_REQUEST,
                false => StatusCode::OK,
            };
            response.headers_mut().remove(CONTENT_TYPE);
        }
        Ok(response)
    }
}

/// Returns the body of a success without unreadable members, such as a number that is too large;
/// none when all or none can be read.
fn drop_unreadable_members(body: &[u8]) -> Option<Vec<u8>> {
    match serde_json::from_slice::<Map<String, Value>>(body) {
        Ok(_) => None,
        Err(_) => keep_readable_members(body),
    }
}

/// Returns whether the body of a success is an error of Webex.
fn is_error_body(body: &[u8]) -> bool {
    // Nearly every response has tokens, so this check avoids parsing those twice.
    let text = String::from_utf8_lossy(body);
    let names = ["\"error\"", "\"trackingId\""];
    names.iter().any(|name| text.contains(name))
        && serde_json::from_slice::<Map<String, Value>>(body)
            .is_ok_and(|fields| ErrorBody::from_success(&fields).is_some())
}

/// Calls the token endpoint with `send`. `secrets` lists what an error text must not repeat,
/// besides the client's own; it is called only after an error.
///
/// # Errors
/// - [`ErrorKind::Refused`] only when Webex says that the credential is dead.
/// - [`ErrorKind::Client`] when Webex does not accept the client id or secret.
/// - All other errors say nothing about the grant.
pub(super) fn request_tokens(
    webex: &Webex<'_>,
    client: &ClientCredentials,
    credential: Credential,
    secrets: impl FnOnce() -> Vec<Secret>,
    send: impl FnOnce(
        &TokenClient,
        &OAuthTransport<'_>,
    ) -> Result<WireResponse, RequestTokenError<HttpError, WireErrorResponse>>,
) -> Result<TokenResponse, WebexError> {
    let address = webex.address(TOKEN_PATH);
    let request = label(&Method::POST, &address);
    let Ok(token_url) = TokenUrl::new(address) else {
        let problem = Some("the address is not valid".to_owned());
        return Err(WebexError::new(ErrorKind::Rejected, request, problem));
    };
    let authenticated = WebexClient::new(ClientId::new(client.id.clone()))
        .set_client_secret(ClientSecret::new(client.secret.expose().to_owned()))
        .set_auth_type(AuthType::RequestBody)
        .set_token_uri(token_url);
    let transport = OAuthTransport {
        webex,
        response_head: RefCell::new(None),
    };
    send(&authenticated, &transport)
        .map(|wire| wire.response)
        .map_err(|error| {
            let secrets = secrets();
            let mut redactor = webex.redactor_with(&secrets.iter().collect::<Vec<_>>());
            redactor.add_secret(&client.secret);
            redactor.add_basic_credentials(&client.id, client.secret.expose());
            let head = transport.response_head.into_inner();
            into_webex_error(&request, error, head, credential, &redactor)
        })
}

fn into_webex_error(
    request: &str,
    error: RequestTokenError<HttpError, WireErrorResponse>,
    head: Option<ResponseHead>,
    credential: Credential,
    redactor: &Redactor,
) -> WebexError {
    let unreadable = |problem: &str| match &head {
        Some(head) if head.status.is_success() => {
            WebexError::unusable(request, head.clone(), problem, redactor)
        }
        Some(head) => {
            let kind = match classify_endpoint_status(head.status) {
                kind @ (ErrorKind::RateLimited
                | ErrorKind::ProxyCredentials
                | ErrorKind::NotFound) => kind,
                // A body that is not Webex's is the response of a server in between.
                _ => ErrorKind::Unavailable,
            };
            let body = ErrorBody::default();
            WebexError::with_body(kind, request, head.clone(), &body, redactor)
        }
        None => WebexError::new(ErrorKind::Rejected, request, Some(problem.to_owned())),
    };
    match error {
        RequestTokenError::Request(error) => WebexError::from_http_error(request, &error, redactor),
        RequestTokenError::ServerResponse(WireErrorResponse(body)) => match &head {
            Some(head) => {
                let kind = classify_error(head, &body, credential);
                WebexError::with_body(kind, request, head.clone(), &body, redactor)
            }
            None => unreadable("there was no response"),
        },
        // Neither text is repeated: both may contain parts of the response.
        RequestTokenError::Parse(_, body) => match (TokenResponse::find_error(&body), &head) {
            // A response without tokens may be another server's.
            (Some(error), Some(head)) if error != TokenResponseError::NoAccessToken => {
                let problem = format!("the response {error}");
                WebexError::malformed(request, head.clone(), &problem, redactor)
            }
            _ => unreadable("the response is not a token response"),
        },
        RequestTokenError::Other(_) => unreadable("the response is empty or too large"),
    }
}

/// Decides whether an error response refuses the credential, or says nothing about it. Status and codes decide; in a
/// body without a code, the sentences that Webex is known to use. An error with the status of a success counts as a
/// 400.
fn classify_error(head: &ResponseHead, body: &ErrorBody, credential: Credential) -> ErrorKind {
    let status = head.status.as_u16();
    if !head.status.is_success() && !matches!(status, 400 | 401 | 403) {
        return classify_endpoint_status(head.status);
    }
    if let Some(kind) = body.passing_kind() {
        return kind;
    }
    match body.code() {
        Some("invalid_grant") => ErrorKind::Refused,
        // Neither code refuses the token in the request (RFC 6749, section 5.2).
        Some("invalid_client" | "unauthorized_client") => ErrorKind::Client,
        _ if !body.can_refuse() => ErrorKind::Unavailable,
        _ if status != 403 && reports_dead_credential(&body.message(), credential) => {
            ErrorKind::Refused
        }
        Some(_) => ErrorKind::Rejected,
        None if status == 403 || head.status.is_success() => ErrorKind::Unavailable,
        None => ErrorKind::Client,
    }
}

/// Classifies a status other than 400, 401 and 403. A server that does not take a POST there is not the token endpoint.
fn classify_endpoint_status(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => ErrorKind::NotFound,
        status => classify_status(status),
    }
}

fn reports_dead_credential(message: &str, credential: Credential) -> bool {
    let message = message.to_lowercase().replace('_', " ");
    let name = match credential {
        Credential::RefreshToken => "refresh token",
        Credential::Code => "code",
    };
    message.contains(name)
        && ["expired", "invalid", "not valid", "revoked"]
            .iter()
            .any(|each| message.contains(each))
}

/// A token response in the form that the OAuth library requires.
pub(super) struct WireResponse {
    response: TokenResponse,
    access_token: AccessToken,
    refresh_token: Option<RefreshToken>,
}

impl<'de> Deserialize<'de> for WireResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let response = TokenResponse::deserialize(deserializer)?;
        Ok(Self {
            access_token: AccessToken::new(response.access_token.expose().to_owned()),
            refresh_token: response
                .refresh_token
                .as_ref()
                .map(|token| RefreshToken::new(token.expose().to_owned())),
            response,
        })
    }
}

impl Serialize for WireResponse {
    /// Writes an empty map instead of the tokens. The library requires the function and never calls it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

impl fmt::Debug for WireResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.response.fmt(f)
    }
}

impl oauth2::TokenResponse for WireResponse {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &BasicTokenType::Bearer
    }

    fn expires_in(&self) -> Option<std::time::Duration> {
        self.response
            .expires_in
            .usable()
            .map(|lifetime| std::time::Duration::from_millis(lifetime.0))
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    /// Returns none: the scopes are read from the response itself.
    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

/// An error response in either format. Its `Debug` and `Display` output is empty, because it may
/// repeat a secret.
pub(super) struct WireErrorResponse(ErrorBody);

impl<'de> Deserialize<'de> for WireErrorResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::<String, Value>::deserialize(deserializer)?;
        Ok(Self(ErrorBody::from_fields(&fields)))
    }
}

impl Serialize for WireErrorResponse {
    /// Writes an empty map. The library requires the function and never calls it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

impl fmt::Debug for WireErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WireErrorResponse(…)")
    }
}

impl fmt::Display for WireErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error response")
    }
}

impl ErrorResponse for WireErrorResponse {}
