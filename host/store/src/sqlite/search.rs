//! Searches for documents by model, node and keys, in the order of their pkids or in reverse.
//!
//! Each condition except a subtree is a range of an index that is ordered by pkid. Several ranges are merged. The one
//! behind seeks to the position of the one ahead, so the cost follows the most selective condition.
//!
//! A subtree is not such a range. A subtree with a handful of documents is listed and sorted. Otherwise
//! the subtree is a filter on the walk, which fills a page quickly if much of the model is below the
//! node. If it does not, all documents below the node are listed after all, up to a bound. Above that
//! bound the walk continues: pkids are random, so enough of the documents match for the walk to be
//! short. A subtree with all documents of the model is not a condition.

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use self::walk::{Search, Source};
use super::documents;
use super::error::{Result, corrupt};
use relation_types::{Document, Filter, Hierarchy, Key, Pkid, Reference, Scope};

mod walk;

/// Returns a statement for both directions: `?2` is the bound of [`Direction`].
macro_rules! both {
    ($select:literal, $limit:literal) => {
        [
            concat!($select, " AND pkid >= ?2 ORDER BY pkid LIMIT ", $limit),
            concat!($select, " AND pkid < ?2 ORDER BY pkid DESC LIMIT ", $limit),
        ]
    };
}

const BY_MODEL: [&str; 2] = both!("SELECT pkid FROM documents WHERE model = ?1", "?3");
const BY_NODE: [&str; 2] = both!(
    "SELECT pkid FROM documents WHERE model = ?1 AND hierarchy = ?3",
    "?4"
);
const BY_KEY: [&str; 2] = both!(
    "SELECT pkid FROM document_keys WHERE model = ?1 AND name = ?3 AND value = ?4",
    "?5"
);
const NODES: [&str; 2] = both!(
    "SELECT pkid, hierarchy FROM documents WHERE model = ?1",
    "?3"
);
const NODE: &str = "SELECT hierarchy FROM documents WHERE model = ?1 AND pkid = ?2";
const BELOW: &str = "SELECT pkid FROM documents
    WHERE model = ?1 AND hierarchy >= ?2 AND hierarchy < ?3 LIMIT ?4";
/// Finds documents of the model that are neither at a node nor below it. The paths below are from `?3` up to `?4`.
const ELSEWHERE: &str = "SELECT 1 FROM documents WHERE model = ?1 AND hierarchy < ?2
    UNION ALL SELECT 1 FROM documents WHERE model = ?1 AND hierarchy > ?2 AND hierarchy < ?3
    UNION ALL SELECT 1 FROM documents WHERE model = ?1 AND hierarchy >= ?4";
const HAS_KEY: &str = "SELECT 1 FROM document_keys
    WHERE model = ?1 AND name = ?2 AND value = ?3 AND pkid = ?4";
const COUNT_MODEL: &str = "SELECT COUNT(*) FROM documents WHERE model = ?1";
const COUNT_KEY: &str =
    "SELECT COUNT(*) FROM document_keys WHERE model = ?1 AND name = ?2 AND value = ?3";
const NEXT_MODEL: &str = "SELECT MIN(model) FROM documents WHERE model > ?1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    BY_MODEL[0],
    BY_MODEL[1],
    BY_NODE[0],
    BY_NODE[1],
    BY_KEY[0],
    BY_KEY[1],
    NODES[0],
    NODES[1],
    NODE,
    BELOW,
    ELSEWHERE,
    HAS_KEY,
    COUNT_MODEL,
    COUNT_KEY,
    NEXT_MODEL,
];

/// The number of matches in one step of a count that cannot use one index.
const COUNT_STEP: usize = 10_000;

/// The direction of a walk over pkids. Its bound in SQL is a text: an ascending walk takes the pkids from the bound on,
/// a descending one those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    pub(super) fn new(descending: bool) -> Self {
        match descending {
            false => Self::Ascending,
            true => Self::Descending,
        }
    }

    /// Returns the statement for this direction.
    pub(super) fn pick(self, [ascending, descending]: [&'static str; 2]) -> &'static str {
        match self {
            Self::Ascending => ascending,
            Self::Descending => descending,
        }
    }

    /// Returns the bound of a walk over all pkids.
    pub(super) fn start(self) -> String {
        match self {
            Self::Ascending => String::new(),
            Self::Descending => "~".to_owned(),
        }
    }

    /// Returns the bound of a walk that begins with `pkid`.
    fn at(self, pkid: &str) -> String {
        match self {
            Self::Ascending => pkid.to_owned(),
            Self::Descending => successor(pkid),
        }
    }

    /// Returns the bound of a walk that begins after `pkid`.
    pub(super) fn after(self, pkid: &str) -> String {
        match self {
            Self::Ascending => successor(pkid),
            Self::Descending => pkid.to_owned(),
        }
    }

    /// Returns whether a walk with this bound takes `pkid`.
    fn takes(self, bound: &str, pkid: &str) -> bool {
        match self {
            Self::Ascending => pkid >= bound,
            Self::Descending => pkid < bound,
        }
    }
}

/// Limits of the search in a subtree, after which the next strategy is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct SearchLimits {
    /// The number of documents of a subtree that are listed first: the node of one customer.
    pub(super) few: usize,
    /// The number of documents in one step of the walk, in addition to four for each wanted one. They fill the page if
    /// a quarter of the model's documents match.
    pub(super) walked: usize,
    /// The largest number of documents of a subtree that are listed and sorted: a few milliseconds.
    pub(super) listed: usize,
    /// The largest number of matches that are read and sorted by a key: some milliseconds.
    pub(super) sorted: usize,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self {
            few: 64,
            walked: 64,
            listed: 20_000,
            sorted: 5_000,
        }
    }
}

