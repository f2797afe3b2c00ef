//! A transaction as a text for a support case.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use relation_host::transactions::Transaction;

use super::parts::clean;
use super::texts::Language;
use super::transactions::{Line, read};
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

/// Returns a transaction as a text for a support case. Logs never contain a secret.
pub(crate) fn support_text(transaction: &Transaction) -> String {
    let mut text = format!(
        "Transaction: {}\nAction: {}\nSubject: {} {}\nStatus: {}\nStarted: {}\n",
        transaction.id,
        transaction.action,
        transaction
            .subject
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        transaction.subject_name,
        transaction.status.as_str(),
        transaction.started,
    );
    if let Some(completed) = transaction.completed {
        text.push_str(&format!("Completed: {completed}\n"));
    }
    if let Some(progress) = &transaction.progress {
        text.push_str(&format!("Progress: {progress}\n"));
    }
    text.push_str(&format!("Message: {}\n", transaction.message));
    for line in &transaction.log {
        let level = Line::new(line, Language::English).level;
        text.push_str(&format!("{} {level} {}\n", line.at, line.message));
    }
    clean(&text)
}

/// Returns the text of a transaction for a support case.
pub(crate) async fn support(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let transaction = read(&web, &allowed, &id).await?;
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((headers, support_text(&transaction)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::transactions::tests::sample;

    #[test]
    fn support_text_has_the_log() {
        let text = support_text(&sample());
        assert!(
            text.contains("Status: Processing") && text.contains("info two\n"),
            "{text}"
        );
    }
}
