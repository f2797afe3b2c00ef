//! `connect`: a person consents at Webex, and the customer has tokens.

use std::io::{self, BufRead, IsTerminal, Read};

use http::StatusCode;
use relation_host::reports::{Authorization, ConnectReport, Grant};
use relation_host::types::Timestamp;
use relation_host::{Called, Host};
use secrecy::SecretString;
use serde::Serialize;
use tokio::sync::oneshot;

use super::view;
use crate::config::RedirectAddress;
use crate::failure::{Failed, Kind};
use crate::grants::GrantArg;
use crate::output::shown;
use crate::records::{Named, Record};
use crate::redirect::{Callback, ListenError, Listener, Page};
use crate::stop::Stop;
use crate::{Context, progress, time};

/// Where the browser comes back to when nothing else is configured.
pub const DEFAULT_REDIRECT: &str = "http://127.0.0.1:8400/callback";
/// The longest line that is read from stdin, in bytes. A callback has about 1 KiB.
const LINE: u64 = 16 * 1024;

/// Arguments of `connect`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Open the printed link in a browser, as an administrator of the customer's organization, and accept. Webex then
sends the browser to the redirect address, where this command waits for it, at most 10 minutes. The address
must be registered for the integration at Webex, exactly as it is configured (connect.redirect).

If the browser runs on another machine, use --no-listen: it ends on a page that cannot be opened. Copy that
page's whole address and give it to this command on stdin.

With --json each event is a line of its own: `authorization` with the link, then `connected`, for each grant.")]
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
}

/// How the callback comes.
enum Way {
    Browser(Listener),
    Stdin,
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
        true => Way::Stdin,
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
        while let Some(begun) = next {
            self.announce(&begun, way)?;
            let came = self.wait(way, &begun.value).await?;
            let completed = self.complete(&came).await;
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
            output.line(&event, |_| human(&connected.value, now))?;
            next = following.transpose()?;
        }
        Ok(())
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
                Way::Stdin => {
                    "The browser then ends on a page that may not open: \
                     paste that page's whole address here"
                }
            };
            eprintln!(
                "Open this link in a browser as an administrator of {}, and accept ({}).\n{then}, until {}.",
                shown(self.record.name()),
                authorization.grant,
                time::moment(authorization.expires),
            );
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
                Way::Stdin => line().await.map(Came::Line),
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

/// What the browser shows.
fn page(
    name: &str,
    completed: &Result<Called<ConnectReport>, Failed>,
    following: Option<&Result<Called<Authorization>, Failed>>,
) -> Page {
    const CLOSE: &str = "You can close this window.";
    match completed {
        Ok(connected) => {
            let message = connected.value.message.as_str();
            let title = format!("{name} is connected");
            match following {
                None => Page::new(StatusCode::OK, title, &[message, CLOSE]),
                Some(Ok(next)) => {
                    let link = format!("Go on with the consent for {}", next.value.grant);
                    Page {
                        link: Some((link, next.value.url.clone())),
                        ..Page::new(
                            StatusCode::OK,
                            title,
                            &[message, "One more consent is needed."],
                        )
                    }
                }
                Some(Err(failed)) => Page::new(
                    StatusCode::OK,
                    title,
                    &[
                        message,
                        "One more consent is needed, which could not be begun:",
                        &failed.message,
                    ],
                ),
            }
        }
        Err(failed) => {
            let title = format!("{name} was not connected");
            let faults = failed.faults.iter();
            let faults = faults.map(|fault| format!("{}: {}", fault.field, fault.message));
            let faults: Vec<String> = faults.collect();
            let mut texts = vec![failed.message.as_str()];
            texts.extend(faults.iter().map(String::as_str));
            let next = match failed.kind {
                Kind::Reauthorize => "Run the command again for a new link.",
                Kind::Unavailable | Kind::RateLimited | Kind::Busy | Kind::Conflict => {
                    "Run the command again in a while for a new link."
                }
                _ => "The command says what to do about it.",
            };
            texts.extend([next, CLOSE]);
            Page::new(StatusCode::BAD_REQUEST, title, &texts)
        }
    }
}

fn human(report: &ConnectReport, now: Timestamp) -> String {
    let mut text = view::connection(&report.connection, now);
    if !report.message.is_empty() {
        text.push_str(&format!("\n\n{}", shown(&report.message)));
    }
    text
}

/// The next line of stdin. Read by a thread of its own, which nobody has to wait for.
async fn line() -> Result<SecretString, Failed> {
    if io::stdin().is_terminal() {
        eprint!("address: ");
    }
    let (sender, receiver) = oneshot::channel();
    let reader = std::thread::Builder::new().name("stdin".to_owned());
    let failed = |error: &io::Error| {
        let what = format!("cannot read the address of the callback from stdin: {error}");
        Failed::new(Kind::Failed, what)
    };
    reader
        .spawn(move || {
            let mut line = zeroize::Zeroizing::new(String::new());
            let read = io::stdin().lock().take(LINE).read_line(&mut line);
            let _ = sender.send(read.map(|_| SecretString::from(line.trim())));
        })
        .map_err(|error| failed(&error))?;
    let read = receiver.await.map_err(|_| {
        Failed::new(
            Kind::Internal,
            "the thread that reads stdin has ended early",
        )
    })?;
    let address = read.map_err(|error| failed(&error))?;
    match secrecy::ExposeSecret::expose_secret(&address) {
        "" => Err(Failed::usage(
            "stdin held no address: give the one to which Webex sent the browser",
        )
        .hint(AGAIN)),
        _ => Ok(address),
    }
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
