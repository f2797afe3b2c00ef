//! `connect`: a person consents at Webex, and the customer has tokens.

mod callback_text;
mod lines;
mod page;

use std::io::{self, IsTerminal};

use relation_host::reports::{Authorization, ConnectReport, Grant};
use relation_host::types::Timestamp;
use relation_host::{Called, Host};
use secrecy::SecretString;
use serde::Serialize;

use self::callback_text::Awaited;
use self::lines::Lines;
use self::page::page;
use super::view;
use crate::config::RedirectAddress;
use crate::failure::{Failed, Kind};
use crate::grants::GrantArg;
use crate::output::shown;
use crate::records::{Named, Record};
use crate::redirect::{Callback, ListenError, Listener};
use crate::stop::Stop;
use crate::streams::stderr;
use crate::{Context, progress, time};

/// Where the browser comes back to when nothing else is configured.
pub const DEFAULT_REDIRECT: &str = "http://127.0.0.1:8400/callback";

/// Arguments of `connect`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Open the printed link in a browser, as an administrator of the customer's organization, and accept. Webex then
sends the browser to the redirect address, where this command waits for it, at most 10 minutes. The address
must be registered for the integration at Webex, exactly as it is configured (connect.redirect).

If the browser runs on another machine, use --no-listen: it ends on a page that cannot be opened. Copy that
page's whole address and give it to this command on stdin. An address that a mail program has wrapped or
rewritten is put right where that is certain. Another paste that is wrong is told, and you can paste again,
5 times in all; the consent stays open.

With --json each event is a line of its own: `authorization` with the link, then `connected`, for each grant; and
`refused` with a `message` for a paste that was wrong.")]
pub struct Args {
    #[command(flatten)]
    record: Named,
    /// The consent to ask for [default: all that the customer needs, one after the other]
    #[arg(long, value_name = "GRANT")]
    grant: Option<GrantArg>,
    /// Where Webex sends the browser, in place of the configured address
    #[arg(long, value_name = "URL", value_parser = RedirectAddress::parse)]
    redirect: Option<RedirectAddress>,
    /// Wait for nobody: read the address to which the browser was sent from stdin, one line for each
    /// consent
    #[arg(long)]
    no_listen: bool,
}

/// What happens, as JSON.
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
    /// The paste is not the callback; another paste may follow.
    Refused { message: &'a str },
}

/// How the callback comes.
enum Way {
    Browser(Listener),
    Stdin(Lines),
}

/// A callback, and where its answer goes.
enum Came {
    Browser(Callback),
    Line(SecretString),
}

/// Connects it, one grant after the other; ends with both expiries.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let stop = Stop::listen()?;
    let redirect = redirect(context, args.redirect)?;
    // Before anything else, so that nobody consents in vain.
    let mut way = match args.no_listen {
        true => Way::Stdin(Lines::read(
            io::stdin().is_terminal() && !context.output.json,
        )?),
        false => Way::Browser(Listener::bind(&redirect).await?),
    };
    let host = context.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let connecting = Connecting {
        context,
        host,
        record,
        redirect,
        stop,
    };
    let grants = match args.grant {
        Some(grant) => vec![grant.into()],
        None => connecting.record.needed_grants(),
    };
    let ended = connecting.all(&mut way, &grants).await;
    if let Way::Browser(listener) = way {
        listener.close().await;
    }
    ended
}

fn redirect(context: &Context, given: Option<RedirectAddress>) -> Result<RedirectAddress, Failed> {
    match given.or_else(|| context.config.redirect.clone()) {
        Some(redirect) => Ok(redirect),
        None => RedirectAddress::parse(DEFAULT_REDIRECT)
            .map_err(|fault| Failed::new(Kind::Internal, format!("{DEFAULT_REDIRECT} {fault}"))),
    }
}

struct Connecting<'a> {
    context: &'a Context,
    host: Host,
    record: Record,
    redirect: RedirectAddress,
    stop: Stop,
}

