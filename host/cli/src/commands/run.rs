//! `run`: keeps connections alive, by running what is due when it is due.

use std::num::NonZeroU32;
#[cfg(feature = "scenarios")]
use std::path::PathBuf;

use relation_host::Host;
use relation_host::schedule::dispatcher::{Dispatcher, DispatcherOptions, Summary};
use serde_json::{Value, json};

use crate::config::StoreUrl;
use crate::failure::{Failed, Kind};
#[cfg(feature = "scenarios")]
use crate::recording::Recording;
use crate::stop::Stop;
use crate::{Context, progress, review};

/// Scheduled refreshes in a second unless configured: 100 000 customers that are due at once take 84
/// minutes. Webex publishes no limit for its token endpoint.
const REFRESH_RATE: u32 = 20;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run what is due now, and end when nothing is: with 4 if a customer needs a person, else with 5 if
    /// one is tried again later or an import failed
    #[arg(long)]
    until_idle: bool,
    /// Workflows at once, in place of the configured number
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    concurrency: Option<usize>,
    /// Write what is done to a new file, as a scenario that `relation-host test FILE` replays
    ///
    /// One workflow runs at a time then, and the file is written when the run ends, also by SIGINT or
    /// SIGTERM; it has 1000 calls at most. Tokens, passwords and other secrets are replaced, the data of
    /// customers is not: the file is for its owner alone to read. docs/scenarios.md says more.
    #[cfg(feature = "scenarios")]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// What `run` runs: the host, and who notes what it does.
struct Running {
    host: Host,
    #[cfg(feature = "scenarios")]
    recording: Option<Recording>,
}

impl Running {
    #[cfg(feature = "scenarios")]
    async fn begin(context: &Context, args: &Args) -> Result<Self, Failed> {
        let Some(file) = &args.record else {
            let host = context.host_with_store().await?;
            let recording = None;
            return Ok(Self { host, recording });
        };
        if args.concurrency.is_some_and(|number| number != 1) {
            let text = "--record writes one workflow after the other, so --concurrency cannot be more than 1";
            return Err(Failed::usage(text).hint("leave --concurrency out"));
        }
        let (host, recording) = context.recorded_host(file).await?;
        Ok(Self {
            host,
            recording: Some(recording),
        })
    }

    #[cfg(not(feature = "scenarios"))]
    async fn begin(context: &Context, _: &Args) -> Result<Self, Failed> {
        let host = context.host_with_store().await?;
        Ok(Self { host })
    }

    #[cfg(feature = "scenarios")]
    fn dispatcher(&self, mut options: DispatcherOptions) -> Dispatcher {
        match &self.recording {
            None => self.host.dispatcher(options),
            Some(recording) => {
                options.concurrency = 1;
                recording.dispatcher(&self.host, options)
            }
        }
    }

    #[cfg(not(feature = "scenarios"))]
    fn dispatcher(&self, options: DispatcherOptions) -> Dispatcher {
        self.host.dispatcher(options)
    }

    /// Whether something else must not run beside the dispatcher.
    fn is_recorded(&self) -> bool {
        #[cfg(feature = "scenarios")]
        return self.recording.is_some();
        #[cfg(not(feature = "scenarios"))]
        return false;
    }

