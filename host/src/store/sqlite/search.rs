//! Finding documents by model, place and keys, in the order of their pkids.
//!
//! Each condition but the subtree is a range of an index that is ordered by pkid. Several of them are
//! walked side by side: whichever is behind seeks to where the one in front is, so the cost follows
//! the condition that the fewest documents meet.
//!
//! A subtree is no such range. When it holds a handful of documents, they are listed and sorted. When
//! not, it is taken as a filter on the walk, which fills a page at once if much of the model lies
//! below the node. If it does not, all below the node are listed after all, up to a bound. When they
//! are more than that, the walk goes on: by then one in so many documents is a match that it cannot
//! be long, pkids being random.

use rusqlite::{Connection, OptionalExtension, params};

use super::documents;
use super::fault::{Done, corrupt};
use crate::types::{Document, Filter, Hierarchy, Key, Pkid, Reference, Scope};

const BY_MODEL: &str =
    "SELECT pkid FROM documents WHERE model = ?1 AND pkid >= ?2 ORDER BY pkid LIMIT ?3";
const BY_NODE: &str = "SELECT pkid FROM documents
    WHERE model = ?1 AND hierarchy = ?3 AND pkid >= ?2 ORDER BY pkid LIMIT ?4";
const BY_KEY: &str = "SELECT pkid FROM document_keys
    WHERE model = ?1 AND name = ?3 AND value = ?4 AND pkid >= ?2 ORDER BY pkid LIMIT ?5";
const PLACES: &str =
    "SELECT pkid, hierarchy FROM documents WHERE model = ?1 AND pkid >= ?2 ORDER BY pkid LIMIT ?3";
const PLACE: &str = "SELECT hierarchy FROM documents WHERE model = ?1 AND pkid = ?2";
const BELOW: &str = "SELECT pkid FROM documents
    WHERE model = ?1 AND hierarchy >= ?2 AND hierarchy < ?3 LIMIT ?4";
const HAS_KEY: &str = "SELECT 1 FROM document_keys
    WHERE model = ?1 AND name = ?2 AND value = ?3 AND pkid = ?4";
const NEXT_MODEL: &str = "SELECT MIN(model) FROM documents WHERE model > ?1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    BY_MODEL, BY_NODE, BY_KEY, PLACES, PLACE, BELOW, HAS_KEY, NEXT_MODEL,
];

/// How much is done for one page of a subtree before the next way is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// The documents of a subtree that are listed before anything else: the node of one customer.
    pub(super) few: usize,
    /// The documents walked over at once, besides four for each that is wanted: enough to fill the
    /// page when a quarter of the model's documents match.
    pub(super) walked: usize,
    /// The documents of a subtree that are listed and sorted at most: a few milliseconds.
    pub(super) listed: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            few: 64,
            walked: 64,
            listed: 20_000,
        }
    }
}

/// The pkids of the first `want` documents that match, in ascending order, none before `from`.
pub(super) fn pkids(
    connection: &Connection,
    filter: &Filter,
    from: &str,
    want: usize,
    effort: Effort,
) -> Done<Vec<String>> {
    let search = Search {
        connection,
        filter,
        effort,
    };
    match &filter.hierarchy {
        Some((node, Scope::Subtree)) => search.subtree(&Subtree::of(node), from, want),
        _ => search.ordered(from, want),
    }
}

/// All documents at `node` and below it, of every model; none when they are more than `most`.
pub(super) fn everything_at(
    connection: &Connection,
    node: &Hierarchy,
    most: usize,
) -> Done<Option<Vec<Reference>>> {
    let subtree = Subtree::of(node);
    let mut found = Vec::new();
    let mut model = String::new();
    while let Some(next) = next_model(connection, &model)? {
        let left = most.saturating_sub(found.len());
        let Some(pkids) = subtree.list(connection, &next, left)? else {
            return Ok(None);
        };
        for pkid in pkids {
            let pkid = Pkid::try_from(pkid).map_err(|error| corrupt(error.to_string()))?;
            found.push(Reference::new(next.clone(), pkid));
        }
        model = next;
    }
    Ok(Some(found))
}

