//! `connect`: connects a customer by OAuth consent in a browser.

mod callback_text;
mod page;
mod stdin_lines;

use std::io::{self, IsTerminal};

use relation_app::config::{DEFAULT_REDIRECT, RedirectAddress};
use relation_app::records::{self, StoredRecord};
use relation_app::{AppError, ErrorKind};
use relation_host::reports::{Authorization, ConnectReport, Grant};
use relation_host::types::Timestamp;
use relation_host::{CallOutput, Host};
use secrecy::SecretString;
use serde::Serialize;

use self::callback_text::ExpectedCallback;
use self::page::result_page;
use self::stdin_lines::StdinLines;
use super::view;
use crate::grants::GrantArg;
use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::redirect::{Callback, ListenError, Listener};
use crate::shutdown::Shutdown;
use crate::streams::stderr;
use crate::{Context, progress, time};

/// Arguments of `connect`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Open the printed link in a browser, as an administrator of the customer's organization, and accept. Webex then
sends the browser to the redirect address, where this command waits for it until the link expires (connect.lifetime). The address
must be registered for the integration at Webex, exactly as it is configured (connect.redirect).

If the browser runs on another machine, use --no-listen: the browser ends on a page that cannot be opened. Copy
that page's whole address and paste it to this command's stdin. An address that a mail program has wrapped or
rewritten is restored if the result is certain. A wrong paste is reported and you can paste again;
5 pastes are allowed, and the consent stays open.

With --json each event is a line of its own: `authorization` with the link, then `connected`, for each grant;
`refused` with a `message` reports a wrong paste.")]
pub struct Args {
    #[command(flatten)]
    record: RecordSelector,
    /// The grant to connect [default: all that the customer needs, one after the other]
    #[arg(long, value_name = "GRANT")]
    grant: Option<GrantArg>,
    /// The redirect address, in place of the configured one
    #[arg(long, value_name = "URL", value_parser = RedirectAddress::parse)]
    redirect: Option<RedirectAddress>,
    /// Do not wait for a browser; read the redirect URL from stdin, one line for each consent
    #[arg(long)]
    no_listen: bool,
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

/// Where callbacks come from.
enum CallbackSource {
    Browser(Listener),
    Stdin(StdinLines),
}

/// A callback, with its source.
enum ReceivedCallback {
    Browser(Callback),
    Line(SecretString),
}

/// Connects the grants one after the other, and prints the expiries.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let shutdown = Shutdown::listen()?;
    let redirect = redirect(context, args.redirect)?;
    // Opens the source first: if that fails, no person has consented for nothing.
    let mut source = match args.no_listen {
        true => CallbackSource::Stdin(StdinLines::start(
            io::stdin().is_terminal() && !context.output.json,
        )?),
        false => CallbackSource::Browser(Listener::bind(&redirect).await?),
    };
    let host = context.installation.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let flow = ConnectFlow {
        context,
        host,
        record,
        redirect,
        shutdown,
    };
    let grants = match args.grant {
        Some(grant) => vec![grant.into()],
        None => {
            let details = records::show(&flow.host, &flow.record).await?;
            let grants = details.connection.grants.iter();
            grants.map(|status| status.grant).collect()
        }
    };
    let result = flow.run(&mut source, &grants).await;
    if let CallbackSource::Browser(listener) = source {
        listener.close().await;
    }
    result
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

struct ConnectFlow<'a> {
    context: &'a Context,
    host: Host,
    record: StoredRecord,
    redirect: RedirectAddress,
    shutdown: Shutdown,
}

