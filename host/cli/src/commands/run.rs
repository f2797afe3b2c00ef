//! `run`: runs due wakeups, which keep the connections alive.

use std::net::SocketAddr;
use std::num::NonZeroU32;
#[cfg(feature = "scenarios")]
use std::path::PathBuf;
use std::time::Duration;

use relation_app::config::DispatchEngine;
use relation_app::{AppError, ErrorKind, check, status, upgrade_check};
use relation_host::Host;
use relation_host::schedule::{DispatchSummary, Dispatcher, DispatcherOptions, Throttle};
use relation_host::text::format_count;
use relation_host::wakeup_kinds;
use serde_json::{Value, json};

#[cfg(feature = "scenarios")]
use crate::recording::Recording;
use crate::shutdown::Shutdown;
use crate::telemetry::Telemetry;
use crate::{Context, progress};

/// The default of scheduled refreshes per second. 100 000 customers that are due at the same time take 84
/// minutes. Webex publishes no limit for its token endpoint.
const REFRESH_RATE: u32 = 20;

/// How soon a wakeup must be due for `--until-idle` to wait for it.
const IMMINENT: Duration = Duration::from_secs(2);

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
At its start the command checks the installation like `relation-host check`, without requests, and logs every
problem as a warning. It then runs nevertheless. A client secret that changes in its file is used from the next call
on.

--until-idle runs what is due now, or within 2 seconds of the start, and what becomes due while these calls run. It
does not wait for later wakeups, such as retries. Its exit code is for the customers of these calls:
  0  everything that was due is done
  4  a customer needs a person at Webex
  5  a refresh or an import is retried later, or a failed call is due again
  6  the operator must correct a setting, a policy, a limit or a proxy first
6 precedes 4, and 4 precedes 5.")]
pub struct Args {
    /// Exit when no wakeup is due now or within 2 seconds; the exit code summarizes the customers
    #[arg(long)]
    until_idle: bool,
    /// The maximum number of concurrent workflows, in place of the configured one
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    concurrency: Option<usize>,
    /// The address of metrics and health, in place of metrics.listen
    ///
    /// With --until-idle, nothing is shown at metrics.listen, since another process may listen there.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Record the calls to a new file, as a scenario that `relation-host test FILE` replays
    ///
    /// Workflows then run one at a time. The file is written when the run ends, also after SIGINT or SIGTERM,
    /// with at most 1000 calls. Tokens, passwords and other secrets are replaced, but customers' data is not:
    /// only the file's owner may read it. See docs/scenarios.md.
    #[cfg(feature = "scenarios")]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// The host, and the recorder of its calls.
struct ActiveRun {
    host: Host,
    #[cfg(feature = "scenarios")]
    recording: Option<Recording>,
}

impl ActiveRun {
    #[cfg(feature = "scenarios")]
    async fn begin(
        context: &Context,
        args: &Args,
        telemetry: &Telemetry,
    ) -> Result<Self, AppError> {
        let Some(file) = &args.record else {
            let host = open_host(context, telemetry).await?;
            let recording = None;
            return Ok(Self { host, recording });
        };
        if args.concurrency.is_some_and(|number| number != 1) {
            let text =
                "--record runs one workflow at a time, so --concurrency cannot be more than 1";
            return Err(AppError::usage(text).hint("leave --concurrency out"));
        }
        let (host, recording) = context.recorded_host(file, telemetry).await?;
        Ok(Self {
            host,
            recording: Some(recording),
        })
    }

