//! `list`: lists customers with their state and the remaining lifetime of their tokens.

use relation_app::AppError;
use relation_app::alerts::{self, Alert};
use relation_app::listing::{self, Order};
use relation_app::records;
use relation_host::reports::State;
use relation_host::types::{Hierarchy, Scope};
use serde::Serialize;

use super::page::PageArgs;
use super::view;
use crate::Context;
use crate::output::{escape_control_chars, write};
use crate::record_selector::find_node;
use crate::streams::stderr;

/// The maximum number of alerts of the installation.
const MAX_ALERTS: u32 = 20;

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only customers at or below this node
    #[arg(long, value_name = "PATH")]
    hierarchy: Option<Hierarchy>,
    /// Only customers with a grant in this state
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<State>,
    /// Only customers with exactly this name
    #[arg(long)]
    name: Option<String>,
    /// The sort order
    #[arg(long, value_enum, value_name = "ORDER", default_value_t)]
    sort: SortArg,
    #[command(flatten)]
    page: PageArgs,
}

fn parse_state(text: &str) -> Result<State, String> {
    State::ALL
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| {
            let known: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
            format!("states are {}", known.join(", "))
        })
}

/// The sort order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum SortArg {
    /// By urgency, what needs a person first; then by name
    #[default]
    Urgency,
    /// By name
    Name,
    /// By the expiry of the refresh token, the earliest first; reads every customer
    Expiry,
}

impl From<SortArg> for Order {
    fn from(sort: SortArg) -> Self {
        match sort {
            SortArg::Urgency => Self::Urgency,
            SortArg::Name => Self::Name,
            SortArg::Expiry => Self::Expiry,
        }
    }
}

/// Prints one page of customers.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
    let node = find_node(store.as_ref(), args.hierarchy.as_ref()).await?;
    let subtree = node.map(|node| (node, Scope::Subtree));
    let name = match args.name {
        Some(name) => {
            let store = store.as_ref();
            Some(records::find_stored_spelling(store, &name, subtree.as_ref()).await?)
        }
        None => None,
    };
    let filter = records::filter(subtree, name.as_deref(), args.state);
    let host = context.installation.plugin_host().await?;
    let (cursor, limit) = (args.page.cursor(), args.page.limit());
    let order = Order::from(args.sort);
    let page = listing::read_page(store.as_ref(), &host, &filter, order, cursor, limit).await?;
    let rows = listing::to_rows(store.as_ref(), page.items).await?;
    let now = context.installation.now();
    let installation_alerts = alerts::filter_by_owner(alerts::INSTALLATION);
    let installation_alerts =
        alerts::read_page(store.as_ref(), &installation_alerts, None, MAX_ALERTS).await?;
    let members = InstallationAlerts {
        installation_alerts: &installation_alerts.items,
    };
    context
        .output
        .page_with(&rows, page.next.as_deref(), &members, |rows| {
            view::render_rows(rows, now)
        })?;
    if !context.output.json {
        for alert in members.installation_alerts {
            write(&render_installation_alert(alert))?;
        }
    }
    if !context.output.json && view::has_assumed_expiry(&rows) {
        stderr::note("~ assumed: no response named the expiry of this token");
    }
    Ok(())
}

/// The alerts that concern every customer.
#[derive(Serialize)]
struct InstallationAlerts<'a> {
    installation_alerts: &'a [Alert],
}

fn render_installation_alert(alert: &Alert) -> String {
    let (severity, code) = (alert.body.severity.as_str(), &alert.body.code);
    let text = format!("{severity} {code}, all customers: {}", alert.body.message);
    format!("\n{}", escape_control_chars(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_parses_from_its_display_name() {
        for known in State::ALL {
            assert_eq!(parse_state(known.as_str()), Ok(known));
        }
        assert!(parse_state("conected").unwrap_err().contains("connected"));
    }
}