impl ConnectFlow<'_> {
    async fn run(&self, source: &mut CallbackSource, grants: &[Grant]) -> Result<(), AppError> {
        let mut grants = grants.iter().copied();
        let mut next = match grants.next() {
            Some(grant) => Some(self.begin(grant).await?),
            None => None,
        };
        let mut write_error = Ok(());
        let mut is_linked = false;
        while let Some(call_output) = next {
            let announced = self.announce(&call_output, source).map_err(link_not_shown);
            match is_linked {
                // The browser's page has this link as well.
                true => write_error = write_error.and(announced),
                false => announced?,
            }
            let (received, completed) = self
                .receive_and_complete(source, &call_output.value)
                .await?;
            // The result page of one consent links to the next.
            let following = match (&completed, grants.next()) {
                (Ok(_), Some(grant)) => Some(self.begin(grant).await),
                _ => None,
            };
            if let ReceivedCallback::Browser(callback) = received {
                callback.respond(result_page(
                    self.record.name(),
                    &completed,
                    following.as_ref(),
                ));
            }
            let connected = completed?;
            let event = Event::Connected {
                transaction: &connected.transaction,
                report: &connected.value,
            };
            let now = self.host.clock().now();
            let output = self.context.output;
            let written = output.line(&event, |_| render_text(&connected.value, now));
            write_error = write_error.and(written);
            is_linked = matches!(source, CallbackSource::Browser(_));
            next = following.transpose()?;
        }
        write_error
    }

    /// Waits for the callback and completes the consent with it. A pasted text that is not the callback
    /// leaves the consent open, and another paste may follow.
    async fn receive_and_complete(
        &self,
        source: &mut CallbackSource,
        authorization: &Authorization,
    ) -> Result<
        (
            ReceivedCallback,
            Result<CallOutput<ConnectReport>, AppError>,
        ),
        AppError,
    > {
        for left in (0..MAX_CALLBACKS).rev() {
            let received = self.wait(source, authorization).await?;
            let completed = self.complete(&received).await;
            match (&completed, &*source) {
                (Err(error), CallbackSource::Stdin(_)) if left > 0 && is_callback_error(error) => {
                    let field_errors = error
                        .field_errors
                        .iter()
                        .map(|field_error| field_error.message.as_str());
                    self.reject_paste(&field_errors.collect::<Vec<_>>().join("; "))?;
                }
                _ => return Ok((received, completed)),
            }
        }
        Err(AppError::usage("no callback of this consent was given").hint(RESTART_HINT))
    }

    /// Reports why a paste is not the callback.
    fn reject_paste(&self, why: &str) -> Result<(), AppError> {
        let message = format!("this is not the redirect URL of this consent: {why}");
        let output = self.context.output;
        match output.json {
            true => output.line(&Event::Refused { message: &message }, |_| String::new()),
            false => {
                stderr::note(&format!(
                    "{message}\nPaste the right one; the link above stays valid."
                ));
                Ok(())
            }
        }
    }

    async fn begin(&self, grant: Grant) -> Result<CallOutput<Authorization>, AppError> {
        let label = format!("beginning to connect {}", self.record.name());
        let call = self
            .host
            .connect(&self.record.pkid, grant, self.redirect.as_str());
        let call_output = progress::show_while(&label, None, call).await;
        call_output.map_err(|error| explain(error.into()))
    }

    /// Prints the link on a line of its own to stdout, and the instructions to stderr.
    fn announce(
        &self,
        call_output: &CallOutput<Authorization>,
        source: &CallbackSource,
    ) -> Result<(), AppError> {
        let authorization = &call_output.value;
        let event = Event::Authorization {
            transaction: &call_output.transaction,
            authorization,
        };
        let output = self.context.output;
        if !output.json {
            let then = match source {
                CallbackSource::Browser(_) => "This command waits for the browser to come back",
                CallbackSource::Stdin(_) => {
                    "The browser then ends on a page that may not open: \
                     paste that page's whole address here"
                }
            };
            stderr::note(&format!(
                "Open this link in a browser as an administrator of {}, and accept ({}).\n{then}, until {}.",
                escape_control_chars(self.record.name()),
                authorization.grant,
                time::format_utc(authorization.expires),
            ));
        }
        output.line(&event, |_| escape_control_chars(&authorization.url))
    }

    async fn wait(
        &self,
        source: &mut CallbackSource,
        authorization: &Authorization,
    ) -> Result<ReceivedCallback, AppError> {
        let spinner = match (&source, self.context.output.json) {
            (CallbackSource::Browser(_), false) => {
                Some(progress::spinner("waiting for the consent"))
            }
            _ => None,
        };
        let received = async {
            match source {
                CallbackSource::Browser(listener) => Ok(ReceivedCallback::Browser(
                    listener.callback(&authorization.state).await,
                )),
                CallbackSource::Stdin(lines) => {
                    let expected = ExpectedCallback {
                        redirect: &self.redirect,
                        state: &authorization.state,
                    };
                    let address = lines.callback(expected, |why| self.reject_paste(why)).await;
                    address.map(ReceivedCallback::Line)
                }
            }
        };
        let clock = self.host.clock();
        let name = self.record.name();
        let result = tokio::select! {
            received = received => received,
            () = self.shutdown.wait() => Err(AppError::new(
                ErrorKind::Failed,
                format!("stopped while waiting for the consent for {name}; the connection is unchanged"),
            )),
            () = clock.sleep_until(authorization.expires) => Err(AppError::new(
                ErrorKind::Reauthorize,
                format!("the consent for {name} timed out; the connection is unchanged"),
            )
            .hint(RESTART_HINT)),
        };
        if let Some(spinner) = spinner {
            spinner.finish_and_clear();
        }
        result
    }

    async fn complete(
        &self,
        received: &ReceivedCallback,
    ) -> Result<CallOutput<ConnectReport>, AppError> {
        let address = match received {
            ReceivedCallback::Browser(callback) => &callback.address,
            ReceivedCallback::Line(address) => address,
        };
        let label = format!("connecting {}", self.record.name());
        let watched = Some((self.host.store().as_ref(), self.record.reference()));
        let call = self.host.complete_connect(&self.record.pkid, address);
        let call_output = progress::show_while(&label, watched, call).await;
        call_output.map_err(|error| explain(error.into()))
    }
}

