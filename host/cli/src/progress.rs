//! Progress on stderr, at a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use relation_host::store::Store;
use relation_host::transactions::{Progress, Status, TransactionFilter};
use relation_host::types::Reference;

use super::output::escape_control_chars;
use super::streams::stderr;

/// The time before progress is shown.
const SHOW_DELAY: Duration = Duration::from_millis(400);
/// How often the progress of a running transaction is read.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Awaits `work`. Meanwhile, a terminal shows `label`, and the progress of the call that runs for `watched`.
pub async fn show_while<T>(
    label: &str,
    watched: Option<(&dyn Store, Reference)>,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    if !stderr::is_interactive() {
        return work.await;
    }
    if let Ok(result) = tokio::time::timeout(SHOW_DELAY, &mut work).await {
        return result;
    }
    let bar = spinner(label);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            () = tokio::time::sleep(POLL_INTERVAL) => {
                if let Some((store, subject)) = &watched
                    && let Some(progress) = read_progress(*store, subject).await
                {
                    let progress = escape_control_chars(&progress.to_string());
                    bar.set_message(format!("{}: {progress}", escape_control_chars(label)));
                }
            }
        }
    };
    bar.finish_and_clear();
    result
}

/// Returns the progress of the running call for a record.
async fn read_progress(store: &dyn Store, subject: &Reference) -> Option<Progress> {
    let filter = TransactionFilter {
        subject: Some(subject.clone()),
        status: Some(Status::Processing),
        ..TransactionFilter::default()
    };
    let page = store.transactions(&filter, None, 1).await.ok()?;
    page.items.into_iter().next()?.progress
}

/// Shows a spinner with the elapsed time. Hidden if stderr is not a terminal.
pub fn spinner(label: &str) -> ProgressBar {
    let bar = new_bar(None, "{spinner} {msg} {elapsed}");
    bar.set_message(escape_control_chars(label));
    bar.enable_steady_tick(POLL_INTERVAL);
    bar
}

/// Shows a progress bar of `total` items. Hidden if stderr is not a terminal.
pub fn counter(total: u64, label: &str) -> ProgressBar {
    let bar = new_bar(Some(total), "{msg} [{bar:40}] {pos}/{len}");
    bar.set_message(escape_control_chars(label));
    bar
}

fn new_bar(total: Option<u64>, template: &str) -> ProgressBar {
    let target = match stderr::is_interactive() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(total, target);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
