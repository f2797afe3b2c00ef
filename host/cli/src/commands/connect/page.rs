//! The page that the browser shows after a consent.

use http::StatusCode;
use relation_host::Called;
use relation_host::reports::{Authorization, ConnectReport};

use crate::failure::{Failed, Kind};
use crate::redirect::Page;

/// The page that the browser shows.
pub fn page(
    name: &str,
    completed: &Result<Called<ConnectReport>, Failed>,
    following: Option<&Result<Called<Authorization>, Failed>>,
) -> Page {
    const CLOSE: &str = "You can close this window.";
    match completed {
        Ok(connected) => {
            let message = connected.value.message.as_str();
            let title = format!("{name} is connected");
            match following {
                None => Page::new(StatusCode::OK, title, &[message, CLOSE]),
                Some(Ok(next)) => {
                    let link = format!("Go on with the consent for {}", next.value.grant);
                    Page {
                        link: Some((link, next.value.url.clone())),
                        ..Page::new(
                            StatusCode::OK,
                            title,
                            &[message, "One more consent is needed."],
                        )
                    }
                }
                Some(Err(failed)) => Page::new(
                    StatusCode::OK,
                    title,
                    &[
                        message,
                        "One more consent is needed, which could not be begun:",
                        &failed.message,
                    ],
                ),
            }
        }
        Err(failed) => {
            let title = format!("{name} was not connected");
            let faults = failed.faults.iter();
            let faults = faults.map(|fault| format!("{}: {}", fault.field, fault.message));
            let faults: Vec<String> = faults.collect();
            let mut texts = vec![failed.message.as_str()];
            texts.extend(faults.iter().map(String::as_str));
            let next = match failed.kind {
                Kind::Reauthorize => "Run the command again for a new link.",
                Kind::Unavailable | Kind::RateLimited | Kind::Busy | Kind::Conflict => {
                    "Run the command again in a while for a new link."
                }
                _ => "The command says what to do about it.",
            };
            texts.extend([next, CLOSE]);
            Page::new(StatusCode::BAD_REQUEST, title, &texts)
        }
    }
}
