//! `connect`: connects a customer by OAuth consent in a browser.

mod callback_text;
mod completion;
mod flow;
mod page;
mod stdin_lines;

use std::io::{self, IsTerminal};
use std::time::Duration;

use relation_app::check;
use relation_app::config::{DEFAULT_REDIRECT, RedirectAddress};
use relation_app::records;
use relation_app::{AppError, ErrorKind};
use relation_host::reports::{Authorization, ConnectReport, ConnectionReport, Grant, State};
use relation_host::store::Store;
use relation_host::text::format_count;
use relation_host::types::{Hierarchy, Pkid, Timestamp};
use secrecy::SecretString;
use serde::Serialize;

use self::flow::{CallbackSource, ConnectFlow};
use self::stdin_lines::StdinLines;
use super::view;
use crate::grants::GrantArg;
use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::redirect::{ListenError, Listener};
use crate::shutdown::Shutdown;
use crate::streams::stderr;
use crate::{Context, time};

/// Arguments of `connect`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Open the printed link in a browser, as an administrator of the customer's organization, and accept. Webex then
sends the browser to the redirect address, where this command waits for it until the link expires
(connect.lifetime). The address must be registered for the integration at Webex, exactly as it is configured
(connect.redirect).

If the browser runs on another machine, use --no-listen: the browser ends on a page that cannot be opened. Copy
that page's whole address and paste it to this command's stdin. An address that a mail program has wrapped or
rewritten is restored if the result is certain. A wrong paste is reported and you can paste again;
5 pastes are allowed, and the consent stays open.

If somebody else gives the consent, later: --begin prints the link, which you send to that person, and ends. The
person returns the address of the page on which the browser ended; --complete takes it, on any machine with this
store. A new link for the same grant replaces the earlier one.

With --json each event is a line of its own: `authorization` with the link, then `connected`, for each grant;
`refused` with a `message` reports a wrong paste.")]
pub struct Args {
    /// The record, by pkid or by name
    #[arg(value_name = "RECORD", required_unless_present = "complete")]
    record: Option<String>,
    /// The node at or below which the name is looked up
    #[arg(long, value_name = "PATH")]
    hierarchy: Option<Hierarchy>,
    /// The grant to connect [default: all that the customer needs, one after the other; with --begin, the next
    /// one that is not connected]
    #[arg(long, value_name = "GRANT")]
    grant: Option<GrantArg>,
    /// The redirect address, in place of the configured one
    #[arg(long, value_name = "URL", value_parser = RedirectAddress::parse)]
    redirect: Option<RedirectAddress>,
    /// Do not wait for a browser; read the redirect URL from stdin, one line for each consent
    #[arg(long)]
    no_listen: bool,
    /// Print the link with its expiry and end; --complete finishes the consent
    #[arg(long, conflicts_with = "no_listen")]
    begin: bool,
    /// Finish a consent with the redirect URL, in quotes, or, as -, with the one on stdin
    #[arg(long, value_name = "URL|-", conflicts_with_all = ["no_listen", "begin", "grant"])]
    complete: Option<SecretString>,
}

/// One line of JSON output.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    Authorization {
        transaction: &'a str,
        #[serde(flatten)]
        authorization: &'a Authorization,
    },
    Connected {
        transaction: &'a str,
        #[serde(flatten)]
        report: &'a ConnectReport,
    },
    /// The pasted text is not the callback. Another paste may follow.
    Refused { message: &'a str },
}

/// Connects the grants one after the other, and prints the expiries; or performs only the requested half.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let shutdown = Shutdown::listen()?;
    let redirect = redirect(context, args.redirect.clone())?;
    if let Some(address) = args.complete {
        let selector = args.record.map(|record| RecordSelector {
            record,
            hierarchy: args.hierarchy,
        });
        return completion::complete(context, address, selector, redirect, shutdown).await;
    }
    let selector = RecordSelector {
        record: args.record.unwrap_or_default(),
        hierarchy: args.hierarchy,
    };
    let host = context.installation.host().await?;
    match args.begin {
        // Creating the link sends no request: the allow-list can be corrected until the callback arrives.
        true => {
            check::check_client(&context.installation).to_result()?;
            check::check_egress(&context.installation).log();
        }
        false => check::require_prerequisites(&context.installation)?,
    }
    // Checked before the link is printed, so that no consent is wasted.
    let source = match (args.begin, args.no_listen) {
        (true, _) => None,
        (false, true) => Some(CallbackSource::Stdin(StdinLines::start(
            io::stdin().is_terminal() && !context.output.json,
        )?)),
        (false, false) => Some(CallbackSource::Browser(Listener::bind(&redirect).await?)),
    };
    let record = selector.find(host.store().as_ref()).await?;
    let flow = ConnectFlow {
        context,
        host,
        record,
        redirect,
        shutdown,
        is_handed_over: args.begin,
    };
    let grants = match args.grant {
        Some(grant) => vec![grant.into()],
        None => flow.needed_grants().await?,
    };
    let Some(mut source) = source else {
        return flow.hand_over(&grants).await;
    };
    let result = flow.run(&mut source, &grants).await;
    if let CallbackSource::Browser(listener) = source {
        listener.close().await;
    }
    result
}

