//! `list`: lists customers with their state and the remaining lifetime of their tokens.

use relation_host::reports::State;
use relation_host::store::Store;
use relation_host::types::{Filter, Hierarchy, Page, Scope};

use super::order::{ListPosition, Order};
use super::page::PageArgs;
use super::view;
use crate::Context;
use crate::error::CliError;
use crate::records::{self, Record};
use crate::streams::stderr;

/// The number of records per read from the store.
const READ_PAGE_SIZE: u32 = 1000;

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
    sort: Order,
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

/// Finds the spelling under which `name` is stored. Returns the normalized spelling if no record has the
/// name.
async fn find_stored_spelling(store: &dyn Store, name: &str) -> Result<String, CliError> {
    let spellings = records::spellings(name);
    for spelling in &spellings {
        let filter = records::filter(None, Some(spelling), None);
        if !store.find(&filter, None, 1).await?.items.is_empty() {
            return Ok(spelling.clone());
        }
    }
    Ok(spellings.into_iter().next().unwrap_or_default())
}

/// Prints one page of customers.
pub async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let store = context.store()?;
    let subtree = args.hierarchy.map(|node| (node, Scope::Subtree));
    let name = match args.name {
        Some(name) => Some(find_stored_spelling(store.as_ref(), &name).await?),
        None => None,
    };
    let filter = records::filter(subtree, name.as_deref(), args.state);
    let after = args.page.cursor().map(|cursor| {
        args.sort.parse_cursor(cursor).ok_or_else(|| {
            CliError::usage("--cursor is not a cursor of this list").hint(
                "use the cursor that an earlier page of the same list printed, with the same --sort",
            )
        })
    });
    let after = after.transpose()?;
    let page = read_sorted(
        store.as_ref(),
        &filter,
        args.sort,
        after.as_ref(),
        args.page.limit(),
    )
    .await?;
    let connections: Vec<_> = page.items.iter().map(Record::summary).collect();
    let now = context.now();
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

/// Reads a page of records in `order`: at most `limit` records after a position. The store sorts records by
/// pkid, so all records are read, but only those of the page are kept in memory.
async fn read_sorted(
    store: &dyn Store,
    filter: &Filter,
    order: Order,
    after: Option<&ListPosition>,
    limit: Option<u32>,
) -> Result<Page<Record>, CliError> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let mut found: Vec<(ListPosition, Record)> = Vec::new();
    let mut cursor = None;
    loop {
        let page = store
            .find(filter, cursor.as_deref(), READ_PAGE_SIZE)
            .await?;
        for document in &page.items {
            let record = Record::from_document(document)?;
            let position = order.position(&record);
            if after.is_none_or(|after| position > *after) {
                found.push((position, record));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        // One record more than the limit shows that there is another page.
        found.truncate(limit.saturating_add(1));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more);
    Ok(Page {
        next: last.map(|(position, _)| order.encode_cursor(position)),
        items: found.into_iter().map(|(_, record)| record).collect(),
    })
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
