//! Log-in at an OpenID provider: discovery, the authorization code flow with PKCE, and the verification of ID tokens.
//!
//! Requests go through the host's egress client with a list of origins of their own: that of the issuer, and those in
//! `web.oidc.allow`. Sizes and times are bounded, and redirects are not followed.

mod id_token;
mod requests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, HttpRequest, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use parking_lot::Mutex;
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::types::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

pub use self::id_token::{LEEWAY, TokenError};

use self::id_token::{Expected, Keys};
use crate::AppError;
use crate::config::OidcConfig;

/// The largest response of a provider, in bytes.
const MAX_RESPONSE_BYTES: u64 = 256 << 10;
/// How long the discovery document and the keys are used.
const CACHE_LIFETIME: Duration = Duration::from_secs(3600);
/// The maximum number of groups of a person that are read.
const MAX_GROUPS: usize = 10_000;

/// The reason why a log-in at a provider failed. Its texts are for the operator, and contain
/// nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The person declined.
    #[error("the log-in was declined at the provider")]
    Declined,
    /// The provider reported another error, which is a code of OAuth 2.0 or OpenID Connect.
    #[error("the provider reported the error {0}")]
    Reported(String),
    /// The provider cannot be reached, or has a problem.
    #[error("the provider is not available: {0}")]
    Unavailable(String),
    /// A response of the provider is too large.
    #[error("a response of the provider is larger than {MAX_RESPONSE_BYTES} bytes")]
    TooLarge,
    /// The configuration and the provider are not compatible.
    #[error("the provider cannot be used: {0}")]
    Unusable(String),
    /// The provider does not accept this installation.
    #[error("the provider does not accept the client: {0}")]
    Client(String),
    /// The provider does not accept the code.
    #[error("the provider does not accept the code of the log-in")]
    Code,
    /// The ID token is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl OidcError {
    /// Returns the name of the reason, for texts and for the audit log.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::Reported(_) => "reported",
            Self::Unavailable(_) => "unavailable",
            Self::TooLarge => "too-large",
            Self::Unusable(_) => "unusable",
            Self::Client(_) => "client",
            Self::Code => "code",
            Self::Token(error) => match error {
                TokenError::Malformed(_) => "malformed",
                TokenError::Algorithm => "algorithm",
                TokenError::UnknownKey => "unknown-key",
                TokenError::Signature => "signature",
                TokenError::Issuer => "issuer",
                TokenError::Audience => "audience",
                TokenError::Expired => "expired",
                TokenError::NotYetValid => "not-yet-valid",
                TokenError::Nonce => "nonce",
            },
        }
    }

    /// Creates the error that a provider reports with a code of RFC 6749. The code is shown only if it can be one.
    pub fn from_code(code: &str) -> Self {
        let is_code = |c: char| c.is_ascii_lowercase() || c == '_';
        match code {
            "access_denied" => Self::Declined,
            code if code.len() <= 40 && !code.is_empty() && code.chars().all(is_code) => {
                Self::Reported(code.to_owned())
            }
            _ => Self::Reported("unknown".to_owned()),
        }
    }
}

/// The values that bind a log-in to one browser and one ID token.
#[derive(Clone, Debug)]
pub struct LogInSecrets {
    /// The state, which the provider returns to the redirect address.
    pub state: SecretString,
    /// The nonce, which the ID token contains.
    pub nonce: SecretString,
    /// The verifier of PKCE: 43 to 128 letters and digits.
    pub verifier: SecretString,
}

/// A person, as the provider knows him or her.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The id, unique at the provider.
    pub subject: String,
    /// The name by the configured claim, otherwise by `email`.
    pub name: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
}

impl Identity {
    fn from_claims(claims: &Map<String, Value>, config: &OidcConfig) -> Self {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let groups = match claims.get(&config.groups_claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(group)) => vec![group.as_str()],
            _ => Vec::new(),
        };
        let groups = groups.into_iter().take(MAX_GROUPS);
        Self {
            subject: text("sub").unwrap_or_default().to_owned(),
            name: text(&config.name_claim)
                .or_else(|| text("email"))
                .map(str::to_owned),
            groups: groups.map(str::to_owned).collect(),
        }
    }
}

/// An OpenID provider. Cheap to clone; clones share what they know of it.
#[derive(Clone)]
pub struct Provider {
    shared: Arc<Shared>,
}

struct Shared {
    config: OidcConfig,
    client: Client,
    known: Mutex<Option<KnownProvider>>,
}

/// The provider's metadata and keys, and the time when they were read.
#[derive(Clone)]
struct KnownProvider {
    metadata: Arc<Metadata>,
    keys: Arc<Keys>,
    at: Timestamp,
}

