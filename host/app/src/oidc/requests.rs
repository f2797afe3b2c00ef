//! Requests to a provider: bounded in size and time, and only to permitted origins.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use relation_host::egress::{Client, Deadline, EgressError, Transport, TransportError};
use tokio::time::Instant;
use url::Url;

use super::OidcError;

/// The longest time until a connection is established.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time of a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Replaces `egress.allow` in an error of the egress client by the setting for the origins of a provider. Removes the
/// setting for the time of a request, since requests to a provider have none.
pub(super) fn rename_setting(error: &impl Display) -> String {
    let text = error.to_string().replace("egress.allow", "web.oidc.allow");
    text.replace(" (`limits.request-time`)", "")
}

/// Checks that requests to `url` are permitted.
pub(super) fn check_target(client: &Client, url: &Url) -> Result<(), OidcError> {
    let uri: Uri = url
        .as_str()
        .parse()
        .map_err(|_| OidcError::Unusable("an endpoint of it is not an address".to_owned()))?;
    let checked = client.policy().check_target(&uri);
    checked
        .map(|_| ())
        .map_err(|denial| OidcError::Unusable(rename_setting(&denial)))
}

/// Reads a JSON document.
pub(super) async fn get(client: &Client, address: &str) -> Result<Bytes, OidcError> {
    let request = Request::get(address)
        .header(header::ACCEPT, "application/json")
        .body(Bytes::new())
        .map_err(|_| OidcError::Unusable(format!("{address} is not an address")))?;
    let response = send(client, request).await?;
    match response.status() {
        StatusCode::OK => Ok(response.into_body()),
        status => Err(OidcError::Unusable(format!(
            "{address} responds with status {}",
            status.as_u16()
        ))),
    }
}

/// Sends a request. Redirects are errors: they could lead anywhere.
pub(super) async fn send(
    client: &Client,
    mut request: Request<Bytes>,
) -> Result<Response<Bytes>, OidcError> {
    let address = request.uri().to_string();
    let deadline = Deadline(Instant::now() + REQUEST_TIMEOUT);
    request.extensions_mut().insert(deadline);
    let response = Transport::send(client, request, None).await;
    let response = response.map_err(|error| match error {
        TransportError::Egress(error) | TransportError::EgressInBody(_, error) => to_error(&error),
        _ => OidcError::Unavailable(format!("{address} sent no response")),
    })?;
    match response.status() {
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            let status = status.as_u16();
            Err(OidcError::Unavailable(format!(
                "{address} responds with status {status}"
            )))
        }
        status if status.is_redirection() => Err(OidcError::Unusable(format!(
            "{address} redirects elsewhere, which is not followed"
        ))),
        _ => Ok(response),
    }
}

fn to_error(error: &EgressError) -> OidcError {
    match error {
        EgressError::Limit { .. } => OidcError::TooLarge,
        EgressError::Denied(_) | EgressError::Refused { .. } => {
            OidcError::Unusable(rename_setting(error))
        }
        _ => OidcError::Unavailable(error.to_string()),
    }
}
