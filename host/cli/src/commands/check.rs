//! `check`: checks the installation, and with `--webex` the integration at Webex.

use relation_app::AppError;
use relation_app::check::{self, CheckFinding};
use relation_host::reports::FindingLevel;
use relation_host::text::format_count;
use relation_host::types::Hierarchy;
use serde_json::{Map, Value};

use super::access_parts;
use crate::GlobalArgs;
use crate::context::{installation, load_config};
use crate::invocation::complete;
use crate::output::{Output, escape_control_chars};
use crate::record_selector::RecordSelector;
use crate::table::{Column, Table};

/// The action that tests the connection of one customer, through its proxies.
const TEST_CONNECTION: &str = "TestConnection";

/// Arguments of `check`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "\
Without --webex and RECORD, no request is sent. With --webex, client id, secret and clock are tested at Webex. The
customer RECORD is tested at Webex with its access token and through its proxies. No request changes anything.

The exit code is that of the first error: the one with which any other command fails for the same reason. It is 0
without an error; a warning does not count.")]
pub struct Args {
    /// Also ask Webex: client id and secret, scopes, clock
    #[arg(long)]
    webex: bool,
    /// Also test the connection of this customer, by pkid or by name
    #[arg(value_name = "RECORD")]
    record: Option<String>,
    /// The node at or below which the name is looked up
    #[arg(long, value_name = "PATH", requires = "record")]
    hierarchy: Option<Hierarchy>,
}

/// Prints what was found. Fails if something is wrong.
pub async fn run(args: Args, global: &GlobalArgs) -> Result<(), AppError> {
    let mut findings = Vec::new();
    match load_config(global) {
        Err(error) => findings.push(check::configuration_error(error)),
        Ok(config) => {
            let installation = installation(global, config);
            findings.extend(check::check(&installation, args.webex).await);
            findings.extend(access_parts::check_oidc_roles(&installation).await);
            if let Some(record) = args.record
                && !findings.iter().any(|finding| finding.kind.is_some())
            {
                let selector = RecordSelector {
                    record,
                    hierarchy: args.hierarchy,
                };
                findings.push(test_connection(&installation, &selector).await);
            }
        }
    }
    for CheckFinding { finding, .. } in &mut findings {
        finding.hint = complete(&finding.hint).into_owned();
    }
    let output = Output { json: global.json };
    output.print(&findings, |findings| render_text(findings))?;
    let errors: Vec<AppError> = findings.iter().filter_map(CheckFinding::to_error).collect();
    let count = format_count(errors.len() as u64, "error", "errors");
    match errors.into_iter().next() {
        Some(first) => Err(AppError {
            message: format!("the check found {count}"),
            ..first
        }),
        None => Ok(()),
    }
}

async fn test_connection(
    installation: &relation_app::Installation,
    selector: &RecordSelector,
) -> CheckFinding {
    let tested = async {
        let host = installation.unchecked_host().await?;
        let record = selector.find(host.store().as_ref()).await?;
        let tested = host
            .invoke(TEST_CONNECTION, &record.pkid, Map::new())
            .await?;
        let message = tested.value.get("message").and_then(Value::as_str);
        Ok::<_, AppError>(message.unwrap_or_default().to_owned())
    };
    let part = format!("connection of {}", selector.record);
    match tested.await {
        Ok(message) => CheckFinding::ok(&part, message),
        Err(error) => CheckFinding::from_error(&part, error),
    }
}

fn render_text(findings: &[CheckFinding]) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("check"),
        Column::new("result"),
        Column::new("finding").wrapped(24),
    ]);
    for CheckFinding { finding, .. } in findings {
        let result = match finding.level {
            FindingLevel::Ok => "ok",
            FindingLevel::Warning => "warning",
            FindingLevel::Error => "error",
        };
        let text = match finding.hint.as_str() {
            "" => finding.message.clone(),
            hint => format!("{} ({hint})", finding.message),
        };
        // A cell has one line.
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let text = escape_control_chars(&lines.join("; ").replace(":; ", ": "));
        rows.add([&finding.check, result, &text]);
    }
    rows.to_string()
}