/// Warns of other customers with the Webex organization of the record `pkid`. Ignores errors of the store, because the
/// work of the command is done.
pub async fn warn_of_same_organization(store: &dyn Store, pkid: &Pkid) {
    let others = records::find_same_organization(store, pkid, None).await;
    let others = others.unwrap_or_default();
    let Some(first) = others.first() else {
        return;
    };
    let more = match others.len() - 1 {
        0 => String::new(),
        more => format!(
            " and {}",
            format_count(more as u64, "other customer", "other customers")
        ),
    };
    let (name, node) = (escape_control_chars(first.name()), &first.hierarchy);
    stderr::note(&format!(
        "warning: {name} at {node}{more} has the same Webex organization; if that is not intended, delete one of them"
    ));
}

/// Returns the first grant that needs a consent.
fn next_open_grant(connection: &ConnectionReport) -> Option<Grant> {
    let needs_consent = |state| match state {
        State::NotConnected | State::Expired | State::Reauthorize | State::MissingScope => true,
        State::Connected | State::Expiring | State::Retrying => false,
    };
    let mut grants = connection.grants.iter();
    let open = grants.find(|status| needs_consent(status.state));
    open.map(|status| status.grant)
}

fn redirect(
    context: &Context,
    option: Option<RedirectAddress>,
) -> Result<RedirectAddress, AppError> {
    match option.or_else(|| context.installation.config.redirect.clone()) {
        Some(redirect) => Ok(redirect),
        None => RedirectAddress::parse(DEFAULT_REDIRECT).map_err(|error| {
            AppError::new(ErrorKind::Internal, format!("{DEFAULT_REDIRECT} {error}"))
        }),
    }
}

/// Reports why a paste is not the callback. `link` describes the link that stays valid.
fn reject_paste(context: &Context, link: &str, reason: &str) -> Result<(), AppError> {
    let message = format!("this is not the redirect URL of this consent: {reason}");
    match context.output.json {
        true => {
            let event = Event::Refused { message: &message };
            context.output.line(&event, |_| String::new())
        }
        false => {
            stderr::note(&format!(
                "{message}\nPaste the right one; {link} stays valid."
            ));
            Ok(())
        }
    }
}

fn render_text(report: &ConnectReport, now: Timestamp) -> String {
    let mut text = view::render_connection(&report.connection, now);
    if let Some(due) = report.sync_due {
        let when = match due.since(now) < Duration::from_secs(60) {
            true => "now".to_owned(),
            false => time::format_due(due, now),
        };
        text.push_str(&format!(
            "\n\nThe import of roles and licenses is due {when}; `relation-host run` must be running."
        ));
    }
    if !report.message.is_empty() {
        text.push_str(&format!("\n\n{}", escape_control_chars(&report.message)));
    }
    text
}

impl From<ListenError> for AppError {
    fn from(error: ListenError) -> Self {
        match &error {
            ListenError::NotLoopback(_) => Self::usage(error.to_string()).hint(
                "use --no-listen and paste the address, or a redirect such as http://127.0.0.1:8400/callback",
            ),
            ListenError::Bind { source, .. } => {
                let hint = match source.kind() {
                    io::ErrorKind::AddrInUse => {
                        "another `relation-host connect` may be waiting there: end it, \
                         or use --no-listen and paste the address"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "ports below 1024 belong to the system: register another redirect address \
                         at Webex, or use --no-listen and paste the address"
                    }
                    _ => "use --no-listen and paste the address",
                };
                Self::new(ErrorKind::Failed, error.to_string()).hint(hint)
            }
        }
    }
}