/// The node that a document belongs to.
pub(super) fn place(connection: &Connection, model: &str, pkid: &str) -> Done<Option<String>> {
    let place = connection
        .prepare_cached(PLACE)?
        .query_row([model, pkid], |row| row.get(0))
        .optional()?;
    Ok(place)
}

/// A node and everything below it, as a range of paths.
pub(super) struct Subtree<'a> {
    node: &'a str,
    /// The first path below the node, and the first behind them: `.` is followed by `/`.
    below: (String, String),
}

impl<'a> Subtree<'a> {
    pub(super) fn of(node: &'a Hierarchy) -> Self {
        let node = node.as_str();
        Self {
            node,
            below: (format!("{node}."), format!("{node}/")),
        }
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        path == self.node || path.starts_with(&self.below.0)
    }

    /// The pkids of the model's documents here, in ascending order; none when they are more than
    /// `most`.
    fn list(&self, connection: &Connection, model: &str, most: usize) -> Done<Option<Vec<String>>> {
        let rows = limit(most.saturating_add(1));
        let mut pkids = texts(connection, BY_NODE, params![model, "", self.node, rows])?;
        let (from, to) = &self.below;
        pkids.extend(texts(connection, BELOW, params![model, from, to, rows])?);
        if pkids.len() > most {
            return Ok(None);
        }
        pkids.sort_unstable();
        Ok(Some(pkids))
    }
}

/// An index range that is ordered by pkid.
#[derive(Clone, Copy)]
enum Source<'a> {
    Model,
    Node(&'a str),
    Key(&'a Key),
}

struct Search<'a> {
    connection: &'a Connection,
    filter: &'a Filter,
    effort: Effort,
}