/// Finds the pkids of the first `want` matching documents from the bound `from` on.
pub(super) fn find_pkids(
    connection: &Connection,
    filter: &Filter,
    direction: Direction,
    from: &str,
    want: usize,
    effort: SearchLimits,
) -> Result<Vec<String>> {
    let search = Search {
        connection,
        filter,
        direction,
        effort,
    };
    if let Some((node, Scope::Subtree)) = &filter.hierarchy {
        let subtree = Subtree::new(node);
        if filter.equals.is_empty() || !subtree.is_everything(connection, &filter.model)? {
            return search.subtree(&subtree, from, want);
        }
    }
    search.ordered(from, want)
}

/// Finds all matching documents from the bound `from` on, if at most `max` documents have the filter's first
/// key; `None` when there are more, or the filter has no key.
pub(super) fn find_few(
    connection: &Connection,
    filter: &Filter,
    direction: Direction,
    from: &str,
    max: usize,
) -> Result<Option<Vec<String>>> {
    let Some((first, others)) = filter.equals.split_first() else {
        return Ok(None);
    };
    let search = Search {
        connection,
        filter,
        direction,
        effort: SearchLimits::default(),
    };
    let candidates = search.scan(Source::Key(first), from, max.saturating_add(1))?;
    if candidates.len() > max {
        return Ok(None);
    }
    let mut found = Vec::new();
    for pkid in candidates {
        let is_here = match &filter.hierarchy {
            None => true,
            Some((node, scope)) => {
                find_node(connection, &filter.model, &pkid)?.is_some_and(|path| match scope {
                    Scope::Node => path == node.as_str(),
                    Scope::Subtree => Subtree::new(node).contains(&path),
                })
            }
        };
        if is_here && has_all_keys(connection, &filter.model, others, &pkid)? {
            found.push(pkid);
        }
    }
    Ok(Some(found))
}

/// Counts the matching documents up to `at_most`.
pub(super) fn count(
    connection: &Connection,
    filter: &Filter,
    at_most: u64,
    effort: SearchLimits,
) -> Result<u64> {
    let direction = Direction::Ascending;
    let mut from = direction.start();
    let model = &filter.model;
    let rows = i64::try_from(at_most).unwrap_or(i64::MAX);
    let rows_of = |statement, values: &[&dyn ToSql]| count_rows(connection, statement, values);
    let hierarchy = match &filter.hierarchy {
        Some((node, Scope::Subtree))
            if !filter.equals.is_empty()
                && Subtree::new(node).is_everything(connection, model)? =>
        {
            &None
        }
        hierarchy => hierarchy,
    };
    match (hierarchy, filter.equals.as_slice()) {
        // Without a bound, SQLite counts faster than this code can step through rows.
        (None, []) if at_most == u64::MAX => count_all(connection, COUNT_MODEL, params![model]),
        (None, [Key { name, value }]) if at_most == u64::MAX => {
            count_all(connection, COUNT_KEY, params![model, name, value])
        }
        (None, []) => rows_of(direction.pick(BY_MODEL), params![model, from, rows]),
        (None, [Key { name, value }]) => {
            let values = params![model, from, name, value, rows];
            rows_of(direction.pick(BY_KEY), values)
        }
        (Some((node, scope)), []) => {
            let values = params![model, from, node.as_str(), rows];
            let mut counted = rows_of(direction.pick(BY_NODE), values)?;
            if *scope == Scope::Subtree {
                let (below, end) = Subtree::new(node).below;
                counted += rows_of(BELOW, params![model, below, end, rows])?;
            }
            Ok(counted.min(at_most))
        }
        _ => {
            let mut counted = 0;
            while counted < at_most {
                let left = usize::try_from(at_most - counted).unwrap_or(usize::MAX);
                let step = left.min(COUNT_STEP);
                let pkids = find_pkids(connection, filter, direction, &from, step, effort)?;
                counted += pkids.len() as u64;
                match pkids.last() {
                    Some(last) if pkids.len() == step => from = direction.after(last),
                    _ => break,
                }
            }
            Ok(counted)
        }
    }
}

/// Lists all documents at and below `node`, of every model; `None` when there are more than `max`.
pub(super) fn list_subtree(
    connection: &Connection,
    node: &Hierarchy,
    max: usize,
) -> Result<Option<Vec<Reference>>> {
    let subtree = Subtree::new(node);
    let mut found = Vec::new();
    let mut model = String::new();
    while let Some(next) = next_model(connection, &model)? {
        let left = max.saturating_sub(found.len());
        let Some(pkids) = subtree.list(connection, &next, left)? else {
            return Ok(None);
        };
        for pkid in pkids {
            found.push(Reference::new(next.clone(), parse_pkid(pkid)?));
        }
        model = next;
    }
    Ok(Some(found))
}

