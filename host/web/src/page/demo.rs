//! The routes of a demo: one logs a visitor in, the other one advances the clock.

use std::time::Duration;

use axum::Form;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::AppError;
use secrecy::SecretString;
use serde::Deserialize;

use super::links;
use crate::access::ClientAddress;
use crate::access::sessions::{self, LogIn};
use crate::{Web, WebError};

const HOUR: u64 = 3600;

/// The steps by which the bar advances the clock: the value of the button, the key of its text, and the duration.
pub(crate) const MOVES: [(&str, &str, Duration); 4] = [
    ("1h", "demo.hour", Duration::from_secs(HOUR)),
    ("1d", "demo.day", Duration::from_secs(24 * HOUR)),
    ("7d", "demo.week", Duration::from_secs(7 * 24 * HOUR)),
    ("30d", "demo.month", Duration::from_secs(30 * 24 * HOUR)),
];

/// Returns the address of the page that is shown after the clock was advanced. It is the current page, unless that is
/// the result of a form or of a consent, which must not be repeated.
pub(crate) fn find_return_path(web: &Web, parts: &Parts, path: &str) -> Option<String> {
    web.options().demo.as_ref()?;
    let is_result = !parts.method.is_safe() || parts.uri.path() == "/callback";
    Some(if is_result { "/" } else { path }.to_owned())
}

/// Logs a visitor in.
pub(crate) async fn log_in(
    State(web): State<Web>,
    address: ClientAddress,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response, WebError> {
    let user_agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    let request = LogIn {
        address,
        name: String::new(),
        password: SecretString::default(),
        previous: sessions::read_cookie(web.access(), &headers),
        user_agent: user_agent.map(str::to_owned),
    };
    let session = sessions::log_in_to_demo(web.access(), &token.into(), request).await?;
    let cookie = session.set_cookie(web.access());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

#[derive(Deserialize)]
pub(crate) struct Move {
    by: String,
    #[serde(default)]
    next: String,
}

/// Advances the clock, and returns to the page. In a demo, everybody who sees the page may advance the clock.
pub(crate) async fn advance(
    State(web): State<Web>,
    Form(requested): Form<Move>,
) -> Result<Response, WebError> {
    let demo = web.options().demo.as_ref();
    let demo = demo.ok_or_else(WebError::not_found)?;
    let found = MOVES.iter().find(|(value, ..)| *value == requested.by);
    let Some((_, _, by)) = found else {
        let message = format!("the time cannot be moved by {:?}", requested.by);
        return Err(AppError::usage(message)
            .hint("by is 1h, 1d, 7d or 30d")
            .into());
    };
    demo.time.advance(*by).await?;
    Ok(Redirect::to(links::local(&requested.next)).into_response())
}
