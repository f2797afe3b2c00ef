//! The message of RFC 5322: headers, and text and HTML as alternatives.

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use sha2::{Digest as _, Sha256};

use crate::{Attempt, Message};

use super::address::MailAddress;
use super::content::MailText;
use super::options::CheckedOptions;

/// Builds the message of an attempt. Attempts with one id differ only in `Date` and the days that are left.
pub(super) fn build_message(
    options: &CheckedOptions,
    to: &MailAddress,
    text: &MailText,
    attempt: &Attempt<'_>,
) -> Result<Vec<u8>, String> {
    let domain = &options.domain;
    let thread = thread_of(attempt.message, domain);
    let mut builder = lettre::Message::builder()
        .from(options.from.clone())
        .to(Mailbox::new(None, to.address()))
        .subject(text.subject.as_str())
        .date(attempt.now.into())
        .message_id(Some(format!("<notice.{}@{domain}>", hash(&[attempt.id]))));
    if let Some(reply_to) = &options.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if let Some(thread) = thread {
        builder = builder.in_reply_to(thread.clone()).references(thread);
    }
    for (name, value) in [
        // RFC 3834: no program sends a reply. Exchange only knows the third.
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("List-Id", format!("relation notices <notices.{domain}>")),
        ("X-Auto-Response-Suppress", "All".to_owned()),
    ] {
        let name = HeaderName::new_from_ascii_str(name);
        builder = builder.raw_header(HeaderValue::new(name, value));
    }
    // Derived from the content, so that the content cannot contain it, and the same in every attempt at one content.
    let boundary = hash(&[attempt.id, &text.text, &text.html]);
    let parts = MultiPart::alternative()
        .boundary(boundary)
        .singlepart(SinglePart::plain(text.text.clone()))
        .singlepart(SinglePart::html(text.html.clone()));
    let message = builder
        .multipart(parts)
        .map_err(|error| error.to_string())?;
    Ok(message.formatted())
}

/// Returns the id that a connection's messages refer to, or that of a node's digests. No message has the id itself.
fn thread_of(message: &Message, domain: &str) -> Option<String> {
    let id = match message {
        Message::Single(notice) if notice.record.is_empty() => return None,
        Message::Single(notice) => hash(&["record", &notice.record]),
        Message::Digest(digest) => hash(&["node", &digest.node]),
    };
    Some(format!("<thread.{id}@{domain}>"))
}

/// Returns 32 hexadecimal characters that are different for different parts.
fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    hex::encode(digest.get(..16).unwrap_or_default())
}
