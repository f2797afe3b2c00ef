//! `connect`: connects a customer by OAuth consent in a browser.

mod callback_text;
mod page;
mod stdin_lines;

use std::io::{self, IsTerminal};
use std::time::Duration;

use relation_app::check;
use relation_app::config::{DEFAULT_REDIRECT, RedirectAddress};
use relation_app::records::{self, StoredRecord};
use relation_app::{AppError, ErrorKind};
use relation_host::reports::{Authorization, ConnectReport, ConnectionReport, Grant, State};
use relation_host::store::Store;
use relation_host::text::format_count;
use relation_host::types::{Hierarchy, Pkid, Reference, Timestamp};
use relation_host::{CallOutput, Host};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use self::callback_text::{ExpectedCallback, find_pkid};
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

/// Connects the grants one after the other, and prints the expiries; or does the one half that is asked for.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let shutdown = Shutdown::listen()?;
    let redirect = redirect(context, args.redirect.clone())?;
    if let Some(address) = args.complete {
        let selector = args.record.map(|record| RecordSelector {
            record,
            hierarchy: args.hierarchy,
        });
        return complete_handed_over(context, address, selector, redirect, shutdown).await;
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
        false => check::require_requests(&context.installation)?,
    }
    // Before the link is printed: if it fails, no person has consented for nothing.
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

/// Completes a consent that another process has begun. The record is the one of the callback's state.
async fn complete_handed_over(
    context: &Context,
    address: SecretString,
    selector: Option<RecordSelector>,
    redirect: RedirectAddress,
    shutdown: Shutdown,
) -> Result<(), AppError> {
    let expected = ExpectedCallback {
        redirect: &redirect,
        state: None,
    };
    let address = match address.expose_secret() {
        "-" => {
            let mut lines =
                StdinLines::start(io::stdin().is_terminal() && !context.output.json)?;
            tokio::select! {
                address = lines.callback(expected, |why| reject_paste(context, "the link", why)) => address?,
                () = shutdown.wait() => return Err(AppError::new(
                    ErrorKind::Failed,
                    "stopped while waiting for the redirect URL; the consent stays open",
                )),
            }
        }
        text => expected.find(text).ok_or_else(|| {
            let reason = expected.describe_mismatch(text);
            AppError::usage(format!("this is not the redirect URL of a consent: {reason}"))
                .hint("put the whole address in quotes, or use `--complete -` and paste it: a shell ends it at &")
        })?,
    };
    let Some(pkid) = find_pkid(address.expose_secret()) else {
        return Err(AppError::usage(
            "the redirect URL has no state that names a customer",
        ));
    };
    check::require_requests(&context.installation).map_err(|error| AppError {
        message: format!("{error}; the consent stays open"),
        hint: Some(format!(
            "{}; then run this command with the same address again",
            error.hint.as_deref().unwrap_or("correct the installation")
        )),
        ..error
    })?;
    let host = context.installation.host().await?;
    let store = host.store().as_ref();
    let found = store.get(&[Reference::record(pkid.clone())]).await?;
    let record = found.into_iter().flatten().next().map(StoredRecord::from);
    let Some(record) = record else {
        return Err(AppError::new(
            ErrorKind::NotFound,
            format!(
                "the customer of this consent, {pkid}, is not in the store {}",
                context.installation.config.store
            ),
        )
        .hint(
            "it was deleted, or the consent was begun on another store: see --store and --config",
        ));
    };
    if let Some(selector) = selector {
        let named = selector.find(store).await?;
        if named.pkid != record.pkid {
            return Err(AppError::usage(format!(
                "this consent is for {}, not for {}; no customer was changed",
                record.name(),
                named.name()
            ))
            .hint("leave the name out: the redirect URL says for which customer it is"));
        }
    }
    let flow = ConnectFlow {
        context,
        host,
        record,
        redirect: redirect.clone(),
        shutdown,
        is_handed_over: true,
    };
    let connected = match flow.complete(&ReceivedCallback::Line(address)).await {
        Ok(connected) => connected,
        Err(error) => return Err(flow.explain_refusal(error).await),
    };
    flow.print_connected(&connected)?;
    warn_of_same_organization(flow.host.store().as_ref(), &flow.record.pkid).await;
    if let Some(open) = next_open_grant(&connected.value.connection) {
        stderr::note(&format!(
            "The grant {open} is not connected yet: `{}` prints the link.",
            flow.connect_command()
        ));
    }
    Ok(())
}

