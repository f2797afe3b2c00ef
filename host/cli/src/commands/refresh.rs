//! `refresh`: a new access token, now.

use relation_host::reports::{RefreshOutcome, RefreshReport};

use super::view;
use crate::failure::{CONNECT_AGAIN, Failed, Kind};
use crate::grants::{Each, Which};
use crate::output::shown;
use crate::records::Named;
use crate::{Context, progress};

/// Arguments of `refresh`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: Named,
    #[command(flatten)]
    which: Which,
}

/// Refreshes and prints what came of it; fails unless tokens came of it.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let host = context.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let grants = args.which.of(&record);
    let mut each = Each::of(context, &grants);
    for grant in grants {
        let label = format!("refreshing {} ({grant})", record.name());
        let watched = Some((host.store().as_ref(), record.reference()));
        let call = host.refresh_grant(&record.pkid, grant);
        let called = progress::during(&label, watched, call).await;
        let now = host.clock().now();
        each.answered(
            called.map_err(Failed::from),
            |report| human(report, now),
            outcome,
        );
    }
    each.end()
}

fn human(report: &RefreshReport, now: relation_host::types::Timestamp) -> String {
    let mut text = view::grant_of(&report.connection, report.grant, now);
    if !report.message.is_empty() {
        text.push_str(&format!("\n\n{}", shown(&report.message)));
    }
    text
}

fn outcome(report: &RefreshReport) -> Option<Failed> {
    let message = match &report.tracking_id {
        Some(id) => format!("{} (tracking id {id})", report.message),
        None => report.message.clone(),
    };
    match report.outcome {
        RefreshOutcome::Connected => None,
        RefreshOutcome::Retrying => Some(
            Failed::new(Kind::Unavailable, message)
                .hint("the tokens are kept; `relation-host run` tries again by itself"),
        ),
        RefreshOutcome::Reauthorize | RefreshOutcome::Expired => {
            Some(Failed::new(Kind::Reauthorize, message).hint(CONNECT_AGAIN))
        }
    }
}

#[cfg(test)]
mod tests {
    use relation_host::reports::{Connection, Grant, State};

    use super::*;

    fn report(outcome: RefreshOutcome) -> RefreshReport {
        RefreshReport {
            grant: Grant::Organization,
            outcome,
            connection: Connection {
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
        let code = |of| outcome(&report(of)).map_or(0, |failed| failed.kind.exit_code());
        assert_eq!(code(RefreshOutcome::Connected), 0);
        assert_eq!(code(RefreshOutcome::Retrying), 5);
        assert_eq!(code(RefreshOutcome::Reauthorize), 4);
        assert_eq!(code(RefreshOutcome::Expired), 4);
    }

    #[test]
    fn the_tracking_id_is_told() {
        let failed = outcome(&report(RefreshOutcome::Reauthorize)).unwrap();
        assert!(failed.message.contains("ROUTER_1"), "{failed}");
    }
}
