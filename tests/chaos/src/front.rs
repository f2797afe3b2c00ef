//! The emulated Webex behind a listener for each host, so that the record knows which host has sent a request.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{Request, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use url::form_urlencoded;
use webex_emulator::{ClientLimits, ClientOutcome, Webex};

use crate::ledger::Ledger;

/// The largest body of a request.
const MAX_BODY: usize = 1 << 20;

/// The longest time of a request's way to Webex, and of the response's way back.
const LONGEST_WAY: Duration = Duration::from_millis(60);

#[derive(Clone)]
struct Front {
    host: usize,
    webex: Webex,
    ledger: Ledger,
}

/// Begins to listen for a host, and returns the root of the API.
pub async fn start(host: usize, webex: Webex, ledger: Ledger) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let front = Front {
        host,
        webex,
        ledger,
    };
    let router = Router::new().fallback(handle).with_state(front);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}/v1"))
}

/// Handles a request. The future is dropped when the host disconnects, and then the response is not noted as returned.
async fn handle(State(front): State<Front>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let is_token = head.uri.path().ends_with("/access_token");
    let token = form_urlencoded::parse(&body)
        .find(|(name, _)| is_token && name == "refresh_token")
        .map(|(_, token)| token.into_owned());
    travel().await;
    let number = token
        .as_deref()
        .map(|token| front.ledger.begin(front.host, token));
    let request = Request::from_parts(head, body);
    let timed = front.webex.handle(request, ClientLimits::default()).await;
    let ClientOutcome::Complete(response) = timed.outcome else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if let (Some(number), Some(token)) = (number, &token) {
        let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let issued = body["refresh_token"].as_str();
        front.ledger.note_processed(number, token, issued);
    }
    travel().await;
    if let Some(number) = number {
        front.ledger.note_returned(number);
    }
    response.map(Body::from)
}

async fn travel() {
    let longest = u64::try_from(LONGEST_WAY.as_millis()).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(fastrand::u64(5..longest))).await;
}
