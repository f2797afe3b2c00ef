//! `POST /idb/oauth2/v1/revoke`: revocation by the token itself (RFC 7009).

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::authorizations::with_revoked;
use crate::shared::Shared;
use crate::token_endpoint::{Form, OauthError, authenticate};

/// Handles a revocation. An unknown token is already invalid, so its revocation succeeds.
pub(crate) async fn revoke_token(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::parse(&headers, &body);
    match revoke(&shared, &headers, &form) {
        Ok(response) => response,
        Err(error) => error.into_response(shared.settings().error_style),
    }
}

fn revoke(shared: &Shared, headers: &HeaderMap, form: &Form) -> Result<Response, OauthError> {
    let Some(token) = form.get("token") else {
        return Err(OauthError::new(
            "invalid_request",
            "token cannot be null or empty",
        ));
    };
    let client_id = authenticate(shared, headers, form)?;
    let revoked = shared.state().revoke_for_client(&client_id, token);
    let tokens = revoked.map_err(|_| {
        OauthError::new(
            "unauthorized_client",
            "The token was issued to another client.",
        )
    })?;
    Ok(with_revoked(StatusCode::OK.into_response(), tokens))
}
