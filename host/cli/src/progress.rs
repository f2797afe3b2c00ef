//! A progress bar on stderr, at a terminal and for work that takes its time.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use relation_host::store::Store;
use relation_host::transactions::{Progress, Status, TransactionFilter};
use relation_host::types::Reference;

use super::output::shown;
use super::streams::stderr;

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often a running transaction is asked how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// Awaits `work`. Meanwhile a terminal shows what is being done and, when the call of `watched` is
/// what runs, how far it is.
pub async fn during<T>(
    label: &str,
    watched: Option<(&dyn Store, Reference)>,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    if !stderr::has_a_person() {
        return work.await;
    }
    if let Ok(result) = tokio::time::timeout(PATIENCE, &mut work).await {
        return result;
    }
    let bar = spinner(label);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            () = tokio::time::sleep(LOOK) => {
                if let Some((store, subject)) = &watched
                    && let Some(progress) = running(*store, subject).await
                {
                    bar.set_message(format!("{}: {}", shown(label), shown(&progress.to_string())));
                }
            }
        }
    };
    bar.finish_and_clear();
    result
}

/// How far the running call of a record is.
async fn running(store: &dyn Store, subject: &Reference) -> Option<Progress> {
    let filter = TransactionFilter {
        subject: Some(subject.clone()),
        status: Some(Status::Processing),
        action: None,
    };
    let page = store.transactions(&filter, None, 1).await.ok()?;
    page.items.into_iter().next()?.progress
}

/// Shows that something runs and for how long; hidden when stderr is no terminal.
pub fn spinner(label: &str) -> ProgressBar {
    let bar = bar(None, "{spinner} {msg} {elapsed}");
    bar.set_message(shown(label));
    bar.enable_steady_tick(LOOK);
    bar
}

/// Shows how many of `total` are done; hidden when stderr is no terminal.
pub fn counter(total: u64, label: &str) -> ProgressBar {
    let bar = bar(Some(total), "{msg} [{bar:40}] {pos}/{len}");
    bar.set_message(shown(label));
    bar
}

fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    let target = match stderr::has_a_person() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(total, target);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
