//! `list`: lists customers with their state and the remaining lifetime of their tokens.

use relation_app::AppError;
use relation_app::listing::{self, Order};
use relation_app::records;
use relation_host::reports::State;
use relation_host::types::{Hierarchy, Scope};

use super::page::PageArgs;
use super::view;
use crate::Context;
use crate::streams::stderr;

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only customers at or below this node
    #[arg(long, value_name = "PATH")]
    hierarchy: Option<Hierarchy>,
    /// Only customers in this state
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

const STATES: [State; 7] = [
    State::NotConnected,
    State::Connected,
    State::Expiring,
    State::Expired,
    State::Reauthorize,
    State::MissingScope,
    State::Retrying,
];

fn parse_state(text: &str) -> Result<State, String> {
    STATES
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| {
            let known: Vec<&str> = STATES.iter().map(|state| state.as_str()).collect();
            format!("states are {}", known.join(", "))
        })
}

/// The sort order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum SortArg {
    /// By hierarchy, and by name within it
    #[default]
    Name,
    /// By the expiry of the refresh token, the earliest first
    Expiry,
    /// By state, the most urgent first
    State,
}

impl From<SortArg> for Order {
    fn from(sort: SortArg) -> Self {
        match sort {
            SortArg::Name => Self::Name,
            SortArg::Expiry => Self::Expiry,
            SortArg::State => Self::State,
        }
    }
}

/// Prints one page of customers.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let store = context.installation.store_to_read()?;
    let subtree = args.hierarchy.map(|node| (node, Scope::Subtree));
    let name = match args.name {
        Some(name) => Some(records::find_stored_spelling(store.as_ref(), &name).await?),
        None => None,
    };
    let filter = records::filter(subtree, name.as_deref(), args.state);
    let order = Order::from(args.sort);
    let after = args.page.cursor().map(|cursor| {
        order.parse_cursor(cursor).ok_or_else(|| {
            AppError::usage("--cursor is not a cursor of this list").hint(
                "use the cursor that an earlier page of the same list printed, with the same --sort",
            )
        })
    });
    let after = after.transpose()?;
    let host = context.installation.plugin_host().await?;
    let page = listing::read_sorted(
        store.as_ref(),
        &host,
        &filter,
        order,
        after.as_ref(),
        args.page.limit(),
    )
    .await?;
    let connections: Vec<_> = page
        .items
        .into_iter()
        .map(|record| record.connection)
        .collect();
    let now = context.installation.now();
    context
        .output
        .page(&connections, page.next.as_deref(), |connections| {
            view::render_connections(connections, now)
        })?;
    if !context.output.json && view::has_assumed_expiry(&connections) {
        stderr::note("~ assumed: no response named the expiry of this token");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_parses_from_its_display_name() {
        for known in STATES {
            assert_eq!(parse_state(known.as_str()), Ok(known));
        }
        assert!(parse_state("conected").unwrap_err().contains("connected"));
    }
}