impl Connecting<'_> {
    async fn all(&self, way: &mut Way, grants: &[Grant]) -> Result<(), Failed> {
        let mut grants = grants.iter().copied();
        let mut next = match grants.next() {
            Some(grant) => Some(self.begin(grant).await?),
            None => None,
        };
        let mut unwritten = Ok(());
        let mut is_linked = false;
        while let Some(begun) = next {
            let announced = self.announce(&begun, way).map_err(unseen);
            match is_linked {
                // The page that the browser shows has this link as well.
                true => unwritten = unwritten.and(announced),
                false => announced?,
            }
            let (came, completed) = self.completed(way, &begun.value).await?;
            // The page of one consent leads to the next.
            let following = match (&completed, grants.next()) {
                (Ok(_), Some(grant)) => Some(self.begin(grant).await),
                _ => None,
            };
            if let Came::Browser(callback) = came {
                callback.answer(page(self.record.name(), &completed, following.as_ref()));
            }
            let connected = completed?;
            let event = Event::Connected {
                transaction: &connected.transaction,
                report: &connected.value,
            };
            let now = self.host.clock().now();
            let output = self.context.output;
            let written = output.line(&event, |_| human(&connected.value, now));
            unwritten = unwritten.and(written);
            is_linked = matches!(way, Way::Browser(_));
            next = following.transpose()?;
        }
        unwritten
    }

    /// Waits for the callback and completes the consent with it. A pasted text that is not the callback
    /// leaves the consent open, and another paste may follow.
    async fn completed(
        &self,
        way: &mut Way,
        authorization: &Authorization,
    ) -> Result<(Came, Result<Called<ConnectReport>, Failed>), Failed> {
        for left in (0..CALLBACKS).rev() {
            let came = self.wait(way, authorization).await?;
            let completed = self.complete(&came).await;
            match (&completed, &*way) {
                (Err(failed), Way::Stdin(_)) if left > 0 && is_about_the_callback(failed) => {
                    let faults = failed.faults.iter().map(|fault| fault.message.as_str());
                    self.refuse(&faults.collect::<Vec<_>>().join("; "))?;
                }
                _ => return Ok((came, completed)),
            }
        }
        Err(Failed::usage("no callback of this consent was given").hint(AGAIN))
    }

    /// Tells why a paste is not the callback.
    fn refuse(&self, why: &str) -> Result<(), Failed> {
        let message = format!("this is not the address after the consent: {why}");
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

    async fn begin(&self, grant: Grant) -> Result<Called<Authorization>, Failed> {
        let label = format!("beginning to connect {}", self.record.name());
        let call = self
            .host
            .connect(&self.record.pkid, grant, self.redirect.as_str());
        let called = progress::during(&label, None, call).await;
        called.map_err(|error| explained(error.into()))
    }

    /// The link goes to stdout on a line of its own, and what to do with it to stderr.
    fn announce(&self, begun: &Called<Authorization>, way: &Way) -> Result<(), Failed> {
        let authorization = &begun.value;
        let event = Event::Authorization {
            transaction: &begun.transaction,
            authorization,
        };
        let output = self.context.output;
        if !output.json {
            let then = match way {
                Way::Browser(_) => "This command waits for the browser to come back",
                Way::Stdin(_) => {
                    "The browser then ends on a page that may not open: \
                     paste that page's whole address here"
                }
            };
            stderr::note(&format!(
                "Open this link in a browser as an administrator of {}, and accept ({}).\n{then}, until {}.",
                shown(self.record.name()),
                authorization.grant,
                time::moment(authorization.expires),
            ));
        }
        output.line(&event, |_| shown(&authorization.url))
    }

    async fn wait(&self, way: &mut Way, authorization: &Authorization) -> Result<Came, Failed> {
        let spinner = match (&way, self.context.output.json) {
            (Way::Browser(_), false) => Some(progress::spinner("waiting for the consent")),
            _ => None,
        };
        let came = async {
            match way {
                Way::Browser(listener) => {
                    Ok(Came::Browser(listener.callback(&authorization.state).await))
                }
                Way::Stdin(lines) => {
                    let awaited = Awaited {
                        redirect: &self.redirect,
                        state: &authorization.state,
                    };
                    let address = lines.callback(awaited, |why| self.refuse(why)).await;
                    address.map(Came::Line)
                }
            }
        };
        let clock = self.host.clock();
        let name = self.record.name();
        let ended = tokio::select! {
            came = came => came,
            () = self.stop.signalled() => Err(Failed::new(
                Kind::Failed,
                format!("stopped before anybody consented for {name}; the connection is as it was"),
            )),
            () = clock.sleep_until(authorization.expires) => Err(Failed::new(
                Kind::Reauthorize,
                format!("nobody consented for {name} in time; the connection is as it was"),
            )
            .hint(AGAIN)),
        };
        if let Some(spinner) = spinner {
            spinner.finish_and_clear();
        }
        ended
    }

    async fn complete(&self, came: &Came) -> Result<Called<ConnectReport>, Failed> {
        let address = match came {
            Came::Browser(callback) => &callback.address,
            Came::Line(address) => address,
        };
        let label = format!("connecting {}", self.record.name());
        let watched = Some((self.host.store().as_ref(), self.record.reference()));
        let call = self.host.complete_connect(&self.record.pkid, address);
        let called = progress::during(&label, watched, call).await;
        called.map_err(|error| explained(error.into()))
    }
}

