//! `POST /v1/access_token` and `/idb/oauth2/v1/access_token`: RFC 6749 in Webex's variant.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use url::form_urlencoded;

use crate::errors;
use crate::ids::Digest;
use crate::record::InvalidatedTokens;
use crate::settings::ErrorStyle;
use crate::shared::Shared;
use crate::state::{CodeRefusal, Exchange, Refusal};

/// The caller's credentials.
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) secret: String,
}

/// The fields of a form, the first of each name.
pub(crate) struct Form {
    fields: HashMap<String, String>,
    repeated: bool,
}

impl Form {
    /// Parses a body; a body of another content type has no fields.
    pub(crate) fn parse(headers: &HeaderMap, body: &[u8]) -> Self {
        let is_form = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| {
                kind.trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        let mut form = Self {
            fields: HashMap::new(),
            repeated: false,
        };
        if is_form {
            for (name, value) in form_urlencoded::parse(body) {
                form.repeated |= form.fields.contains_key(name.as_ref());
                form.fields
                    .entry(name.into_owned())
                    .or_insert_with(|| value.into_owned());
            }
        }
        form
    }

    /// Returns a field unless it is missing or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// Parses HTTP Basic, whose two parts are form-encoded (RFC 6749 section 2.3.1).
pub(crate) fn basic(headers: &HeaderMap) -> Option<Credentials> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client_id, secret) = text.split_once(':')?;
    Some(Credentials {
        client_id: form_decode(client_id),
        secret: form_decode(secret),
    })
}

fn form_decode(text: &str) -> String {
    let pair = format!("={text}").replace('&', "%26");
    form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// An error of the token or the revocation endpoint.
pub(crate) struct OauthError {
    status: StatusCode,
    code: &'static str,
    description: &'static str,
    /// The rejected token or code, if it is permanently invalid.
    invalidated: Option<Digest>,
    basic: bool,
}

impl OauthError {
    pub(crate) fn new(code: &'static str, description: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            description,
            invalidated: None,
            basic: false,
        }
    }

    fn invalid_client(basic: bool) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            basic,
            ..Self::new("invalid_client", "Client authentication failed.")
        }
    }

    pub(crate) fn into_response(self, style: ErrorStyle) -> Response {
        let mut response = match style {
            ErrorStyle::Webex => errors::response(self.status, self.description),
            ErrorStyle::Oauth => {
                let body = json!({
                    "error": self.code,
                    "error_description": self.description,
                    "error_uri": "https://developer.webex.com/docs/integrations",
                });
                (self.status, Json(body)).into_response()
            }
        };
        if self.basic {
            let challenge = HeaderValue::from_static("Basic realm=\"webex\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(token) = self.invalidated {
            response.extensions_mut().insert(InvalidatedTokens {
                tokens: vec![token],
                reason: "it had been refused as revoked, rotated out or used",
            });
        }
        response
    }
}

