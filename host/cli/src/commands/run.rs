//! `run`: keeps connections alive, by running what is due when it is due.

use std::num::NonZeroU32;

use relation_host::schedule::dispatcher::{DispatcherOptions, Summary};
use serde_json::json;

use crate::failure::Failed;
use crate::stop::Stop;
use crate::{Context, progress, review};

/// Scheduled refreshes in a second unless configured: 100 000 customers that are due at once take 84
/// minutes. Webex publishes no limit for its token endpoint.
const REFRESH_RATE: u32 = 20;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run what is due now, and end when nothing is
    #[arg(long)]
    until_idle: bool,
    /// Workflows at once, in place of the configured number
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    concurrency: Option<usize>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err("a whole number, 1 or more".to_owned()),
    }
}

/// Runs until stopped, or until nothing is due; prints how much that was.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    // Before anything else, so that a signal during the start is not lost.
    let stop = Stop::listen()?;
    let host = context.host().await?;
    let defaults = DispatcherOptions::default();
    let configured = &context.config.dispatch;
    let options = DispatcherOptions {
        concurrency: args
            .concurrency
            .or(configured.concurrency)
            .unwrap_or(defaults.concurrency),
        poll: configured.poll.unwrap_or(defaults.poll),
        refresh_rate: configured.refresh_rate.or(NonZeroU32::new(REFRESH_RATE)),
    };
    tracing::info!(
        store = %context.config.store,
        plugin = host.plugin().name(),
        concurrency = options.concurrency,
        "running due wakeups"
    );
    let dispatcher = host.dispatcher(options);
    let summary = if args.until_idle {
        let spinner = progress::spinner("running what is due");
        let ran = dispatcher.run_until_idle_or(stop.signalled()).await;
        spinner.finish_and_clear();
        ran?
    } else {
        let reviewed = review::after_upgrade(&host, &context.config, &stop);
        let (summary, ()) = tokio::join!(dispatcher.run(stop.signalled()), reviewed);
        summary
    };
    tracing::info!(done = summary.done, failed = summary.failed, "stopped");
    print(context, summary)
}

fn print(context: &Context, summary: Summary) -> Result<(), Failed> {
    let Summary { done, failed } = summary;
    let document = json!({ "done": done, "failed": failed });
    context.output.print(&document, |_| {
        format!("{done} wakeups answered, {failed} calls failed and are due again")
    })
}