const AGAIN: &str = "`relation-host connect RECORD` begins again";
/// How many pasted callbacks of a consent are shown to the plugin.
const CALLBACKS: u32 = 5;

/// A link that nobody sees is of no use, however far away its reader is.
fn unseen(failed: Failed) -> Failed {
    let hint = "let stdout be read: it takes the link; the connection is as it was";
    Failed::new(
        Kind::Failed,
        format!(
            "the link to the consent could not be shown: {}",
            failed.message
        ),
    )
    .hint(hint)
}

fn is_about_the_callback(failed: &Failed) -> bool {
    failed.kind == Kind::Invalid && failed.faults.iter().any(|fault| fault.field == "callback")
}

/// What to do about a consent that came to nothing.
fn explained(failed: Failed) -> Failed {
    let about = |field: &str| failed.faults.iter().any(|fault| fault.field == field);
    let (message, hint) = match failed.kind {
        Kind::Invalid if about("callback") => (
            Some("this is not what Webex sent the browser to"),
            "give the whole address that the browser shows after the consent",
        ),
        Kind::Invalid if about("redirect-uri") => (
            Some("this redirect address cannot be used"),
            "it is configured as `connect.redirect`, or given with --redirect",
        ),
        Kind::Invalid if about("grant") => (
            Some("this customer has no such grant"),
            "the wholesale grants belong to customers that were added with --wholesale",
        ),
        Kind::Reauthorize => (None, AGAIN),
        Kind::LimitExceeded => (
            None,
            "compare [webex] and connect.redirect in the configuration with the integration at Webex",
        ),
        Kind::Unavailable | Kind::RateLimited => (
            None,
            "the connection is as it was; `relation-host connect RECORD` begins again",
        ),
        _ => return failed,
    };
    let failed = failed.hint(hint);
    match message {
        Some(message) => Failed {
            message: message.to_owned(),
            ..failed
        },
        None => failed,
    }
}

fn human(report: &ConnectReport, now: Timestamp) -> String {
    let mut text = view::connection(&report.connection, now);
    if !report.message.is_empty() {
        text.push_str(&format!("\n\n{}", shown(&report.message)));
    }
    text
}

impl From<ListenError> for Failed {
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
                Self::new(Kind::Failed, error.to_string()).hint(hint)
            }
        }
    }
}