/// Warns of other customers with the Webex organization of the record `pkid`. Ignores errors of the store, because the
/// work of the command is done.
pub async fn warn_of_same_organization(store: &dyn Store, pkid: &Pkid) {
    let others = records::find_same_organization(store, pkid).await;
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

struct ConnectFlow<'a> {
    context: &'a Context,
    host: Host,
    record: StoredRecord,
    redirect: RedirectAddress,
    shutdown: Shutdown,
    /// Whether one process begins the consent and another one completes it.
    is_handed_over: bool,
}

impl ConnectFlow<'_> {
    /// Returns the grants that the customer needs: with a link to hand over, only the next one.
    async fn needed_grants(&self) -> Result<Vec<Grant>, AppError> {
        let details = records::show(&self.host, &self.record).await?;
        let connection = &details.connection;
        Ok(match self.is_handed_over {
            true => vec![next_open_grant(connection).unwrap_or(Grant::Organization)],
            false => connection
                .grants
                .iter()
                .map(|status| status.grant)
                .collect(),
        })
    }

    /// Begins consents, and prints the links for another person.
    async fn hand_over(&self, grants: &[Grant]) -> Result<(), AppError> {
        for grant in grants {
            let call_output = self.begin(*grant).await?;
            self.announce(&call_output, None).map_err(link_not_shown)?;
        }
        Ok(())
    }

    /// Returns the command that begins another consent, for a shell.
    fn connect_command(&self) -> String {
        let name = self.record.selector();
        let option = match self.is_handed_over {
            true => " --begin",
            false => "",
        };
        format!("relation-host connect {name}{option}")
    }

    /// Returns the hint for the `error` of a completion: the same address again only if the consent is still open.
    fn retry_hint(&self, error: &AppError) -> String {
        match self.is_handed_over && error.message.contains(CONSENT_IS_OPEN) {
            true => "then run this command with the same address again".to_owned(),
            false => self.restart_hint(),
        }
    }

    fn restart_hint(&self) -> String {
        format!("`{}` prints a new link", self.connect_command())
    }

    /// Adds a hint to the refusal of a consent that was handed over: the customer may be connected already.
    async fn explain_refusal(&self, error: AppError) -> AppError {
        if error.kind != ErrorKind::Reauthorize {
            return error;
        }
        match records::show(&self.host, &self.record).await {
            Ok(details) if next_open_grant(&details.connection).is_none() => error.hint(format!(
                "{} is connected; for another consent, {}",
                self.record.name(),
                self.restart_hint()
            )),
            _ => error,
        }
    }

    fn print_connected(&self, connected: &CallOutput<ConnectReport>) -> Result<(), AppError> {
        let event = Event::Connected {
            transaction: &connected.transaction,
            report: &connected.value,
        };
        let now = self.host.clock().now();
        let output = self.context.output;
        output.line(&event, |_| render_text(&connected.value, now))
    }

    async fn run(&self, source: &mut CallbackSource, grants: &[Grant]) -> Result<(), AppError> {
        let mut grants = grants.iter().copied();
        let mut next = match grants.next() {
            Some(grant) => Some(self.begin(grant).await?),
            None => None,
        };
        let mut write_error = Ok(());
        let mut is_linked = false;
        while let Some(call_output) = next {
            let announced = self.announce(&call_output, Some(source));
            let announced = announced.map_err(link_not_shown);
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
            write_error = write_error.and(self.print_connected(&connected));
            if connected.value.grant == Grant::Organization {
                warn_of_same_organization(self.host.store().as_ref(), &self.record.pkid).await;
            }
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
                    reject_paste(
                        self.context,
                        LINK_ABOVE,
                        &field_errors.collect::<Vec<_>>().join("; "),
                    )?;
                }
                _ => return Ok((received, completed)),
            }
        }
        Err(AppError::usage("no callback of this consent was given").hint(self.restart_hint()))
    }

    async fn begin(&self, grant: Grant) -> Result<CallOutput<Authorization>, AppError> {
        let label = format!("beginning to connect {}", self.record.name());
        let call = self
            .host
            .connect(&self.record.pkid, grant, self.redirect.as_str());
        let call_output = progress::show_while(&label, None, call).await;
        call_output.map_err(|error| self.explain(error.into(), &self.restart_hint()))
    }

    /// Prints the link on a line of its own to stdout, and the instructions to stderr. Without a source, another
    /// process completes the consent.
    fn announce(
        &self,
        call_output: &CallOutput<Authorization>,
        source: Option<&CallbackSource>,
    ) -> Result<(), AppError> {
        let authorization = &call_output.value;
        let event = Event::Authorization {
            transaction: &call_output.transaction,
            authorization,
        };
        let output = self.context.output;
        if !output.json {
            let then = match source {
                Some(CallbackSource::Browser(_)) => {
                    "This command waits for the browser to come back"
                }
                Some(CallbackSource::Stdin(_)) => {
                    "The browser then ends on a page that may not open: \
                     paste that page's whole address here"
                }
                None => {
                    "The browser then ends on a page that may not open: give that page's whole address to \
                     `relation-host connect --complete 'ADDRESS'`"
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
                        state: Some(&authorization.state),
                    };
                    let address = lines
                        .callback(expected, |why| reject_paste(self.context, LINK_ABOVE, why))
                        .await;
                    let address = address.map_err(|error| error.or_hint(self.restart_hint()));
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
            .hint(self.restart_hint())),
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
        call_output.map_err(|error| {
            let error = AppError::from(error);
            let retry = self.retry_hint(&error);
            self.explain(error, &retry)
        })
    }

    /// Adds a message and a hint to the error of a failed consent. `retry` says how to try again.
    fn explain(&self, error: AppError, retry: &str) -> AppError {
        let about = |field: &str| {
            error
                .field_errors
                .iter()
                .any(|field_error| field_error.field == field)
        };
        let (message, hint) = match error.kind {
            ErrorKind::Invalid if about("callback") => (
                Some("this is not the URL to which Webex redirected the browser"),
                "give the whole address that the browser shows after the consent".to_owned(),
            ),
            ErrorKind::Invalid if about("redirect-uri") => (
                Some("this redirect address cannot be used"),
                "it is configured as `connect.redirect`, or given with --redirect".to_owned(),
            ),
            ErrorKind::Invalid if about("grant") => (
                Some("this customer has no such grant"),
                "the wholesale grants belong to customers that were added with --wholesale"
                    .to_owned(),
            ),
            ErrorKind::Reauthorize => (None, self.restart_hint()),
            ErrorKind::LimitExceeded => (
                None,
                format!(
                    "correct what the message names; the integration at Webex must match [webex] and \
                 connect.redirect in the configuration; {retry}"
                ),
            ),
            ErrorKind::Unavailable | ErrorKind::RateLimited => {
                (None, format!("wait until the cause has passed; {retry}"))
            }
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
}

/// Reports why a paste is not the callback. `link` describes the link that stays valid.
fn reject_paste(context: &Context, link: &str, why: &str) -> Result<(), AppError> {
    let message = format!("this is not the redirect URL of this consent: {why}");
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

/// The words of the contract's `complete-connect` in the text of a failure that leaves the consent open.
const CONSENT_IS_OPEN: &str = "the consent stays open";
const LINK_ABOVE: &str = "the link above";
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
