//! Token responses.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

/// A token pair, or after some refreshes a lone access token, with its lifetimes in whole seconds.
#[derive(Clone)]
pub(crate) struct TokenResponse {
    pub(crate) access_token: SecretString,
    pub(crate) expires_in: u64,
    /// The refresh token and its lifetime, unless the response omits it.
    pub(crate) refresh: Option<(SecretString, u64)>,
    pub(crate) scopes: Vec<String>,
    /// Older responses lack `scope` and `token_type`.
    pub(crate) bare: bool,
}

impl TokenResponse {
    /// Returns the JSON body, secrets in clear.
    pub(crate) fn to_json(&self) -> Value {
        let mut body = Map::new();
        body.insert(
            "access_token".into(),
            json!(self.access_token.expose_secret()),
        );
        body.insert("expires_in".into(), json!(self.expires_in));
        if let Some((token, expires_in)) = &self.refresh {
            body.insert("refresh_token".into(), json!(token.expose_secret()));
            body.insert("refresh_token_expires_in".into(), json!(expires_in));
        }
        if !self.bare {
            body.insert("scope".into(), json!(self.scopes.join(" ")));
            body.insert("token_type".into(), json!("Bearer"));
        }
        Value::Object(body)
    }
}

/// A token pair created for a test, as if an administrator had just authorized the integration.
///
/// `Debug` shows no token.
#[derive(Clone)]
pub struct Grant {
    pub(crate) response: TokenResponse,
    pub(crate) authorization_id: String,
    pub(crate) client_id: String,
}

impl Grant {
    /// Returns the body of the token endpoint's response, tokens in clear.
    pub fn json(&self) -> Value {
        self.response.to_json()
    }

    /// Returns the access token in clear.
    pub fn access_token(&self) -> &str {
        self.response.access_token.expose_secret()
    }

    /// Returns the refresh token in clear.
    pub fn refresh_token(&self) -> &str {
        self.response
            .refresh
            .as_ref()
            .map_or("", |(token, _)| token.expose_secret())
    }

    /// Returns the lifetime of the access token at its issue, in whole seconds.
    pub fn expires_in(&self) -> u64 {
        self.response.expires_in
    }

    /// Returns the lifetime of the refresh token at its issue, in whole seconds.
    pub fn refresh_token_expires_in(&self) -> u64 {
        self.response
            .refresh
            .as_ref()
            .map_or(0, |(_, seconds)| *seconds)
    }

    /// Returns the granted scopes.
    pub fn scopes(&self) -> &[String] {
        &self.response.scopes
    }

    /// Returns the id under which `DELETE /v1/authorizations/{id}` revokes this grant.
    pub fn authorization_id(&self) -> &str {
        &self.authorization_id
    }

    /// Returns the client of the grant.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("authorization_id", &self.authorization_id)
            .field("client_id", &self.client_id)
            .field("scopes", &self.response.scopes)
            .finish_non_exhaustive()
    }
}
