//! `/v1/authorize` and `/idb/oauth2/v1/authorize`: asks an administrator whether an integration may have access.
//!
//! `GET` shows the consent page; `POST` takes the decision, from the page's form or from a script
//! that sends the same fields. There is no state in between: the form carries the request.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};
use url::form_urlencoded;

use crate::consent::{Consent, Decision};
use crate::consent_page;
use crate::shared::{Parts, Shared};

/// The parts of a valid authorization request; the token endpoint compares later requests with
/// them.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) state: Option<String>,
    /// The PKCE challenge for `S256`.
    pub(crate) challenge: Option<String>,
}

/// The reason why a request for authorization failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthorizationError {
    /// RFC 6749 section 4.1.2.1: if client or redirect address is in doubt, the browser must not be redirected. The
    /// page shows this text instead.
    Page(String),
    /// The client gets this error at its redirect address.
    Redirect(String),
}

/// The fields of a query or a form, in order.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// Returns a parameter; one without a value counts as absent (RFC 6749 section 3.1).
    fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(found, _)| found == name);
        pairs
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn is_repeated(&self, name: &str) -> bool {
        self.0.iter().filter(|(found, _)| found == name).count() > 1
    }
}

/// The parameters of the request itself, without those that the page's form adds.
pub(crate) const REQUEST_PARAMETERS: [&str; 7] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
];

