//! Calls of the host that a form starts, and how the page follows them.

use std::time::Duration;

use relation_host::transactions::TransactionFilter;
use relation_host::types::Reference;
use relation_host::{CallError, CallOutput};

use super::layer;
use super::ui::Ui;
use crate::calls::{Call, join};
use crate::{Web, WebError};

/// How long a request waits for the end of a call before it leads to the call's transaction.
const GRACE: Duration = Duration::from_millis(1500);
/// How long a request waits for the transaction of a call.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The time between two reads of the newest transaction.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A failed call, in words of the page.
pub(crate) struct Failed {
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) next: String,
    pub(crate) transaction: Option<String>,
}

impl Failed {
    pub(crate) fn new(error: &WebError, ui: &Ui) -> Self {
        Self {
            title: ui
                .language
                .text(&format!("error.{}", layer::error_key(error))),
            message: layer::message(ui, error),
            next: layer::next_step(ui, error),
            transaction: error.error.transaction.clone(),
        }
    }
}

/// A call that has ended, or still runs.
pub(crate) enum Started<T> {
    /// The call has ended.
    Ended(Result<CallOutput<T>, WebError>),
    /// The call runs as this transaction; `None`: it waits for another call on the record.
    Running(Option<String>),
}

/// Starts a call on a record. Returns when it has ended, or after a moment as soon as its transaction is known.
pub(crate) async fn start<T: Send + 'static>(
    web: &Web,
    subject: Reference,
    action: &str,
    recorded: Call<T>,
    call: impl Future<Output = Result<CallOutput<T>, CallError>> + Send + 'static,
) -> Result<Started<T>, WebError> {
    let filter = TransactionFilter {
        subject: Some(subject),
        action: Some(action.to_owned()),
        ..TransactionFilter::default()
    };
    let earlier = newest(web, &filter).await?;
    let mut task = recorded.spawn(web, call);
    if let Ok(result) = tokio::time::timeout(GRACE, join(&mut task)).await {
        return Ok(Started::Ended(result));
    }
    let began = async {
        loop {
            match newest(web, &filter).await {
                Ok(found) if found.is_some() && found != earlier => return found,
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    };
    tokio::select! {
        result = join(&mut task) => Ok(Started::Ended(result)),
        found = began => Ok(Started::Running(found)),
        () = tokio::time::sleep(BEGIN_TIMEOUT) => Ok(Started::Running(None)),
    }
}

async fn newest(web: &Web, filter: &TransactionFilter) -> Result<Option<String>, WebError> {
    let page = web.store().transactions(filter, None, 1).await?;
    Ok(page
        .items
        .into_iter()
        .next()
        .map(|transaction| transaction.id))
}
