//! `list`: customers, with their state and the time their tokens have left.

use relation_host::reports::State;
use relation_host::store::Store;
use relation_host::types::{Hierarchy, Scope};

use super::page::PageArgs;
use super::view;
use crate::Context;
use crate::failure::Failed;
use crate::records::{self, Record};

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
    let page = args
        .page
        .fetch(async |cursor, limit| store.find(&filter, cursor.as_deref(), limit).await)
        .await?;
    let connections = page
        .items
        .iter()
        .map(|document| Record::of(document).map(|record| record.summary()))
        .collect::<Result<Vec<_>, _>>()?;
    let now = context.now();
    context
        .output
        .page(&connections, page.next.as_deref(), |connections| {
            view::connections(connections, now)
        })?;
    if !context.output.json && view::any_assumed(&connections) {
        eprintln!("~ assumed: nobody said when this token expires");
    }
    Ok(())
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