/// Finds the node of a document.
pub(super) fn find_node(
    connection: &Connection,
    model: &str,
    pkid: &str,
) -> Result<Option<String>> {
    let place = connection
        .prepare_cached(NODE)?
        .query_row([model, pkid], |row| row.get(0))
        .optional()?;
    Ok(place)
}

/// A node and all nodes below it, as a range of paths.
pub(super) struct Subtree<'a> {
    node: &'a str,
    /// The first path below the node, and the first path after all of them: `/` follows `.`.
    below: (String, String),
}

impl<'a> Subtree<'a> {
    pub(super) fn new(node: &'a Hierarchy) -> Self {
        let node = node.as_str();
        Self {
            node,
            below: (format!("{node}."), format!("{node}/")),
        }
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        path == self.node || path.starts_with(&self.below.0)
    }

    /// Returns whether all documents of the model are in the subtree.
    fn is_everything(&self, connection: &Connection, model: &str) -> Result<bool> {
        let (from, to) = &self.below;
        let mut elsewhere = connection.prepare_cached(ELSEWHERE)?;
        Ok(!elsewhere.exists(params![model, self.node, from, to])?)
    }

    /// Lists the pkids of the model's documents in the subtree, in ascending order; `None` when there
    /// are more than `max`.
    fn list(
        &self,
        connection: &Connection,
        model: &str,
        max: usize,
    ) -> Result<Option<Vec<String>>> {
        let rows = to_sql_limit(max.saturating_add(1));
        let mut pkids = query_texts(
            connection,
            Direction::Ascending.pick(BY_NODE),
            params![model, "", self.node, rows],
        )?;
        let (from, to) = &self.below;
        pkids.extend(query_texts(
            connection,
            BELOW,
            params![model, from, to, rows],
        )?);
        if pkids.len() > max {
            return Ok(None);
        }
        pkids.sort_unstable();
        Ok(Some(pkids))
    }
}

/// Returns whether a document has all keys of the filter.
pub(super) fn has_keys(connection: &Connection, filter: &Filter, pkid: &str) -> Result<bool> {
    has_all_keys(connection, &filter.model, &filter.equals, pkid)
}

fn has_all_keys(connection: &Connection, model: &str, keys: &[Key], pkid: &str) -> Result<bool> {
    for Key { name, value } in keys {
        let mut statement = connection.prepare_cached(HAS_KEY)?;
        if !statement.exists(params![model, name, value, pkid])? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Finds a matching document other than `except`.
pub(super) fn find_other(
    connection: &Connection,
    filter: &Filter,
    except: Option<&Reference>,
) -> Result<Option<String>> {
    let except = except.filter(|except| except.model == filter.model);
    let direction = Direction::Ascending;
    let effort = SearchLimits::default();
    let found = find_pkids(connection, filter, direction, &direction.start(), 2, effort)?;
    Ok(found
        .into_iter()
        .find(|pkid| except.is_none_or(|except| except.pkid.as_str() != pkid)))
}

/// Reads the documents with these pkids.
pub(super) fn fetch(
    connection: &Connection,
    model: &str,
    pkids: impl Iterator<Item = String>,
) -> Result<Vec<Document>> {
    let mut found = Vec::new();
    for pkid in pkids {
        let reference = Reference::new(model, parse_pkid(pkid)?);
        found.extend(documents::get(connection, &reference)?);
    }
    Ok(found)
}

/// Parses a stored pkid.
pub(super) fn parse_pkid(pkid: String) -> Result<Pkid> {
    Pkid::try_from(pkid).map_err(|error| corrupt(error.to_string()))
}

fn next_model(connection: &Connection, after: &str) -> Result<Option<String>> {
    let next = connection
        .prepare_cached(NEXT_MODEL)?
        .query_row([after], |row| row.get(0))?;
    Ok(next)
}

/// Returns a text after `pkid` and before the next one: all pkids have the same length.
fn successor(pkid: &str) -> String {
    format!("{pkid}!")
}

fn query_texts(
    connection: &Connection,
    statement: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(statement)?;
    let rows = statement.query_map(values, |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn count_all(connection: &Connection, statement: &str, values: &[&dyn ToSql]) -> Result<u64> {
    let mut statement = connection.prepare_cached(statement)?;
    let counted: i64 = statement.query_row(values, |row| row.get(0))?;
    Ok(u64::try_from(counted).unwrap_or_default())
}

/// Counts the rows of a statement, which may have a limit.
pub(super) fn count_rows(
    connection: &Connection,
    statement: &str,
    values: &[&dyn ToSql],
) -> Result<u64> {
    count_all(
        connection,
        &format!("SELECT COUNT(*) FROM ({statement})"),
        values,
    )
}

pub(super) fn to_sql_limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