/// Handles a token request.
pub(crate) async fn token(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::parse(&headers, &body);
    let mut response = match respond(&shared, &headers, &form) {
        Ok(response) => response,
        Err(error) => error.into_response(shared.settings().error_style),
    };
    // RFC 6749 section 5.1.
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

fn respond(shared: &Shared, headers: &HeaderMap, form: &Form) -> Result<Response, OauthError> {
    if form.repeated {
        return Err(OauthError::new(
            "invalid_request",
            "A parameter is included more than once.",
        ));
    }
    // Before the client: a body that is empty or not a form says nothing about the client.
    let Some(grant_type) = form.get("grant_type") else {
        return Err(OauthError::new(
            "invalid_request",
            "grant_type cannot be null or empty",
        ));
    };
    let client_id = authenticate(shared, headers, form)?;
    match grant_type {
        "refresh_token" => refresh(shared, &client_id, form),
        "authorization_code" => exchange(shared, &client_id, form),
        _ => Err(OauthError::new(
            "unsupported_grant_type",
            "The grant type is not supported.",
        )),
    }
}

/// Checks the client by HTTP Basic if present, else by the form's fields.
pub(crate) fn authenticate(
    shared: &Shared,
    headers: &HeaderMap,
    form: &Form,
) -> Result<String, OauthError> {
    let basic = basic(headers);
    let by_basic = basic.is_some();
    let credentials = match (basic, form.get("client_id"), form.get("client_secret")) {
        (Some(basic), _, _) => basic,
        (None, Some(client_id), Some(secret)) => Credentials {
            client_id: client_id.to_owned(),
            secret: secret.to_owned(),
        },
        (None, None, _) => return Err(OauthError::invalid_client(false)),
        (None, Some(_), None) => {
            return Err(OauthError::new(
                "invalid_request",
                "client_secret cannot be null or empty",
            ));
        }
    };
    let known =
        shared.settings().clients.iter().any(|client| {
            client.id == credentials.client_id && client.has_secret(&credentials.secret)
        });
    if known {
        Ok(credentials.client_id)
    } else {
        Err(OauthError::invalid_client(by_basic))
    }
}

fn refresh(shared: &Shared, client_id: &str, form: &Form) -> Result<Response, OauthError> {
    let Some(token) = form.get("refresh_token") else {
        return Err(OauthError::new(
            "invalid_request",
            "refresh_token cannot be null or empty",
        ));
    };
    let scopes = form.get("scope").map(|scopes| {
        let scopes = scopes.split_ascii_whitespace();
        scopes.map(str::to_owned).collect::<Vec<_>>()
    });
    match shared.state().refresh(client_id, token, scopes) {
        Ok(refreshed) => {
            let mut response = Json(refreshed.response.to_json()).into_response();
            if let Some(old) = refreshed.rotated_out {
                response.extensions_mut().insert(InvalidatedTokens {
                    tokens: vec![old],
                    reason: "it had been rotated out",
                });
            }
            Ok(response)
        }
        Err(Refusal::Scope) => Err(OauthError::new(
            "invalid_scope",
            "The requested scope is invalid",
        )),
        Err(refusal) => Err(OauthError {
            invalidated: matches!(refusal, Refusal::Revoked | Refusal::RotatedOut)
                .then(|| Digest::from_secret(token)),
            ..OauthError::new(
                "invalid_grant",
                "The refresh token provided is expired, revoked, malformed, or invalid.",
            )
        }),
    }
}

fn exchange(shared: &Shared, client_id: &str, form: &Form) -> Result<Response, OauthError> {
    let Some(code) = form.get("code") else {
        return Err(OauthError::new(
            "invalid_request",
            "code cannot be null or empty",
        ));
    };
    let Some(redirect_uri) = form.get("redirect_uri") else {
        return Err(OauthError::new(
            "invalid_request",
            "redirect_uri cannot be null or empty",
        ));
    };
    let exchange = Exchange {
        client_id,
        code,
        redirect_uri,
        verifier: form.get("code_verifier"),
    };
    match shared.state().exchange(&exchange) {
        Ok(grant) => {
            let mut response = Json(grant.json()).into_response();
            response.extensions_mut().insert(InvalidatedTokens {
                tokens: vec![Digest::from_secret(code)],
                reason: "it had been exchanged",
            });
            Ok(response)
        }
        Err(refusal) => {
            let description = match refusal {
                CodeRefusal::Unknown | CodeRefusal::Expired | CodeRefusal::Used => {
                    "The authorization code provided is expired, revoked, or invalid."
                }
                CodeRefusal::RedirectUri => {
                    "The redirect_uri does not match the one of the authorization request."
                }
                CodeRefusal::Verifier => "The code_verifier does not match the code_challenge.",
            };
            Err(OauthError {
                invalidated: matches!(refusal, CodeRefusal::Expired | CodeRefusal::Used)
                    .then(|| Digest::from_secret(code)),
                ..OauthError::new("invalid_grant", description)
            })
        }
    }
}
