//! Whole lists as lines of JSON (NDJSON).

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{once, try_unfold};
use relation_app::{AppError, ErrorKind};
use relation_host::types::Page;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::WebError;

/// The media type of lines of JSON.
pub(crate) const LINES: &str = "application/x-ndjson";
/// The number of items that are in memory together.
pub(crate) const PAGE_SIZE: u32 = 100;
/// The number of pages that all exports read at a time, so that they leave processors to other requests.
static PAGES: Semaphore = Semaphore::const_new(1);

/// Returns all items of a list, one in each line. `read` reads the page at a cursor, of at most [`PAGE_SIZE`] items.
///
/// The next page is read when the client has received the one before. If that fails, the response ends incomplete, so
/// that the client notices.
///
/// # Errors
/// The first page cannot be read.
pub(crate) async fn respond<T, F, R>(read: F) -> Result<Response, WebError>
where
    T: Serialize + Send + 'static,
    F: Fn(Option<String>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Page<T>, WebError>> + Send + 'static,
{
    let permit = PAGES.acquire().await;
    let first = read(None).await?;
    let lines = to_lines(&first.items)?;
    drop(permit);
    let others = try_unfold((read, first.next), |(read, cursor)| async move {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let page = async {
            let permit = PAGES.acquire().await;
            let page = read(Some(cursor)).await?;
            let lines = to_lines(&page.items)?;
            drop(permit);
            Ok((lines, page.next))
        };
        match page.await {
            Ok((lines, next)) => Ok(Some((lines, (read, next)))),
            Err(error) => {
                let error: WebError = error;
                tracing::error!(error = error.error.message, "an export ended early");
                Err(error.error)
            }
        }
    });
    let body = Body::from_stream(once(async { Ok::<_, AppError>(lines) }).chain(others));
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(LINES))];
    Ok((content_type, body).into_response())
}

fn to_lines<T: Serialize>(items: &[T]) -> Result<Bytes, WebError> {
    let mut lines = Vec::new();
    for item in items {
        serde_json::to_writer(&mut lines, item).map_err(|error| {
            let message = format!("an item of an export cannot be written: {error}");
            AppError::new(ErrorKind::Internal, message)
        })?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}