    /// What became of the recording; none: there was none.
    fn finish(self) -> Result<Option<Value>, Failed> {
        #[cfg(feature = "scenarios")]
        if let Some(recording) = self.recording {
            let recorded = recording.finish()?;
            let file = recorded.file.as_deref();
            return Ok(Some(json!({
                "file": file.map(|file| file.to_string_lossy()),
                "calls": recorded.calls,
                "left_out": recorded.left_out,
                "full": recorded.full,
            })));
        }
        Ok(None)
    }
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
    let StoreUrl::Sqlite(store) = &context.config.store;
    let is_new = !store.exists();
    let running = Running::begin(context, &args).await?;
    if is_new {
        tracing::warn!(
            "there was no store {}: an empty one was made; if it should hold customers, `store` in the \
             configuration or --store names another one",
            store.display()
        );
    }
    let host = &running.host;
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
        concurrency = if running.is_recorded() { 1 } else { options.concurrency },
        "running due wakeups"
    );
    let dispatcher = running.dispatcher(options);
    let ran = if args.until_idle {
        let spinner = progress::spinner("running what is due");
        let ran = dispatcher.run_until_idle_or(stop.signalled()).await;
        spinner.finish_and_clear();
        ran
    } else {
        let reviewed = review::after_upgrade(host, &context.config, &stop);
        if running.is_recorded() {
            // What it does is no wakeup's: it comes before, so that what is recorded finds what it left.
            reviewed.await;
            Ok(dispatcher.run(stop.signalled()).await)
        } else {
            let (summary, ()) = tokio::join!(dispatcher.run(stop.signalled()), reviewed);
            Ok(summary)
        }
    };
    // Also of a run that failed: what it did until then may be why.
    let recorded = running.finish()?;
    let summary = ran?;
    tracing::info!(
        done = summary.done,
        failed = summary.failed,
        refreshed = summary.refreshed,
        retrying = summary.retrying,
        need_person = summary.need_person,
        failed_imports = summary.failed_imports,
        "stopped"
    );
    let written = print(context, summary, recorded);
    match args.until_idle {
        true => verdict(summary).and(written),
        // It was told to stop, and did.
        false => written,
    }
}

/// How `--until-idle` ends: by who acts next.
fn verdict(summary: Summary) -> Result<(), Failed> {
    let faults = [
        (summary.need_person, "needs a person", "need a person"),
        (
            summary.retrying,
            "is tried again later",
            "are tried again later",
        ),
        (
            summary.failed_imports,
            "has a failed import",
            "have a failed import",
        ),
    ];
    let of_customers = faults.iter().filter_map(|(count, one, many)| match count {
        0 => None,
        1 => Some(format!("1 customer {one}")),
        count => Some(format!("{count} customers {many}")),
    });
    let of_calls = match summary.failed {
        0 => None,
        1 => Some("1 call failed and is due again".to_owned()),
        count => Some(format!("{count} calls failed and are due again")),
    };
    let told: Vec<String> = of_customers.chain(of_calls).collect();
    let told = told.join(", ");
    if summary.need_person > 0 {
        let hint = "`relation-host list` shows them as reauthorize, expired or missing-scope; \
                    `relation-host connect RECORD` connects one again";
        return Err(Failed::new(Kind::Reauthorize, told).hint(hint));
    }
    if !told.is_empty() {
        let hint = "it is repeated by itself; `relation-host transactions --status fail` says why";
        return Err(Failed::new(Kind::Unavailable, told).hint(hint));
    }
    Ok(())
}

fn print(context: &Context, summary: Summary, recorded: Option<Value>) -> Result<(), Failed> {
    let Summary {
        done,
        failed,
        refreshed,
        retrying,
        need_person,
        failed_imports,
    } = summary;
    let mut document = json!({
        "done": done, "failed": failed, "refreshed": refreshed, "retrying": retrying,
        "need_person": need_person, "failed_imports": failed_imports,
    });
    if let (Some(recorded), Some(members)) = (recorded, document.as_object_mut()) {
        members.insert("recorded".to_owned(), recorded);
    }
    context.output.print(&document, |document| {
        let done = format!(
            "{done} wakeups answered: {refreshed} refreshed, {retrying} retrying, {need_person} need a person, \
             {failed_imports} failed imports, {failed} failed calls"
        );
        let recorded = document.get("recorded");
        let calls = recorded.and_then(|recorded| recorded.get("calls"));
        match (
            calls,
            recorded.and_then(|recorded| recorded.get("left_out")),
        ) {
            (Some(calls), Some(left_out)) => {
                format!("{done}; {calls} calls recorded, {left_out} left out")
            }
            _ => done,
        }
    })
}