const RESTART_HINT: &str = "run `relation-host connect RECORD` again";
/// The maximum number of pasted callbacks that are sent to the plugin for one consent.
const MAX_CALLBACKS: u32 = 5;

/// Turns an error of stdout into a failure: without the link, the consent cannot be given.
fn link_not_shown(error: AppError) -> AppError {
    let hint = "read stdout, which receives the link; the connection is unchanged";
    AppError::new(
        ErrorKind::Failed,
        format!(
            "the link to the consent could not be shown: {}",
            error.message
        ),
    )
    .hint(hint)
}

fn is_callback_error(error: &AppError) -> bool {
    error.kind == ErrorKind::Invalid
        && error
            .field_errors
            .iter()
            .any(|field_error| field_error.field == "callback")
}

/// Adds a message and a hint to the error of a failed consent.
fn explain(error: AppError) -> AppError {
    let about = |field: &str| {
        error
            .field_errors
            .iter()
            .any(|field_error| field_error.field == field)
    };
    let (message, hint) = match error.kind {
        ErrorKind::Invalid if about("callback") => (
            Some("this is not the URL to which Webex redirected the browser"),
            "give the whole address that the browser shows after the consent",
        ),
        ErrorKind::Invalid if about("redirect-uri") => (
            Some("this redirect address cannot be used"),
            "it is configured as `connect.redirect`, or given with --redirect",
        ),
        ErrorKind::Invalid if about("grant") => (
            Some("this customer has no such grant"),
            "the wholesale grants belong to customers that were added with --wholesale",
        ),
        ErrorKind::Reauthorize => (None, RESTART_HINT),
        ErrorKind::LimitExceeded => (
            None,
            "compare [webex] and connect.redirect in the configuration with the integration at Webex",
        ),
        ErrorKind::Unavailable | ErrorKind::RateLimited => (
            None,
            "the connection is unchanged; run `relation-host connect RECORD` again",
        ),
        _ => return error,
    };
    let error = error.hint(hint);
    match message {
        Some(message) => AppError {
            message: message.to_owned(),
            ..error
        },
        None => error,
    }
}

fn render_text(report: &ConnectReport, now: Timestamp) -> String {
    let mut text = view::render_connection(&report.connection, now);
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
