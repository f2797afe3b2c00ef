//! Walks over the ranges of a search: in the order of pkids, merged, or within a subtree.

use rusqlite::{Connection, params};

use super::{
    BY_KEY, BY_MODEL, BY_NODE, Direction, NODES, SearchLimits, Subtree, find_node, has_keys,
    query_texts, to_sql_limit,
};
use crate::sqlite::error::{Result, corrupt};
use relation_types::{Filter, Key, Scope};

/// An index range that is ordered by pkid.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Model,
    Node(&'a str),
    Key(&'a Key),
}

pub(super) struct Search<'a> {
    pub(super) connection: &'a Connection,
    pub(super) filter: &'a Filter,
    pub(super) direction: Direction,
    pub(super) effort: SearchLimits,
}

impl<'a> Search<'a> {
    /// Returns the ranges that contain all matches, except for the subtree.
    fn list_sources(&self) -> Vec<Source<'a>> {
        let mut sources: Vec<Source<'a>> = self.filter.equals.iter().map(Source::Key).collect();
        if let Some((node, Scope::Node)) = &self.filter.hierarchy {
            sources.push(Source::Node(node.as_str()));
        }
        if sources.is_empty() {
            sources.push(Source::Model);
        }
        sources
    }

    pub(super) fn ordered(&self, from: &str, want: usize) -> Result<Vec<String>> {
        let sources = self.list_sources();
        if let [source] = sources.as_slice() {
            return self.scan(*source, from, want);
        }
        let mut found: Vec<String> = Vec::new();
        let mut from = from.to_owned();
        // The length of the next run: 0 after a pkid that one of the sources lacks.
        let mut run = 0_usize;
        while found.len() < want {
            let length = run.min(want - found.len());
            let common = self.common_run(&sources, &from, length)?;
            run = match common.len() {
                0 => 0,
                all if all == length => run.saturating_mul(2),
                _ => 1,
            };
            found.extend(common);
            if run == 0 {
                let Some((next, is_first)) = self.next_common(&sources, &from)? else {
                    break;
                };
                run = usize::from(is_first);
                found.push(next);
            }
            if let Some(last) = found.last() {
                from = self.direction.after(last);
            }
        }
        Ok(found)
    }

    /// Finds the pkids from the bound `from` on that come first in all sources, at most `length`. Reads them with one
    /// statement for each source, while [`next_common`](Self::next_common) needs one for each pkid.
    fn common_run(&self, sources: &[Source<'_>], from: &str, length: usize) -> Result<Vec<String>> {
        let Some((first, others)) = sources.split_first().filter(|_| length > 0) else {
            return Ok(Vec::new());
        };
        let mut common = self.scan(*first, from, length)?;
        for source in others {
            let other = self.scan(*source, from, common.len())?;
            let pairs = common.iter().zip(&other);
            common.truncate(pairs.take_while(|(one, other)| one == other).count());
        }
        Ok(common)
    }

    /// Finds the first pkid from the bound `from` on that all sources contain. Also returns whether it is the first one
    /// of every source.
    fn next_common(&self, sources: &[Source<'_>], from: &str) -> Result<Option<(String, bool)>> {
        let mut from = from.to_owned();
        let mut candidate: Option<String> = None;
        let mut agreed = 0;
        let mut scans = 0_usize;
        for source in sources.iter().cycle() {
            if agreed == sources.len() {
                break;
            }
            scans += 1;
            let Some(next) = self.scan(*source, &from, 1)?.pop() else {
                return Ok(None);
            };
            if candidate.as_ref() == Some(&next) {
                agreed += 1;
            } else {
                from = self.direction.at(&next);
                candidate = Some(next);
                agreed = 1;
            }
        }
        Ok(candidate.map(|next| (next, scans == sources.len())))
    }

    pub(super) fn scan(&self, source: Source<'_>, from: &str, want: usize) -> Result<Vec<String>> {
        let (connection, model, rows) = (self.connection, &self.filter.model, to_sql_limit(want));
        let pick = |statements| self.direction.pick(statements);
        match source {
            Source::Model => query_texts(connection, pick(BY_MODEL), params![model, from, rows]),
            Source::Node(node) => {
                query_texts(connection, pick(BY_NODE), params![model, from, node, rows])
            }
            Source::Key(Key { name, value }) => query_texts(
                connection,
                pick(BY_KEY),
                params![model, from, name, value, rows],
            ),
        }
    }

    pub(super) fn subtree(
        &self,
        subtree: &Subtree<'_>,
        from: &str,
        want: usize,
    ) -> Result<Vec<String>> {
        let chunk = want.saturating_mul(4).saturating_add(self.effort.walked);
        let mut walk = Walk {
            from: from.to_owned(),
            ended: false,
        };
        let mut found = Vec::new();
        let SearchLimits { few, listed, .. } = self.effort;
        walk.ended = self.list(subtree, few, &walk, want, &mut found)?;
        let mut listing = true;
        while found.len() < want && !walk.ended {
            self.walk_chunk(&mut walk, subtree, chunk, &mut found)?;
            if listing && found.len() < want && !walk.ended {
                walk.ended = self.list(subtree, listed, &walk, want, &mut found)?;
                listing = false;
            }
        }
        found.truncate(want);
        Ok(found)
    }

    /// Walks over the next `chunk` documents and collects those in the subtree.
    fn walk_chunk(
        &self,
        walk: &mut Walk,
        subtree: &Subtree<'_>,
        chunk: usize,
        found: &mut Vec<String>,
    ) -> Result<()> {
        let places = self.scan_nodes(&walk.from, chunk)?;
        walk.ended = places.len() < chunk;
        if let Some((last, _)) = places.last() {
            walk.from = self.direction.after(last);
        }
        let here = places
            .into_iter()
            .filter(|(_, path)| subtree.contains(path));
        found.extend(here.map(|(pkid, _)| pkid));
        Ok(())
    }

    fn scan_nodes(&self, from: &str, chunk: usize) -> Result<Vec<(String, String)>> {
        let (connection, model) = (self.connection, &self.filter.model);
        if self.filter.equals.is_empty() {
            let mut statement = connection.prepare_cached(self.direction.pick(NODES))?;
            let rows = statement.query_map(params![model, from, to_sql_limit(chunk)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            return Ok(rows.collect::<Result<_, _>>()?);
        }
        let mut places = Vec::new();
        for pkid in self.ordered(from, chunk)? {
            let path = find_node(connection, model, &pkid)?
                .ok_or_else(|| corrupt(format!("a key of {model}/{pkid} has no document")))?;
            places.push((pkid, path));
        }
        Ok(places)
    }

    /// Completes the page from a list of all documents of the subtree, unless there are more than
    /// `max`; returns whether it did.
    fn list(
        &self,
        subtree: &Subtree<'_>,
        max: usize,
        walk: &Walk,
        want: usize,
        found: &mut Vec<String>,
    ) -> Result<bool> {
        let Some(mut listed) = subtree.list(self.connection, &self.filter.model, max)? else {
            return Ok(false);
        };
        if self.direction == Direction::Descending {
            listed.reverse();
        }
        for pkid in listed {
            if found.len() >= want {
                break;
            }
            if self.direction.takes(&walk.from, &pkid)
                && has_keys(self.connection, self.filter, &pkid)?
            {
                found.push(pkid);
            }
        }
        Ok(true)
    }
}

/// The position of a walk over the documents of a model.
struct Walk {
    from: String,
    ended: bool,
}
