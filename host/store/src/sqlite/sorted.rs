//! Listings in any order, and the index of those that are sorted by a key.
//!
//! The index has rows for each node at or above a document's own. A sorted page of a subtree is therefore one range,
//! like that of a whole model. A filter by other keys is a filter on the walk over that range. Few matches are read and
//! sorted instead.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params};

use super::documents;
use super::error::{Result, corrupt};
use super::search::{self, Direction, SearchLimits};
use crate::{SORT_KEYS, SortOrder};
use relation_types::{Filter, Key, Pkid, Reference, Scope};

const ADD: &str =
    "INSERT INTO sorted_keys (model, name, node, value, pkid) VALUES (?1, ?2, ?3, ?4, ?5)";
const REMOVE: &str = "DELETE FROM sorted_keys
    WHERE model = ?1 AND name = ?2 AND node = ?3 AND value = ?4 AND pkid = ?5";
const EVERYWHERE: [&str; 2] = [
    "SELECT value, pkid FROM document_keys
    WHERE model = ?1 AND name = ?2 AND (value, pkid) > (?3, ?4) ORDER BY value, pkid LIMIT ?5",
    "SELECT value, pkid FROM document_keys
    WHERE model = ?1 AND name = ?2 AND (value, pkid) < (?3, ?4)
    ORDER BY value DESC, pkid DESC LIMIT ?5",
];
const AT_NODE: [&str; 2] = [
    "SELECT value, pkid FROM sorted_keys
    WHERE model = ?1 AND name = ?2 AND node = ?6 AND (value, pkid) > (?3, ?4)
    ORDER BY value, pkid LIMIT ?5",
    "SELECT value, pkid FROM sorted_keys
    WHERE model = ?1 AND name = ?2 AND node = ?6 AND (value, pkid) < (?3, ?4)
    ORDER BY value DESC, pkid DESC LIMIT ?5",
];

/// The number of rows that a filtered page reads first, besides one for each wanted document.
const FIRST_ROWS: usize = 16;

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[REMOVE, EVERYWHERE[0], EVERYWHERE[1], AT_NODE[0], AT_NODE[1]];

/// The position of a document in a listing: the value of the key, empty in the order of pkids, and the
/// pkid.
pub(super) type Position = (String, String);

/// The node and the keys of a document.
pub(super) type Placement<'a> = (&'a str, &'a [Key]);

/// Updates the index after a document changed. `None`: the document does not exist before, or after.
pub(super) fn update(
    connection: &Connection,
    reference: &Reference,
    old: Option<Placement<'_>>,
    new: Option<Placement<'_>>,
) -> Result<()> {
    let (model, pkid) = (&reference.model, reference.pkid.as_str());
    for (_, name) in SORT_KEYS.iter().filter(|(sorted, _)| sorted == model) {
        let old = old.and_then(|old| find_entry(old, name));
        let new = new.and_then(|new| find_entry(new, name));
        if old == new {
            continue;
        }
        for (statement, entry) in [(REMOVE, old), (ADD, new)] {
            let Some((node, value)) = entry else { continue };
            let mut statement = connection.prepare_cached(statement)?;
            for node in list_nodes(node) {
                statement.execute(params![model, name, node, value, pkid])?;
            }
        }
    }
    Ok(())
}

/// Finds the first `want` matching documents after a position.
pub(super) fn find(
    connection: &Connection,
    filter: &Filter,
    order: &SortOrder,
    after: Option<Position>,
    want: usize,
    effort: SearchLimits,
) -> Result<Vec<Position>> {
    let direction = Direction::new(order.descending);
    // If all matches have the same value, their order is that of pkids.
    let (name, value) = match &order.key {
        None => ("", Some("")),
        Some(name) => (name.as_str(), find_value(&filter.equals, name)),
    };
    if let Some(value) = value {
        let from = match &after {
            Some((_, pkid)) => direction.after(pkid),
            None => direction.start(),
        };
        let pkids = search::find_pkids(connection, filter, direction, &from, want, effort)?;
        let positions = pkids.into_iter().map(|pkid| (value.to_owned(), pkid));
        return Ok(positions.collect());
    }
    let search = SortedSearch {
        connection,
        filter,
        name,
        direction,
        effort,
    };
    if filter.equals.is_empty() {
        search.scan(after.as_ref(), want)
    } else {
        search.filtered(after, want)
    }
}

struct SortedSearch<'a> {
    connection: &'a Connection,
    filter: &'a Filter,
    name: &'a str,
    direction: Direction,
    effort: SearchLimits,
}

