//! `token`: prints a customer's access token for another program.

use std::io::IsTerminal;
use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use relation_host::reports::{Expiry, Grant};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::grants::GrantArg;
use crate::record_selector::RecordSelector;
use crate::streams::stderr;
use crate::{Context, progress, time};

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The token goes to stdout, for another program:
  curl -H \"Authorization: Bearer $(relation-host token Contoso)\" URL

A token that expires sooner than --min-valid is refreshed first. Each use is a transaction that names the opened secret.")]
pub struct Args {
    #[command(flatten)]
    record: RecordSelector,
    /// The grant whose token is printed
    #[arg(long, value_name = "GRANT", default_value = "organization")]
    grant: GrantArg,
    /// The time for which the token must be valid, such as 10m
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = humantime::parse_duration)]
    min_valid: Duration,
    /// Print the token even if stdout is a terminal
    #[arg(long)]
    reveal: bool,
}

/// The token as JSON.
#[derive(Serialize)]
struct TokenOutput<'a> {
    transaction: &'a str,
    token: &'a str,
    expires: Option<Expiry>,
}

/// Prints the access token.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    if !args.reveal && std::io::stdout().is_terminal() {
        return Err(AppError::new(
            ErrorKind::Usage,
            "the token is a secret, and stdout is a terminal",
        )
        .hint(
            "use it in another command, as in `$(relation-host token RECORD)`, or add --reveal",
        ));
    }
    let host = context.installation.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let grant = Grant::from(args.grant);
    let label = format!("getting the access token of {}", record.name());
    let watched = Some((host.store().as_ref(), record.reference()));
    let call = host.access_token(&record.pkid, grant, args.min_valid);
    let call_output = progress::show_while(&label, watched, call).await;
    let call_output = call_output.map_err(|error| record.explain(error))?;
    let report = &call_output.value;
    let output = TokenOutput {
        transaction: &call_output.transaction,
        token: report.token.expose_secret(),
        expires: report.expires,
    };
    if let Some(expires) = report.expires.filter(|_| !context.output.json) {
        stderr::note(&format!("valid until {}", time::format_utc(expires.at)));
    }
    context
        .output
        .print(&output, |output| output.token.to_owned())
}
