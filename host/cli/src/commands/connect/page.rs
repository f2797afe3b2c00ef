//! The result page of a consent.

use http::StatusCode;
use relation_app::{AppError, ErrorKind};
use relation_host::CallOutput;
use relation_host::reports::{Authorization, ConnectReport};

use crate::redirect::Page;

/// Builds the page for a completed or failed consent, with a link to the following one.
pub fn result_page(
    name: &str,
    completed: &Result<CallOutput<ConnectReport>, AppError>,
    following: Option<&Result<CallOutput<Authorization>, AppError>>,
) -> Page {
    const CLOSE: &str = "You can close this window.";
    match completed {
        Ok(connected) => {
            let message = connected.value.message.as_str();
            let title = format!("{name} is connected");
            match following {
                None => Page::new(StatusCode::OK, title, &[message, CLOSE]),
                Some(Ok(next)) => {
                    let link = format!("Continue with the consent for {}", next.value.grant);
                    Page {
                        link: Some((link, next.value.url.clone())),
                        ..Page::new(
                            StatusCode::OK,
                            title,
                            &[message, "One more consent is needed."],
                        )
                    }
                }
                Some(Err(error)) => Page::new(
                    StatusCode::OK,
                    title,
                    &[
                        message,
                        "One more consent is needed, which could not be started:",
                        &error.message,
                    ],
                ),
            }
        }
        Err(error) => {
            let title = format!("{name} was not connected");
            let field_errors = error.field_errors.iter();
            let field_errors = field_errors
                .map(|field_error| format!("{}: {}", field_error.field, field_error.message));
            let field_errors: Vec<String> = field_errors.collect();
            let mut texts = vec![error.message.as_str()];
            texts.extend(field_errors.iter().map(String::as_str));
            let next = match error.kind {
                ErrorKind::Reauthorize => "Run the command again for a new link.",
                ErrorKind::Unavailable
                | ErrorKind::RateLimited
                | ErrorKind::Busy
                | ErrorKind::Conflict => "Run the command again in a while for a new link.",
                _ => "The command shows what to do next.",
            };
            texts.extend([next, CLOSE]);
            Page::new(StatusCode::BAD_REQUEST, title, &texts)
        }
    }
}