impl SortedSearch<'_> {
    /// Reads the next `want` rows of the index at the filter's node, whatever their other keys.
    fn scan(&self, after: Option<&Position>, want: usize) -> Result<Vec<Position>> {
        let model = &self.filter.model;
        let (value, pkid) = match (after, self.direction) {
            (Some((value, pkid)), _) => (Value::from(value.clone()), pkid.as_str()),
            (None, Direction::Ascending) => (Value::from(String::new()), ""),
            // SQLite sorts a blob after every text.
            (None, Direction::Descending) => (Value::Blob(Vec::new()), ""),
        };
        let rows = search::to_sql_limit(want);
        let node = match &self.filter.hierarchy {
            None => None,
            Some((node, Scope::Subtree)) => Some(node.as_str().to_owned()),
            Some((node, Scope::Node)) => Some(format!("{node}.")),
        };
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found = match node {
            None => self
                .connection
                .prepare_cached(self.direction.pick(EVERYWHERE))?
                .query_map(params![model, self.name, value, pkid, rows], read)?
                .collect::<Result<_, _>>()?,
            Some(node) => self
                .connection
                .prepare_cached(self.direction.pick(AT_NODE))?
                .query_map(params![model, self.name, value, pkid, rows, node], read)?
                .collect::<Result<_, _>>()?,
        };
        Ok(found)
    }

    fn filtered(&self, mut after: Option<Position>, want: usize) -> Result<Vec<Position>> {
        if let Some(found) = self.list(self.effort.few, after.as_ref(), want)? {
            return Ok(found);
        }
        // The first rows fill the page if nearly all documents match.
        let mut chunk = want.saturating_add(FIRST_ROWS);
        let next_chunk = want.saturating_mul(4).saturating_add(self.effort.walked);
        let mut found = Vec::new();
        let mut listing = true;
        loop {
            let rows = self.scan(after.as_ref(), chunk)?;
            let ended = rows.len() < chunk;
            after = rows.last().cloned().or(after);
            for row in rows {
                if search::has_keys(self.connection, self.filter, &row.1)? {
                    found.push(row);
                }
            }
            if found.len() >= want || ended {
                found.truncate(want);
                return Ok(found);
            }
            if chunk < next_chunk {
                chunk = next_chunk;
            } else if listing {
                let left = want - found.len();
                if let Some(rest) = self.list(self.effort.sorted, after.as_ref(), left)? {
                    found.extend(rest);
                    return Ok(found);
                }
                listing = false;
            }
        }
    }

    /// Reads and sorts all matches, and returns the first `want` after a position; `None` when there are
    /// more than `max` matches.
    fn list(
        &self,
        max: usize,
        after: Option<&Position>,
        want: usize,
    ) -> Result<Option<Vec<Position>>> {
        let rows = max.saturating_add(1);
        let direction = Direction::Ascending;
        let pkids = search::find_pkids(
            self.connection,
            self.filter,
            direction,
            &direction.start(),
            rows,
            self.effort,
        )?;
        if pkids.len() > max {
            return Ok(None);
        }
        let mut found = Vec::with_capacity(pkids.len());
        for text in pkids {
            let pkid = Pkid::try_from(text).map_err(|error| corrupt(error.to_string()))?;
            let reference = Reference::new(&self.filter.model, pkid);
            let keys = documents::keys(self.connection, &reference)?;
            if let Some(value) = find_value(&keys, self.name) {
                found.push((value.to_owned(), String::from(reference.pkid)));
            }
        }
        found.sort_unstable();
        match self.direction {
            Direction::Ascending => found.retain(|one| after.is_none_or(|after| one > after)),
            Direction::Descending => {
                found.reverse();
                found.retain(|one| after.is_none_or(|after| one < after));
            }
        }
        found.truncate(want);
        Ok(Some(found))
    }
}

/// Returns the node and the value that the index has of a document.
fn find_entry<'a>((node, keys): Placement<'a>, name: &str) -> Option<(&'a str, &'a str)> {
    Some((node, find_value(keys, name)?))
}

fn find_value<'a>(keys: &'a [Key], name: &str) -> Option<&'a str> {
    let key = keys.iter().find(|key| key.name == name)?;
    Some(key.value.as_str())
}

/// Lists the nodes under which the index has a document at `node`: see `sorted.sql`.
pub(super) fn list_nodes(node: &str) -> Vec<String> {
    let text = format!("{node}..");
    let ends = text.match_indices('.').map(|(end, _)| end);
    ends.filter_map(|end| text.get(..end).map(str::to_owned))
        .collect()
}
