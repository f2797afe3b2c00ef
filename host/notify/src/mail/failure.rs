//! The steps of an attempt, and the meaning of a failure at each.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::response::Severity;
use secrecy::ExposeSecret;

use crate::{DeliveryError, DeliveryErrorKind};

use super::content::clean;
use super::options::Login;
use super::session::{SessionError, format_reply};

/// A step of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Step {
    #[default]
    Resolve,
    Connect,
    Tls,
    Greeting,
    Hello,
    StartTls,
    LogIn,
    Sender,
    Recipient,
    Data,
    Content,
    /// The end of the content was sent, or may have been: the server may have accepted the message.
    Accept,
}

impl Step {
    /// Returns whether a refusal concerns the recipient or the message, not the relay and its settings.
    fn is_about_message(self) -> bool {
        matches!(
            self,
            Self::Recipient | Self::Data | Self::Content | Self::Accept
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "name resolution",
            Self::Connect => "connection",
            Self::Tls => "TLS",
            Self::Greeting => "greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::LogIn => "AUTH",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "content",
            Self::Accept => "end of the content",
        })
    }
}

/// The cause of a failed attempt.
#[derive(Debug)]
pub(super) enum Cause {
    /// The session failed.
    Session(SessionError),
    /// The connection or TLS failed, or may not be used.
    Setup(String),
    /// The attempt's time is over.
    Timeout,
}

impl From<SessionError> for Cause {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

/// The maximum length of a server's reply in a receipt or an error.
const MAX_REPLY: usize = 500;

/// Creates the error of an attempt at `server` (host and port) that failed at `step`.
pub(super) fn describe(
    server: &str,
    step: Step,
    cause: Cause,
    login: Option<&Login>,
) -> DeliveryError {
    let temporary = DeliveryErrorKind::Temporary { retry_after: None };
    let lost = match step {
        Step::Accept => DeliveryErrorKind::Unknown,
        _ => temporary,
    };
    let (kind, reason) = match cause {
        Cause::Session(SessionError::Refused(reply)) => {
            let code = reply.code();
            // 530: the relay requires AUTH or TLS first.
            let is_final = code.severity == Severity::PermanentNegativeCompletion
                && step.is_about_message()
                && u16::from(code) != 530;
            let kind = if is_final {
                DeliveryErrorKind::Permanent
            } else {
                temporary
            };
            (kind, format_reply(&reply))
        }
        Cause::Session(SessionError::Io(error)) => {
            (lost, format!("the connection failed: {error}"))
        }
        Cause::Session(SessionError::Closed) => {
            (lost, "the server closed the connection".to_owned())
        }
        Cause::Session(SessionError::Protocol(reason)) => (lost, reason),
        Cause::Setup(reason) => (temporary, reason),
        Cause::Timeout => (lost, "no response in time (`attempt-limit`)".to_owned()),
    };
    let reason = tidy_reply(&reason, login);
    let hint = match kind {
        DeliveryErrorKind::Unknown => "; the server may have accepted the message",
        DeliveryErrorKind::Temporary { .. } if is_configuration(step, &reason) => {
            "; check the settings of the mail server"
        }
        _ => "",
    };
    let text = format!("mail server {server}, {step}: {reason}{hint}");
    DeliveryError { kind, text }
}

/// Returns whether a failure is probably one of the settings: TLS, AUTH, a sender that the relay refuses.
fn is_configuration(step: Step, reason: &str) -> bool {
    match step {
        Step::Tls | Step::StartTls | Step::LogIn => !reason.starts_with('4'),
        _ => reason.starts_with('5'),
    }
}

/// Returns a server's text in one bounded line, without the secret.
pub(super) fn tidy_reply(text: &str, login: Option<&Login>) -> String {
    let mut text = text.to_owned();
    if let Some(login) = login {
        let secret = login.secret.expose_secret();
        let plain = STANDARD.encode(format!("\0{}\0{secret}", login.user));
        for part in [plain.as_str(), &STANDARD.encode(secret), secret] {
            text = text.replace(part, "[secret]");
        }
    }
    clean(&text, MAX_REPLY)
}
