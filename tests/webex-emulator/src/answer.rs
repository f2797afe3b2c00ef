//! What the token endpoint answers when it gives tokens.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

/// A token pair, or after some refreshes a lone access token, with its lifetimes in whole seconds.
#[derive(Clone)]
pub(crate) struct TokenResponse {
    pub(crate) access_token: SecretString,
    pub(crate) expires_in: u64,
    /// The refresh token and its lifetime, where the answer names one.
    pub(crate) refresh: Option<(SecretString, u64)>,
    pub(crate) scopes: Vec<String>,
    /// Older answers lack `scope` and `token_type`.
    pub(crate) bare: bool,
}

impl TokenResponse {
    /// The JSON body, secrets in clear.
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

/// A token pair minted for a test, as if an administrator had just authorised the integration.
///
/// `Debug` shows no token.
#[derive(Clone)]
pub struct Grant {
    pub(crate) answer: TokenResponse,
    pub(crate) authorization_id: String,
    pub(crate) client_id: String,
}

impl Grant {
    /// The body with which the token endpoint would have answered, tokens in clear.
    pub fn json(&self) -> Value {
        self.answer.to_json()
    }

    /// The access token in clear.
    pub fn access_token(&self) -> &str {
        self.answer.access_token.expose_secret()
    }

    /// The refresh token in clear.
    pub fn refresh_token(&self) -> &str {
        self.answer
            .refresh
            .as_ref()
            .map_or("", |(token, _)| token.expose_secret())
    }

    /// Life of the access token at the time of minting, in whole seconds.
    pub fn expires_in(&self) -> u64 {
        self.answer.expires_in
    }

    /// Life of the refresh token at the time of minting, in whole seconds.
    pub fn refresh_token_expires_in(&self) -> u64 {
        self.answer
            .refresh
            .as_ref()
            .map_or(0, |(_, seconds)| *seconds)
    }

    /// The granted scopes.
    pub fn scopes(&self) -> &[String] {
        &self.answer.scopes
    }

    /// The id under which `DELETE /v1/authorizations/{id}` revokes this grant.
    pub fn authorization_id(&self) -> &str {
        &self.authorization_id
    }

    /// The client the grant was made to.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("authorization_id", &self.authorization_id)
            .field("client_id", &self.client_id)
            .field("scopes", &self.answer.scopes)
            .finish_non_exhaustive()
    }
}