impl<'a> Search<'a> {
    /// The ranges that a match must lie in, the subtree left aside.
    fn sources(&self) -> Vec<Source<'a>> {
        let mut sources: Vec<Source<'a>> = self.filter.equals.iter().map(Source::Key).collect();
        if let Some((node, Scope::Node)) = &self.filter.hierarchy {
            sources.push(Source::Node(node.as_str()));
        }
        if sources.is_empty() {
            sources.push(Source::Model);
        }
        sources
    }

    fn ordered(&self, from: &str, want: usize) -> Done<Vec<String>> {
        let sources = self.sources();
        if let [source] = sources.as_slice() {
            return self.range(*source, from, want);
        }
        let mut found = Vec::new();
        let mut from = from.to_owned();
        while found.len() < want {
            let Some(next) = self.meet(&sources, &from)? else {
                break;
            };
            from = behind(&next);
            found.push(next);
        }
        Ok(found)
    }

    /// The first pkid that all sources have, none before `from`.
    fn meet(&self, sources: &[Source<'_>], from: &str) -> Done<Option<String>> {
        let mut from = from.to_owned();
        let mut candidate: Option<String> = None;
        let mut agreed = 0;
        for source in sources.iter().cycle() {
            if agreed == sources.len() {
                break;
            }
            let Some(next) = self.range(*source, &from, 1)?.pop() else {
                return Ok(None);
            };
            if candidate.as_ref() == Some(&next) {
                agreed += 1;
            } else {
                from.clone_from(&next);
                candidate = Some(next);
                agreed = 1;
            }
        }
        Ok(candidate)
    }

    fn range(&self, source: Source<'_>, from: &str, want: usize) -> Done<Vec<String>> {
        let (connection, model, rows) = (self.connection, &self.filter.model, limit(want));
        match source {
            Source::Model => texts(connection, BY_MODEL, params![model, from, rows]),
            Source::Node(node) => texts(connection, BY_NODE, params![model, from, node, rows]),
            Source::Key(Key { name, value }) => {
                texts(connection, BY_KEY, params![model, from, name, value, rows])
            }
        }
    }

    fn subtree(&self, subtree: &Subtree<'_>, from: &str, want: usize) -> Done<Vec<String>> {
        let chunk = want.saturating_mul(4).saturating_add(self.effort.walked);
        let mut walk = Walk {
            from: from.to_owned(),
            ended: false,
        };
        let mut found = Vec::new();
        let Effort { few, listed, .. } = self.effort;
        walk.ended = self.list(subtree, few, &walk, want, &mut found)?;
        let mut listing = true;
        while found.len() < want && !walk.ended {
            self.step(&mut walk, subtree, chunk, &mut found)?;
            if listing && found.len() < want && !walk.ended {
                walk.ended = self.list(subtree, listed, &walk, want, &mut found)?;
                listing = false;
            }
        }
        found.truncate(want);
        Ok(found)
    }

    /// Walks over the next `chunk` documents and keeps those of the subtree.
    fn step(
        &self,
        walk: &mut Walk,
        subtree: &Subtree<'_>,
        chunk: usize,
        found: &mut Vec<String>,
    ) -> Done<()> {
        let places = self.places(&walk.from, chunk)?;
        walk.ended = places.len() < chunk;
        if let Some((last, _)) = places.last() {
            walk.from = behind(last);
        }
        let here = places
            .into_iter()
            .filter(|(_, path)| subtree.contains(path));
        found.extend(here.map(|(pkid, _)| pkid));
        Ok(())
    }

    fn places(&self, from: &str, chunk: usize) -> Done<Vec<(String, String)>> {
        let (connection, model) = (self.connection, &self.filter.model);
        if self.filter.equals.is_empty() {
            let mut statement = connection.prepare_cached(PLACES)?;
            let rows = statement.query_map(params![model, from, limit(chunk)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            return Ok(rows.collect::<Result<_, _>>()?);
        }
        let mut places = Vec::new();
        for pkid in self.ordered(from, chunk)? {
            let path = place(connection, model, &pkid)?
                .ok_or_else(|| corrupt(format!("a key of {model}/{pkid} has no document")))?;
            places.push((pkid, path));
        }
        Ok(places)
    }

    /// Finds the rest of the page among all documents of the subtree, unless they are more than
    /// `most`; whether that was done.
    fn list(
        &self,
        subtree: &Subtree<'_>,
        most: usize,
        walk: &Walk,
        want: usize,
        found: &mut Vec<String>,
    ) -> Done<bool> {
        let Some(listed) = subtree.list(self.connection, &self.filter.model, most)? else {
            return Ok(false);
        };
        for pkid in listed.into_iter().filter(|pkid| *pkid >= walk.from) {
            if found.len() >= want {
                break;
            }
            if self.has_keys(&pkid)? {
                found.push(pkid);
            }
        }
        Ok(true)
    }

    fn has_keys(&self, pkid: &str) -> Done<bool> {
        for Key { name, value } in &self.filter.equals {
            let mut statement = self.connection.prepare_cached(HAS_KEY)?;
            if !statement.exists(params![self.filter.model, name, value, pkid])? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// How far a walk over the documents of a model has come.
struct Walk {
    from: String,
    ended: bool,
}

/// Whether a document other than `except` matches.
pub(super) fn any_other(
    connection: &Connection,
    filter: &Filter,
    except: Option<&Reference>,
) -> Done<Option<String>> {
    let except = except.filter(|except| except.model == filter.model);
    let found = pkids(connection, filter, "", 2, Effort::default())?;
    Ok(found
        .into_iter()
        .find(|pkid| except.is_none_or(|except| except.pkid.as_str() != pkid)))
}

/// The documents with these pkids.
pub(super) fn fetch(
    connection: &Connection,
    model: &str,
    pkids: Vec<String>,
) -> Done<Vec<Document>> {
    let mut found = Vec::with_capacity(pkids.len());
    for pkid in pkids {
        let pkid = Pkid::try_from(pkid).map_err(|error| corrupt(error.to_string()))?;
        found.extend(documents::get(connection, &Reference::new(model, pkid))?);
    }
    Ok(found)
}

fn next_model(connection: &Connection, after: &str) -> Done<Option<String>> {
    let next = connection
        .prepare_cached(NEXT_MODEL)?
        .query_row([after], |row| row.get(0))?;
    Ok(next)
}

/// Behind `pkid` and before the next one: pkids are all of the same length.
pub(super) fn behind(pkid: &str) -> String {
    format!("{pkid}!")
}

fn texts(
    connection: &Connection,
    statement: &str,
    values: impl rusqlite::Params,
) -> Done<Vec<String>> {
    let mut statement = connection.prepare_cached(statement)?;
    let rows = statement.query_map(values, |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