    #[cfg(not(feature = "scenarios"))]
    async fn begin(context: &Context, _: &Args, telemetry: &Telemetry) -> Result<Self, AppError> {
        let host = open_host(context, telemetry).await?;
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

    /// Returns whether calls are recorded, so that calls outside the dispatcher must not run concurrently.
    fn is_recorded(&self) -> bool {
        #[cfg(feature = "scenarios")]
        return self.recording.is_some();
        #[cfg(not(feature = "scenarios"))]
        return false;
    }

    /// Finishes the recording and returns its summary, or `None` without a recording.
    fn finish(self) -> Result<Option<Value>, AppError> {
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

/// Opens the host. A missing or unusable client secret is not an error here, because a changed file is read again.
async fn open_host(context: &Context, telemetry: &Telemetry) -> Result<Host, AppError> {
    let mut parts = context.installation.open_parts().await?;
    telemetry.equip(&mut parts);
    context.installation.host_from(parts).await
}

fn parse_positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err("a whole number, 1 or more".to_owned()),
    }
}

/// Runs until stopped or idle, and prints a summary.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    // Before anything else, so that a signal during the start is not lost.
    let shutdown = Shutdown::listen()?;
    let telemetry = match args.until_idle && args.metrics.is_none() {
        true => Telemetry::none(),
        false => Telemetry::start(context, shutdown.token(), args.metrics)?,
    };
    let active = ActiveRun::begin(context, &args, &telemetry).await?;
    let host = &active.host;
    telemetry.attach(host);
    check::warn_at_start(&context.installation);
    let options = dispatcher_options(context, args.concurrency);
    tracing::info!(
        store = %context.installation.config.store,
        plugin = host.plugin().name(),
        concurrency = if active.is_recorded() { 1 } else { options.concurrency },
        "running due wakeups"
    );
    let dispatcher = active.dispatcher(options);
    let result = if args.until_idle {
        let spinner = progress::spinner("running what is due");
        wait_for_imminent(host).await?;
        let result = dispatcher.run_until_idle_or(shutdown.wait()).await;
        spinner.finish_and_clear();
        result
    } else {
        let upgrade_check =
            upgrade_check::run(host, &context.installation.config, shutdown.token());
        if active.is_recorded() {
            // The upgrade check is not a wakeup. It runs first, so that the recording starts from its
            // results.
            upgrade_check.await;
            Ok(dispatcher.run(shutdown.wait()).await)
        } else {
            let (summary, ()) = tokio::join!(dispatcher.run(shutdown.wait()), upgrade_check);
            Ok(summary)
        }
    };
    let hint = match args.until_idle {
        true => connect_hint(host).await,
        false => String::new(),
    };
    telemetry.close().await;
    // Also after a failed run: its calls may explain the failure.
    let recorded = active.finish()?;
    let summary = result?;
    tracing::info!(
        done = summary.done,
        failed = summary.failed,
        refreshed = summary.refreshed,
        retrying = summary.retrying,
        need_operator = summary.need_operator,
        need_person = summary.need_person,
        failed_imports = summary.failed_imports,
        "stopped"
    );
    let written = print(context, summary, recorded);
    match args.until_idle {
        true => verdict(summary, hint).and(written),
        // Stopping on request is not a failure.
        false => written,
    }
}

/// Returns the configured options of the dispatcher. `concurrency` replaces the configured one.
pub fn dispatcher_options(context: &Context, concurrency: Option<usize>) -> DispatcherOptions {
    let defaults = DispatcherOptions::default();
    let configured = &context.installation.config.dispatch;
    let refresh_rate = configured.refresh_rate.or(NonZeroU32::new(REFRESH_RATE));
    DispatcherOptions {
        concurrency: concurrency
            .or(configured.concurrency)
            .unwrap_or(defaults.concurrency),
        poll: configured.poll.unwrap_or(defaults.poll),
        throttle: refresh_rate.map(|per_second| Throttle {
            kind: wakeup_kinds::REFRESH.to_owned(),
            per_second,
        }),
        plugin_wakeups: configured.engine == DispatchEngine::Host,
    }
}

/// Waits for wakeups that are due within [`IMMINENT`]: those that a command has scheduled just now, such as the
/// import after a consent.
async fn wait_for_imminent(host: &Host) -> Result<(), AppError> {
    let clock = host.clock();
    let soon = clock.now().after(IMMINENT);
    let next = host.store().next_due(None).await?;
    if next.is_some_and(|next| next > clock.now() && next <= soon) {
        clock.sleep_until(soon).await;
    }
    Ok(())
}

/// Returns a hint with the command that connects the first customer that needs a person. If the store cannot be
/// read, the hint names the command that lists customers.
async fn connect_hint(host: &Host) -> String {
    let listed = status::list_needing_person(host.store().as_ref()).await;
    let (customers, _) = listed.unwrap_or_default();
    match customers.as_slice() {
        [] => "`relation-host list` shows these customers".to_owned(),
        [customer] => customer.connect_hint(),
        [first, ..] => format!(
            "`relation-host status` lists these customers; {}",
            first.connect_hint()
        ),
    }
}

/// Derives the result of `--until-idle` from the summary. `hint` is for customers that need a person.
fn verdict(summary: DispatchSummary, hint: String) -> Result<(), AppError> {
    let counts = [
        (
            summary.need_operator,
            "fails until the operator corrects the cause",
            "fail until the operator corrects the cause",
        ),
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
    let customer_messages = counts.iter().filter(|(count, ..)| *count > 0);
    let customer_messages = customer_messages.map(|(count, one, many)| {
        format_count(
            *count,
            &format!("customer {one}"),
            &format!("customers {many}"),
        )
    });
    let call_message = (summary.failed > 0).then(|| {
        let (one, many) = (
            "call failed and is due again",
            "calls failed and are due again",
        );
        format_count(summary.failed, one, many)
    });
    let messages: Vec<String> = customer_messages.chain(call_message).collect();
    let messages = messages.join(", ");
    if summary.need_operator > 0 {
        let hint = "`relation-host check` names what is wrong with the installation, and `relation-host \
                    transactions --status fail` what is wrong with a customer";
        return Err(AppError::new(ErrorKind::Problem, messages).hint(hint));
    }
    if summary.need_person > 0 {
        return Err(AppError::new(ErrorKind::Reauthorize, messages).hint(hint));
    }
    if !messages.is_empty() {
        let hint = "the calls are retried automatically; `relation-host transactions --status fail` says why";
        return Err(AppError::new(ErrorKind::Unavailable, messages).hint(hint));
    }
    Ok(())
}

fn print(
    context: &Context,
    summary: DispatchSummary,
    recorded: Option<Value>,
) -> Result<(), AppError> {
    let DispatchSummary {
        done,
        failed,
        refreshed,
        retrying,
        need_operator,
        need_person,
        failed_imports,
    } = summary;
    let mut document = json!({
        "done": done, "failed": failed, "refreshed": refreshed, "retrying": retrying,
        "need_operator": need_operator, "need_person": need_person, "failed_imports": failed_imports,
    });
    if let (Some(recorded), Some(members)) = (recorded, document.as_object_mut()) {
        members.insert("recorded".to_owned(), recorded);
    }
    context.output.print(&document, |document| {
        let done = format!(
            "{} run: {refreshed} refreshed, {retrying} retrying, {}, {}, {}, {}",
            format_count(done, "wakeup", "wakeups"),
            format_count(need_operator, "needs the operator", "need the operator"),
            format_count(need_person, "needs a person", "need a person"),
            format_count(failed_imports, "failed import", "failed imports"),
            format_count(failed, "failed call", "failed calls"),
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
