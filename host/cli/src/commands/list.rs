//! `list`: customers, with their state and the time their tokens have left.

use relation_host::reports::State;
use relation_host::store::Store;
use relation_host::types::{Filter, Hierarchy, Page, Scope};

use super::order::{Order, Place};
use super::page::PageArgs;
use super::view;
use crate::Context;
use crate::failure::Failed;
use crate::records::{self, Record};
use crate::streams::stderr;

/// Records that are read at once.
const CHUNK: u32 = 1000;

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only customers at or below this node
    #[arg(long, value_name = "PATH")]
    hierarchy: Option<Hierarchy>,
    /// Only customers in this state
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<State>,
    /// Only customers of exactly this name
    #[arg(long)]
    name: Option<String>,
    /// What comes first
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

fn state(text: &str) -> Result<State, String> {
    STATES
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| {
            let known: Vec<&str> = STATES.iter().map(|state| state.as_str()).collect();
            format!("states are {}", known.join(", "))
        })
}

/// The spelling of a name that is stored; the one in which names are compared when none is.
async fn stored_name(store: &dyn Store, name: &str) -> Result<String, Failed> {
    let spellings = records::spellings(name);
    for spelling in &spellings {
        let filter = records::filter(None, Some(spelling), None);
        if !store.find(&filter, None, 1).await?.items.is_empty() {
            return Ok(spelling.clone());
        }
    }
    Ok(spellings.into_iter().next().unwrap_or_default())
}

/// Prints a page of them.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let store = context.store()?;
    let place = args.hierarchy.map(|node| (node, Scope::Subtree));
    let name = match args.name {
        Some(name) => Some(stored_name(store.as_ref(), &name).await?),
        None => None,
    };
    let filter = records::filter(place, name.as_deref(), args.state);
    let after = args.page.cursor().map(|cursor| {
        args.sort.place_of(cursor).ok_or_else(|| {
            Failed::usage("--cursor names no place in this list").hint(
                "a cursor is what an earlier page of the same list gave; the same --sort goes with it",
            )
        })
    });
    let after = after.transpose()?;
    let page = sorted(
        store.as_ref(),
        &filter,
        args.sort,
        after.as_ref(),
        args.page.most(),
    )
    .await?;
    let connections: Vec<_> = page.items.iter().map(Record::summary).collect();
    let now = context.now();
    context
        .output
        .page(&connections, page.next.as_deref(), |connections| {
            view::connections(connections, now)
        })?;
    if !context.output.json && view::any_assumed(&connections) {
        stderr::note("~ assumed: nobody said when this token expires");
    }
    Ok(())
}

/// Reads the records of a page in `order`: at most `most` records after a place. The store sorts records
/// by pkid, so all records are read; only those of the page are held in memory.
async fn sorted(
    store: &dyn Store,
    filter: &Filter,
    order: Order,
    after: Option<&Place>,
    most: Option<u32>,
) -> Result<Page<Record>, Failed> {
    let most = most.map_or(usize::MAX, |most| most as usize);
    let mut found: Vec<(Place, Record)> = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.find(filter, cursor.as_deref(), CHUNK).await?;
        for document in &page.items {
            let record = Record::of(document)?;
            let place = order.place(&record);
            if after.is_none_or(|after| place > *after) {
                found.push((place, record));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        // One more tells that there is a further page.
        found.truncate(most.saturating_add(1));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let more = found.len() > most;
    found.truncate(most);
    let last = found.last().filter(|_| more);
    Ok(Page {
        next: last.map(|(place, _)| order.cursor(place)),
        items: found.into_iter().map(|(_, record)| record).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_named_as_it_is_shown() {
        for known in STATES {
            assert_eq!(state(known.as_str()), Ok(known));
        }
        assert!(state("conected").unwrap_err().contains("connected"));
    }
}