/// Checks the request by RFC 6749 and by the integration's registration.
pub(crate) fn validate(
    shared: &Parts,
    parameters: &Parameters,
) -> Result<AuthorizationRequest, AuthorizationError> {
    for name in ["client_id", "redirect_uri"] {
        if parameters.is_repeated(name) {
            return Err(AuthorizationError::Page(format!(
                "{name} is given more than once."
            )));
        }
    }
    let client_id = parameters
        .get("client_id")
        .ok_or_else(|| AuthorizationError::Page("client_id is missing.".to_owned()))?;
    let registration = shared
        .state()
        .registration(client_id)
        .cloned()
        .ok_or_else(|| {
            AuthorizationError::Page(format!("No integration has the client id {client_id}."))
        })?;
    let redirect_uri = parameters
        .get("redirect_uri")
        .ok_or_else(|| AuthorizationError::Page("redirect_uri is missing.".to_owned()))?;
    if !registration
        .redirect_uris
        .iter()
        .any(|uri| uri == redirect_uri)
    {
        return Err(AuthorizationError::Page(format!(
            "The redirect address {redirect_uri} is not registered for this integration."
        )));
    }

    let state = parameters.get("state").map(str::to_owned);
    let refuse = |error: &str, description: &str| {
        let location = error_redirect(redirect_uri, state.as_deref(), error, description);
        Err(AuthorizationError::Redirect(location))
    };
    if REQUEST_PARAMETERS
        .iter()
        .any(|name| parameters.is_repeated(name))
    {
        return refuse("invalid_request", "A parameter is included more than once.");
    }
    match parameters.get("response_type") {
        Some("code") => {}
        None => return refuse("invalid_request", "response_type is missing."),
        Some(_) => {
            return refuse(
                "unsupported_response_type",
                "The only response type is code.",
            );
        }
    }
    let mut scopes: Vec<String> = Vec::new();
    for scope in parameters
        .get("scope")
        .unwrap_or_default()
        .split_ascii_whitespace()
    {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    if scopes.is_empty()
        || scopes
            .iter()
            .any(|scope| !registration.scopes.contains(scope))
    {
        return refuse("invalid_scope", "The requested scope is invalid");
    }
    let challenge = match (
        parameters.get("code_challenge"),
        parameters.get("code_challenge_method"),
    ) {
        (None, None) if shared.settings().require_pkce => {
            return refuse("invalid_request", "code_challenge is required.");
        }
        (None, None) => None,
        (None, Some(_)) => {
            return refuse("invalid_request", "code_challenge is missing.");
        }
        (Some(challenge), Some("S256")) if is_sha256(challenge) => Some(challenge.to_owned()),
        (Some(_), Some("S256")) => {
            return refuse("invalid_request", "code_challenge is not a SHA-256 digest.");
        }
        (Some(_), _) => {
            return refuse("invalid_request", "The only code_challenge_method is S256.");
        }
    };
    Ok(AuthorizationRequest {
        client_id: client_id.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        scopes,
        state,
        challenge,
    })
}

/// Returns whether this has the length and alphabet of 32 bytes in unpadded base64url.
fn is_sha256(challenge: &str) -> bool {
    let base64url = |c: u8| c.is_ascii_alphanumeric() || b"-_".contains(&c);
    challenge.len() == 43 && challenge.bytes().all(base64url)
}

/// Carries out the administrator's decision and returns the address for the browser.
pub(crate) fn decide(
    shared: &Parts,
    request: &AuthorizationRequest,
    consent: &Consent,
) -> Result<String, AuthorizationError> {
    let refuse = |error: &str, description: &str| {
        error_redirect(
            &request.redirect_uri,
            request.state.as_deref(),
            error,
            description,
        )
    };
    let (organization, choice) = match &consent.0 {
        Decision::Decline => {
            return Ok(refuse(
                "access_denied",
                "The resource owner or authorization server denied the request.",
            ));
        }
        Decision::Fail { error, description } => return Ok(refuse(error, description)),
        Decision::Accept {
            organization,
            choice,
        } => (organization, choice),
    };
    let mut state = shared.state();
    let organization = state
        .organization(organization)
        .map(|organization| organization.uuid.clone())
        .ok_or_else(|| {
            AuthorizationError::Page(format!(
                "No organization has the id or uuid {organization}; create it at /_emulator/organizations."
            ))
        })?;
    let scopes: Vec<String> = request
        .scopes
        .iter()
        .filter(|scope| choice.grants(scope))
        .cloned()
        .collect();
    if scopes.is_empty() {
        return Ok(refuse("invalid_scope", "No scope was granted."));
    }
    let code = state.issue_code(request, &organization, scopes);
    let mut pairs = vec![("code", code.as_str())];
    pairs.extend(request.state.as_deref().map(|state| ("state", state)));
    Ok(with_parameters(&request.redirect_uri, &pairs))
}

fn error_redirect(
    redirect_uri: &str,
    state: Option<&str>,
    error: &str,
    description: &str,
) -> String {
    let mut pairs = vec![("error", error), ("error_description", description)];
    pairs.extend(state.map(|state| ("state", state)));
    with_parameters(redirect_uri, &pairs)
}

/// Adds these parameters to the registered address, whose own query stays.
fn with_parameters(address: &str, pairs: &[(&str, &str)]) -> String {
    let separator = if address.contains('?') { '&' } else { '?' };
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    format!("{address}{separator}{query}")
}

/// Serves `GET /v1/authorize`: the consent page.
pub(crate) async fn show_page(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    render(validate(&shared, &parameters).and_then(|request| {
        let fields: Vec<(&str, &str)> = REQUEST_PARAMETERS
            .iter()
            .filter_map(|&name| Some((name, parameters.get(name)?)))
            .collect();
        consent_page::consent(&shared.state(), &request, &fields)
            .map(PageOutcome::Page)
            .ok_or_else(|| {
                AuthorizationError::Page(
                    "There is no organization to give access to; create one at /_emulator/organizations."
                        .to_owned(),
                )
            })
    }))
}

/// Serves `POST /v1/authorize`: the request again, with the `decision` `accept`, `decline` or `fail`.
///
/// With `choose=scopes`, as the page sends it, exactly the scopes in `grant` fields are granted. A
/// script may omit both and so grants the scopes that the page would have ticked. `organization` is
/// the id or UUID of the consenting organization; by default the one that the page proposes.
pub(crate) async fn submit(State(shared): State<Shared>, body: Bytes) -> Response {
    let parameters = Parameters::parse(&body);
    render(validate(&shared, &parameters).and_then(|request| {
        let consent = read_consent(&shared, &parameters)?;
        decide(&shared, &request, &consent).map(PageOutcome::Redirect)
    }))
}

fn read_consent(shared: &Parts, parameters: &Parameters) -> Result<Consent, AuthorizationError> {
    match parameters.get("decision") {
        Some("accept") => {}
        Some("decline") => return Ok(Consent::decline()),
        Some("fail") => {
            return Ok(Consent::fail(
                "server_error",
                "The authorization server encountered an unexpected condition.",
            ));
        }
        _ => {
            return Err(AuthorizationError::Page(
                "decision is not one of accept, decline, fail.".to_owned(),
            ));
        }
    }
    let state = shared.state();
    let organization = parameters
        .get("organization")
        .map(str::to_owned)
        .or_else(|| state.proposed_organization().map(|o| o.uuid.clone()))
        .unwrap_or_default();
    let consent = Consent::accept(&organization);
    Ok(if parameters.get("choose") == Some("scopes") {
        consent.only(parameters.all("grant"))
    } else {
        consent.without(state.proposal.without.iter())
    })
}

enum PageOutcome {
    Page(String),
    Redirect(String),
}

fn render(result: Result<PageOutcome, AuthorizationError>) -> Response {
    let mut response = match result {
        Ok(PageOutcome::Page(html)) => consent_page::response(StatusCode::OK, html),
        Ok(PageOutcome::Redirect(location)) | Err(AuthorizationError::Redirect(location)) => {
            redirect(&location)
        }
        Err(AuthorizationError::Page(reason)) => {
            consent_page::response(StatusCode::BAD_REQUEST, consent_page::error(&reason))
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Neither `state` nor the code may leak to others.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Redirects with 303, so that the browser follows with `GET` after the form's `POST`.
fn redirect(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        Err(_) => consent_page::response(
            StatusCode::BAD_REQUEST,
            consent_page::error("The redirect address cannot be sent in a header."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_added_to_an_address_and_encoded() {
        let pairs = [("code", "a&b"), ("state", "c d")];
        assert_eq!(
            with_parameters("http://localhost/", &pairs),
            "http://localhost/?code=a%26b&state=c+d"
        );
        assert_eq!(
            with_parameters("http://localhost/?a=b", &pairs[..1]),
            "http://localhost/?a=b&code=a%26b"
        );
    }
}
