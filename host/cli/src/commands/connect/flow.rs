//! A running consent: the link, the callback, and the completion, for each grant in turn.

use relation_app::config::RedirectAddress;
use relation_app::records::{self, StoredRecord};
use relation_app::{AppError, ErrorKind};
use relation_host::reports::{Authorization, ConnectReport, Grant};
use relation_host::{CallOutput, Host};
use secrecy::SecretString;

use super::callback_text::ExpectedCallback;
use super::page::result_page;
use super::stdin_lines::StdinLines;
use super::{Event, next_open_grant, reject_paste, render_text, warn_of_same_organization};
use crate::output::escape_control_chars;
use crate::redirect::{Callback, Listener};
use crate::shutdown::Shutdown;
use crate::streams::stderr;
use crate::{Context, progress, time};

/// The words of the contract's `complete-connect` in the text of a failure that leaves the consent open.
const CONSENT_IS_OPEN: &str = "the consent stays open";
const LINK_ABOVE: &str = "the link above";
/// The maximum number of pasted callbacks that are sent to the plugin for one consent.
const MAX_CALLBACKS: u32 = 5;

/// The source of callbacks.
pub(super) enum CallbackSource {
    Browser(Listener),
    Stdin(StdinLines),
}

/// A callback, with its source.
pub(super) enum ReceivedCallback {
    Browser(Callback),
    Line(SecretString),
}

pub(super) struct ConnectFlow<'a> {
    pub(super) context: &'a Context,
    pub(super) host: Host,
    pub(super) record: StoredRecord,
    pub(super) redirect: RedirectAddress,
    pub(super) shutdown: Shutdown,
    /// Whether one process begins the consent and another one completes it.
    pub(super) is_handed_over: bool,
}

impl ConnectFlow<'_> {
    /// Returns the grants that the customer needs: with a link to hand over, only the next one.
    pub(super) async fn needed_grants(&self) -> Result<Vec<Grant>, AppError> {
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
    pub(super) async fn hand_over(&self, grants: &[Grant]) -> Result<(), AppError> {
        for grant in grants {
            let call_output = self.begin(*grant, None).await?;
            self.announce(&call_output, None).map_err(link_not_shown)?;
        }
        Ok(())
    }

    /// Returns the command that begins another consent, for a shell.
    pub(super) fn connect_command(&self) -> String {
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
    pub(super) async fn explain_refusal(&self, error: AppError) -> AppError {
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

    pub(super) fn print_connected(
        &self,
        connected: &CallOutput<ConnectReport>,
    ) -> Result<(), AppError> {
        let event = Event::Connected {
            transaction: &connected.transaction,
            report: &connected.value,
        };
        let now = self.host.clock().now();
        let output = self.context.output;
        output.line(&event, |_| render_text(&connected.value, now))
    }

    pub(super) async fn run(
        &self,
        source: &mut CallbackSource,
        grants: &[Grant],
    ) -> Result<(), AppError> {
        let mut grants = grants.iter().copied();
        let mut next = match grants.next() {
            Some(grant) => Some(self.begin(grant, Some(source)).await?),
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
                (Ok(_), Some(grant)) => Some(self.begin(grant, Some(source)).await),
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

    /// Begins a consent, whose callback `source` accepts from then on.
    async fn begin(
        &self,
        grant: Grant,
        source: Option<&CallbackSource>,
    ) -> Result<CallOutput<Authorization>, AppError> {
        let label = format!("beginning to connect {}", self.record.name());
        let call = self
            .host
            .connect(&self.record.pkid, grant, self.redirect.as_str());
        let call_output = progress::show_while(&label, None, call).await;
        let call_output =
            call_output.map_err(|error| self.explain(error.into(), &self.restart_hint()))?;
        if let Some(CallbackSource::Browser(listener)) = source {
            listener.expect(&call_output.value.state);
        }
        Ok(call_output)
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
                CallbackSource::Browser(listener) => {
                    Ok(ReceivedCallback::Browser(listener.callback().await))
                }
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

    pub(super) async fn complete(
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
