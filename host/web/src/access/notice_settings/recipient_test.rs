//! Tests of recipients: a message that the recipient gets immediately, and the receiver's reply.

use relation_app::notices::{Notices, recipient_id};
use relation_app::{AppError, ErrorKind};
use relation_host::types::Hierarchy;
use relation_notify::runner::enable;
use relation_notify::settings::ResolvedRecipient;
use serde::Serialize;
use serde_json::Value;

use super::resolved::resolve_all;
use super::{to_object, to_time};
use crate::WebError;
use crate::access::audit::{self, AuditResult, FieldChange};
use crate::access::nodes::find_spelling;
use crate::access::{AccessParts, Authority, permission};

/// The result of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestReport {
    /// Whether the message was sent.
    pub sent: bool,
    /// Whether the receiver has confirmed it. A trap is only sent.
    pub confirmed: bool,
    /// The receiver's reply, or the reason why the message was not sent.
    pub reply: String,
}

/// Sends a test to a recipient that the level of a node names, by the id or the e-mail address. A test that was not
/// delivered is a result too; one that was delivered enables an endpoint that was disabled. A caller that leaves does
/// not stop the test.
///
/// # Errors
/// 404 for a node outside of the administrator's, or if its level names no such recipient; the store cannot be read.
pub async fn send_test(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    notices: &Notices,
    node: &Hierarchy,
    id: &str,
) -> Result<TestReport, WebError> {
    let node = find_spelling(parts.store(), node).await?;
    authority.check_node(&node)?;
    let recipient = find_recipient(parts, &node, id).await?;
    let event = authority
        .to_node_event("test-notice-recipient", &node)
        .on(to_object(&node));
    let shown = recipient_id(&recipient.recipient).to_owned();
    let event = event.with_changes(vec![FieldChange::new("recipient", Value::Null, shown)]);
    let (parts, notices) = (parts.clone(), notices.clone());
    let sending = tokio::spawn(async move {
        let result = notices.send_test(&recipient, parts.now()).await;
        if result.is_ok() {
            let now = to_time(parts.now());
            enable(parts.store(), &recipient.origin, &recipient.recipient, now).await?;
        }
        let report = match result {
            Ok(receipt) => TestReport {
                sent: true,
                confirmed: receipt.confirmed,
                reply: receipt.reply,
            },
            Err(error) => TestReport {
                sent: false,
                confirmed: false,
                reply: error.text,
            },
        };
        let event = event.with_result(match report.sent {
            true => AuditResult::Success,
            false => AuditResult::Failed,
        });
        audit::record(&parts, event).await?;
        Ok(report)
    });
    sending.await.unwrap_or_else(|error| {
        let message = format!("a test of a recipient failed: {error}");
        Err(AppError::new(ErrorKind::Internal, message).into())
    })
}

async fn find_recipient(
    parts: &AccessParts,
    node: &Hierarchy,
    id: &str,
) -> Result<ResolvedRecipient, WebError> {
    let resolved = resolve_all(parts, node).await?;
    let folded = id.to_ascii_lowercase();
    let is_wanted = |each: &ResolvedRecipient| {
        each.origin == *node
            && (recipient_id(&each.recipient) == id || each.recipient.key() == folded)
    };
    let mut recipients = resolved.recipients.into_iter();
    recipients.find(is_wanted).ok_or_else(WebError::not_found)
}
