//! `refresh`: refreshes a customer's access token now.

use relation_app::{AppError, ErrorKind, check, records};
use relation_host::reports::{RefreshOutcome, RefreshReport};

use super::view::{self, Notes};
use crate::grants::{GrantReporter, GrantSelector};
use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::{Context, progress};

/// Arguments of `refresh`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: RecordSelector,
    #[command(flatten)]
    selector: GrantSelector,
}

/// Refreshes the tokens and prints the outcome. Fails if the refresh did not yield tokens.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let host = context.installation.host().await?;
    check::check_client(&context.installation).to_result()?;
    let record = args.record.find(host.store().as_ref()).await?;
    let grants = args.selector.select(&host, &record).await?;
    let mut reporter = GrantReporter::new(context, &grants);
    for grant in grants {
        let label = format!("refreshing {} ({grant})", record.name());
        let watched = Some((host.store().as_ref(), record.reference()));
        let call = host.refresh_grant(&record.pkid, grant);
        let call_output = progress::show_while(&label, watched, call).await;
        let now = host.clock().now();
        reporter.report(
            call_output.map_err(|error| record.explain(error)),
            |report, notes| render_text(report, now, notes),
            |report| outcome(&record.selector(), report),
        );
    }
    reporter.finish()
}

fn render_text(
    report: &RefreshReport,
    now: relation_host::types::Timestamp,
    notes: Notes,
) -> String {
    let mut text = view::render_grant(&report.connection, report.grant, now, notes);
    if notes == Notes::Shown && !report.message.is_empty() {
        text.push_str(&format!("\n\n{}", escape_control_chars(&report.message)));
    }
    text
}

fn outcome(selector: &str, report: &RefreshReport) -> Option<AppError> {
    let error = report.clone().into_result().err()?;
    let message = error.to_string();
    Some(match error.0.outcome {
        RefreshOutcome::Retrying if report.needs_change() => {
            AppError::new(ErrorKind::LimitExceeded, message).hint(
                "correct what the message names; the tokens are kept, and this command or `relation-host run` then uses them",
            )
        }
        RefreshOutcome::Retrying => AppError::new(ErrorKind::Unavailable, message)
            .hint("the tokens are kept; `relation-host run` retries automatically"),
        _ => AppError::new(ErrorKind::Reauthorize, message)
            .hint(records::connect_hint(selector, true)),
    })
}

#[cfg(test)]
mod tests {
    use relation_host::reports::{ConnectionReport, FailedRefresh, Grant, GrantStatus, State};

    use super::*;

    fn report(outcome: RefreshOutcome) -> RefreshReport {
        RefreshReport {
            grant: Grant::Organization,
            outcome,
            connection: ConnectionReport {
                pkid: "0123456789abcdef01234567".parse().unwrap(),
                name: "Acme".to_owned(),
                hierarchy: "sys.Acme".parse().unwrap(),
                state: State::Connected,
                access_token_expires: None,
                refresh_token_expires: None,
                next_refresh: None,
                grants: Vec::new(),
                notes: String::new(),
            },
            message: "Webex said no".to_owned(),
            tracking_id: Some("ROUTER_1".to_owned()),
            joined: false,
        }
    }

    #[test]
    fn the_exit_code_follows_the_outcome() {
        let code = |of| {
            outcome("Acme", &report(of)).map_or(0, |error| crate::error::exit_code(error.kind))
        };
        assert_eq!(code(RefreshOutcome::Connected), 0);
        assert_eq!(code(RefreshOutcome::Retrying), 5);
        assert_eq!(code(RefreshOutcome::Reauthorize), 4);
        assert_eq!(code(RefreshOutcome::Expired), 4);

        let mut denied = report(RefreshOutcome::Retrying);
        denied.connection.grants.push(GrantStatus {
            grant: Grant::Organization,
            state: State::Retrying,
            access_token_expires: None,
            refresh_token_expires: None,
            refresh_token_lifetime_ms: None,
            generation: 0,
            refreshed: None,
            failed_refresh: Some(FailedRefresh {
                attempts: 1,
                since: None,
                reason: "egress.allow".to_owned(),
                tracking_id: None,
                needs_change: true,
            }),
            next_refresh: None,
            scopes: Vec::new(),
            missing_scopes: Vec::new(),
        });
        let error = outcome("Acme", &denied).unwrap();
        assert_eq!(crate::error::exit_code(error.kind), 6);
        assert!(!error.hint.unwrap().contains("automatically"));
    }

    #[test]
    fn message_has_the_tracking_id() {
        let error = outcome("Acme", &report(RefreshOutcome::Reauthorize)).unwrap();
        assert!(error.message.contains("ROUTER_1"), "{error}");
    }
}
