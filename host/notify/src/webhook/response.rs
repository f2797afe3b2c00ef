//! The result of an attempt: what a response or an error means for the delivery.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use relation_egress::{EgressError, RequestPhase};
use relation_types::text::is_invisible;
use zeroize::Zeroizing;

use crate::retry::MAX_RETRY_AFTER;
use crate::{DeliveryError, DeliveryErrorKind, Receipt};

/// The maximum length of a body that is shown, in characters.
const MAX_SHOWN_CHARS: usize = 200;
/// The maximum length of an error, in characters.
const MAX_ERROR_CHARS: usize = 500;
/// The text in place of a secret.
const REDACTED: &str = "[redacted]";

/// Returns the result of a response whose body began with `body`.
pub(super) fn classify(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[Zeroizing<String>],
    now: DateTime<Utc>,
) -> Result<Receipt, DeliveryError> {
    let shown = show_body(body, secrets);
    let separator = if shown.is_empty() { "" } else { ": " };
    if status.is_success() {
        return Ok(Receipt {
            confirmed: true,
            reply: format!("{status}{separator}{shown}"),
        });
    }
    let (kind, hint) = if status == StatusCode::GONE {
        (
            DeliveryErrorKind::Gone,
            ", so it accepts no further messages",
        )
    } else if status.is_redirection() {
        let hint = ", but redirects are not followed; enter the new address";
        (DeliveryErrorKind::Temporary { retry_after: None }, hint)
    } else {
        let retry_after = parse_retry_after(headers, now);
        (DeliveryErrorKind::Temporary { retry_after }, "")
    };
    Err(DeliveryError {
        kind,
        text: format!("the receiver responded with {status}{hint}{separator}{shown}"),
    })
}

/// Returns the result of an attempt without a response.
pub(super) fn classify_error(error: &EgressError) -> DeliveryError {
    let text = match error {
        EgressError::Denied(denial) => {
            format!("the operator's policy denies the receiver: {denial}")
        }
        // The error's own text names the time limit of the plugin's calls.
        EgressError::Timeout { peer, phase } => {
            let hint = if *phase >= RequestPhase::Response {
                "; the receiver may have the message, and drops the repetition by its `webhook-id`"
            } else {
                ""
            };
            format!("{peer} took too long: the time was up while {phase}{hint}")
        }
        error => error.to_string(),
    };
    temporary(text)
}

pub(super) fn temporary(text: String) -> DeliveryError {
    DeliveryError {
        kind: DeliveryErrorKind::Temporary { retry_after: None },
        text: shorten(text),
    }
}

/// Returns the wait that a receiver asks for, in seconds or until a date; `None`: there is none, or it cannot be read.
fn parse_retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_number {
        // A number that is too large is still a number.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = DateTime::parse_from_rfc2822(value).ok()?;
        (date.to_utc() - now).to_std().unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Returns the first printable characters of a body in one line, without the secrets.
fn show_body(body: &[u8], secrets: &[Zeroizing<String>]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut shown = String::new();
    for c in text.chars() {
        if c.is_whitespace() {
            if !shown.is_empty() && !shown.ends_with(' ') {
                shown.push(' ');
            }
        } else if !is_invisible(c) && c != char::REPLACEMENT_CHARACTER {
            shown.push(c);
        }
    }
    // The longest first: a part of a secret may be a secret of its own.
    let mut secrets: Vec<_> = secrets.iter().filter(|each| !each.is_empty()).collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in secrets {
        if shown.contains(secret.as_str()) {
            shown = shown.replace(secret.as_str(), REDACTED);
        }
    }
    shown.trim_end().chars().take(MAX_SHOWN_CHARS).collect()
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(MAX_ERROR_CHARS) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-12-07T10:00:00Z".parse().unwrap()
    }

    fn respond(status: u16, retry_after: Option<&str>) -> Result<Receipt, DeliveryError> {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        classify(status, &headers, b"", &[], now())
    }

    fn wait(status: u16, retry_after: &str) -> Option<u64> {
        match respond(status, Some(retry_after)).unwrap_err().kind {
            DeliveryErrorKind::Temporary { retry_after } => retry_after.map(|wait| wait.as_secs()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn success_is_confirmed_with_status() {
        for (status, reply) in [
            (200, "200 OK"),
            (204, "204 No Content"),
            (202, "202 Accepted"),
        ] {
            let receipt = respond(status, None).unwrap();
            assert!(receipt.confirmed);
            assert_eq!(receipt.reply, reply);
        }
    }

    #[test]
    fn gone_ends_and_every_other_status_can_heal() {
        assert_eq!(
            respond(410, None).unwrap_err().kind,
            DeliveryErrorKind::Gone
        );
        for status in [
            300, 301, 304, 307, 400, 401, 403, 404, 407, 422, 429, 500, 502, 503, 599,
        ] {
            let error = respond(status, None).unwrap_err();
            let expected = DeliveryErrorKind::Temporary { retry_after: None };
            assert_eq!(error.kind, expected, "{status}");
            assert!(error.text.contains(&status.to_string()), "{error}");
        }
        let redirect = respond(308, None).unwrap_err();
        assert!(
            redirect.text.contains("redirects are not followed"),
            "{redirect}"
        );
    }

    #[test]
    fn retry_after_is_read_and_bounded() {
        for status in [429, 503] {
            assert_eq!(wait(status, "120"), Some(120));
            assert_eq!(wait(status, "0"), Some(0));
            assert_eq!(wait(status, "999999999999999999999999"), Some(86_400));
            assert_eq!(wait(status, "Mon, 07 Dec 2026 10:02:00 GMT"), Some(120));
            assert_eq!(wait(status, "Mon, 07 Dec 2026 09:00:00 GMT"), Some(0));
            assert_eq!(wait(status, "Fri, 31 Dec 9999 23:59:59 GMT"), Some(86_400));
        }
        for malformed in ["", "-5", "1.5", "rand(30),add(30)", "soon", "5 s"] {
            assert_eq!(wait(429, malformed), None, "{malformed}");
        }
    }

    #[test]
    fn body_is_shown_in_one_printable_line() {
        let long = "x".repeat(500);
        for (body, expected) in [
            ("", ""),
            (" \r\n\t a\0\x1b[31m\u{202e}b\n\n c \n", "a[31mb c"),
            ("\u{fffd}", ""),
            (long.as_str(), &long[..200]),
        ] {
            assert_eq!(show_body(body.as_bytes(), &[]), expected);
        }
        assert_eq!(show_body(b"\xff\xfea", &[]), "a");
    }

    #[test]
    fn secrets_are_redacted_before_the_text_is_cut() {
        let secrets = ["/hooks/canary", "canary", ""];
        let secrets = secrets.map(|secret| Zeroizing::new(secret.to_owned()));
        let shown = show_body(b"Cannot POST /hooks/canary or can\0ary", &secrets);
        assert_eq!(shown, "Cannot POST [redacted] or [redacted]");
        let late = format!("{}canary", "x".repeat(197));
        let shown = show_body(late.as_bytes(), &secrets);
        assert!(!shown.contains("can"), "{shown}");
    }
}