/// The parts of the discovery document that are used.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    /// Where a person logs out at the provider (OpenID Connect RP-Initiated Logout 1.0).
    end_session_endpoint: Option<Url>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct IdTokenField {
    id_token: Option<String>,
}

impl ExtraTokenFields for IdTokenField {}

type OauthClient = oauth2::Client<
    BasicErrorResponse,
    StandardTokenResponse<IdTokenField, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl Provider {
    /// Creates a provider. Sends no request. `extra_ca` is a file of certificate authorities to trust besides the
    /// system's.
    ///
    /// # Errors
    /// An origin or the file of certificate authorities cannot be used.
    pub fn new(config: OidcConfig, extra_ca: Option<PathBuf>) -> Result<Self, AppError> {
        let policy = Policy::parse(&config.origins());
        let policy = policy.map_err(|error| AppError::usage(requests::rename_setting(&error)))?;
        let options = ClientOptions {
            connect_timeout: requests::CONNECT_TIMEOUT,
            max_response_bytes: MAX_RESPONSE_BYTES,
            extra_ca_file: extra_ca,
            ..ClientOptions::default()
        };
        let client = Client::new(policy, options);
        let client = client.map_err(|error| AppError::usage(error.to_string()))?;
        let shared = Shared {
            config,
            client,
            known: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &OidcConfig {
        &self.shared.config
    }

    /// Reads the discovery document and the keys, as a test of both.
    ///
    /// # Errors
    /// The provider is not available, or cannot be used.
    pub async fn check(&self) -> Result<(), OidcError> {
        let metadata = self.fetch_metadata().await?;
        self.fetch_keys(&metadata).await?;
        Ok(())
    }

    /// Returns the address at which a log-in continues.
    ///
    /// # Errors
    /// The provider is not available, or cannot be used.
    pub async fn authorization_url(
        &self,
        redirect: &Url,
        secrets: &LogInSecrets,
        now: Timestamp,
    ) -> Result<Url, OidcError> {
        let known = self.known(now).await?;
        let client = self.oauth_client(&known.metadata, redirect);
        let verifier = PkceCodeVerifier::new(secrets.verifier.expose_secret().to_owned());
        let state = secrets.state.expose_secret().to_owned();
        let scopes = self.shared.config.scopes.iter().cloned().map(Scope::new);
        let (url, _) = client
            .authorize_url(|| CsrfToken::new(state))
            .add_scopes(scopes)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_extra_param("nonce", secrets.nonce.expose_secret())
            .url();
        Ok(url)
    }

    /// Returns the address at which a person logs out at the provider, which then leads to `back`. `id_token` is that of
    /// the log-in. `None` if the provider has no such address, or is not available.
    pub async fn log_out_url(
        &self,
        id_token: Option<&SecretString>,
        back: &Url,
        now: Timestamp,
    ) -> Option<Url> {
        let known = self.known(now).await.ok()?;
        let mut url = known.metadata.end_session_endpoint.clone()?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.shared.config.client_id)
            .append_pair("post_logout_redirect_uri", back.as_str())
            .extend_pairs(id_token.map(|token| ("id_token_hint", token.expose_secret())));
        Some(url)
    }

    /// Exchanges the code of a log-in, and verifies the ID token, which is returned too. `issuer` is the parameter `iss`
    /// of the redirect (RFC 9207).
    ///
    /// # Errors
    /// The provider is not available, does not accept the code or the client, or has issued another ID token.
    pub async fn identify(
        &self,
        redirect: &Url,
        code: &SecretString,
        issuer: Option<&str>,
        secrets: &LogInSecrets,
        begun: Timestamp,
        now: Timestamp,
    ) -> Result<(Identity, SecretString), OidcError> {
        let config = &self.shared.config;
        let known = self.known(now).await?;
        let is_issuer = match issuer {
            Some(issuer) => issuer == config.issuer,
            None => {
                !known
                    .metadata
                    .authorization_response_iss_parameter_supported
            }
        };
        if !is_issuer {
            return Err(TokenError::Issuer.into());
        }
        let token = self
            .exchange(&known.metadata, redirect, code, secrets)
            .await?;
        let expected = Expected {
            issuer: &config.issuer,
            client_id: &config.client_id,
            nonce: secrets.nonce.expose_secret(),
            begun,
            now,
        };
        let text = token.expose_secret();
        let claims = match id_token::verify(text, &known.keys, &expected) {
            Err(TokenError::UnknownKey) => {
                // The provider may have other keys since they were read.
                let keys = self.fetch_keys(&known.metadata).await?;
                let keys = Arc::new(keys);
                if let Some(known) = self.shared.known.lock().as_mut() {
                    known.keys = Arc::clone(&keys);
                }
                id_token::verify(text, &keys, &expected)?
            }
            verified => verified?,
        };
        Ok((Identity::from_claims(&claims, config), token))
    }

    /// Returns what is known of the provider, or reads it.
    async fn known(&self, now: Timestamp) -> Result<KnownProvider, OidcError> {
        let known = self.shared.known.lock().clone();
        if let Some(known) = known.filter(|known| now.since(known.at) < CACHE_LIFETIME) {
            return Ok(known);
        }
        let metadata = self.fetch_metadata().await?;
        let known = KnownProvider {
            keys: Arc::new(self.fetch_keys(&metadata).await?),
            metadata: Arc::new(metadata),
            at: now,
        };
        *self.shared.known.lock() = Some(known.clone());
        Ok(known)
    }

    async fn fetch_metadata(&self) -> Result<Metadata, OidcError> {
        let issuer = &self.shared.config.issuer;
        let address = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let document = requests::get(&self.shared.client, &address).await?;
        let mut metadata: Metadata = serde_json::from_slice(&document).map_err(|_| {
            OidcError::Unusable(format!(
                "{address} is not a discovery document with all endpoints"
            ))
        })?;
        if metadata.issuer != *issuer {
            // Both are addresses, which the operator compares.
            let other: String = metadata.issuer.chars().take(200).collect();
            return Err(OidcError::Unusable(format!(
                "web.oidc.issuer is {issuer:?}, but the provider names itself {other:?}; they must be the same, \
                 character by character"
            )));
        }
        for endpoint in [
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.jwks_uri,
        ] {
            requests::check_target(&self.shared.client, endpoint)?;
        }
        // Log-ins do not need it.
        if let Some(endpoint) = &metadata.end_session_endpoint
            && let Err(error) = requests::check_target(&self.shared.client, endpoint)
        {
            tracing::warn!("log-outs do not lead to the OpenID provider: {error}");
            metadata.end_session_endpoint = None;
        }
        Ok(metadata)
    }

    async fn fetch_keys(&self, metadata: &Metadata) -> Result<Keys, OidcError> {
        let address = metadata.jwks_uri.as_str();
        let document = requests::get(&self.shared.client, address).await?;
        Keys::parse(&document)
            .ok_or_else(|| OidcError::Unusable(format!("{address} is not a set of keys")))
    }

    fn oauth_client(&self, metadata: &Metadata, redirect: &Url) -> OauthClient {
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let has = |name: &str| methods.iter().any(|method| method == name);
        let auth_type = match has("client_secret_post") && !has("client_secret_basic") {
            true => AuthType::RequestBody,
            false => AuthType::BasicAuth,
        };
        oauth2::Client::new(ClientId::new(self.shared.config.client_id.clone()))
            .set_auth_type(auth_type)
            .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
            .set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()))
            .set_redirect_uri(RedirectUrl::from_url(redirect.clone()))
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        redirect: &Url,
        code: &SecretString,
        secrets: &LogInSecrets,
    ) -> Result<SecretString, OidcError> {
        let secret = self.shared.config.client_secret.read();
        let secret = secret.map_err(|error| OidcError::Client(error.message))?;
        let secret = oauth2::ClientSecret::new(secret.expose_secret().to_owned());
        let client = self
            .oauth_client(metadata, redirect)
            .set_client_secret(secret);
        let send = |request: HttpRequest| {
            let egress = self.shared.client.clone();
            async move {
                let request: Request<Vec<u8>> = request;
                let response = requests::send(&egress, request.map(Into::into)).await?;
                Ok::<_, OidcError>(response.map(|body| body.to_vec()))
            }
        };
        let verifier = PkceCodeVerifier::new(secrets.verifier.expose_secret().to_owned());
        let response = client
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(verifier)
            .request_async(&send)
            .await
            .map_err(exchange_error)?;
        let token = response.extra_fields().id_token.as_deref();
        let token = token.ok_or(TokenError::Malformed("there is none"))?;
        Ok(SecretString::from(token))
    }
}

/// Returns the error of a token request. The provider's own texts may repeat parts of the request, and are left out.
fn exchange_error(error: RequestTokenError<OidcError, BasicErrorResponse>) -> OidcError {
    let response = match error {
        RequestTokenError::ServerResponse(response) => response,
        RequestTokenError::Request(error) => return error,
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            return OidcError::Unusable("its token endpoint sends no token response".to_owned());
        }
    };
    match response.error() {
        BasicErrorResponseType::InvalidGrant => OidcError::Code,
        BasicErrorResponseType::InvalidClient => {
            OidcError::Client("check web.oidc.client-id and the client secret".to_owned())
        }
        BasicErrorResponseType::UnauthorizedClient => {
            OidcError::Client("it may not use the authorization code flow".to_owned())
        }
        other => OidcError::from_code(other.as_ref()),
    }
}
