//! Searches for documents: one call of a function in the database each. See `functions/search.sql`.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::{PgError, Result, corrupt, require_text};
use super::{Lane, PostgresStore};
use crate::{SortOrder, StoreError};
use relation_types::{Filter, Scope};

const LIST: &str = "SELECT hierarchy, version, body, keys, pkid
    FROM relation.list_documents_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const FIND: &str = "SELECT relation.find_pkids_v1($1, $2, $3, $4, $5, $6, false, $7)";
const COUNT: &str = "SELECT relation.count_documents_v1($1, $2, $3, $4, $5, $6)";

/// A filter as parameters of the functions.
pub(super) struct Search<'a> {
    model: &'a str,
    node: Option<&'a str>,
    subtree: bool,
    names: Vec<&'a str>,
    values: Vec<&'a str>,
}

impl<'a> Search<'a> {
    /// Converts a filter. Refuses texts that cannot be stored.
    pub(super) fn new(filter: &'a Filter) -> Result<Self, StoreError> {
        require_text("the model of a filter", &filter.model)?;
        for key in &filter.equals {
            require_text("the name of a key", &key.name)?;
            require_text("the value of a key", &key.value)?;
        }
        let place = filter.hierarchy.as_ref();
        Ok(Self {
            model: &filter.model,
            node: place.map(|(node, _)| node.as_str()),
            subtree: place.is_some_and(|(_, scope)| *scope == Scope::Subtree),
            names: filter.equals.iter().map(|key| key.name.as_str()).collect(),
            values: filter.equals.iter().map(|key| key.value.as_str()).collect(),
        })
    }

    /// Reads the first `limit` matching documents after a position. If there are more, one more row without a body
    /// follows.
    pub(super) async fn list(
        &self,
        store: &PostgresStore,
        lane: Lane,
        order: &SortOrder,
        after: Option<&(String, String)>,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let (value, pkid) = after
            .map(|(value, pkid)| (value.as_str(), pkid.as_str()))
            .unzip();
        for text in [value, pkid].into_iter().flatten() {
            require_text("the cursor", text)?;
        }
        let limit = to_limit(limit as u64);
        let parameters = [
            (&self.model as _, Type::TEXT),
            (&self.node as _, Type::TEXT),
            (&self.subtree as _, Type::BOOL),
            (&self.names as _, Type::TEXT_ARRAY),
            (&self.values as _, Type::TEXT_ARRAY),
            (&order.key as _, Type::TEXT),
            (&value as _, Type::TEXT),
            (&pkid as _, Type::TEXT),
            (&order.descending as _, Type::BOOL),
            (&limit as _, Type::INT8),
        ];
        store.read(lane, LIST, &parameters).await
    }

    /// Finds the first `want` matching pkids after one.
    pub(super) async fn find_pkids(
        &self,
        store: &PostgresStore,
        after: Option<&str>,
        want: usize,
    ) -> Result<Vec<String>> {
        // All pkids have the same length: this is after `pkid` and before the next one.
        let from = after.map(|pkid| format!("{pkid}!")).unwrap_or_default();
        require_text("the cursor", &from)?;
        let want = to_limit(want as u64);
        let parameters = [
            (&self.model as _, Type::TEXT),
            (&self.node as _, Type::TEXT),
            (&self.subtree as _, Type::BOOL),
            (&self.names as _, Type::TEXT_ARRAY),
            (&self.values as _, Type::TEXT_ARRAY),
            (&from as _, Type::TEXT),
            (&want as _, Type::INT8),
        ];
        let rows = store.read(Lane::Slow, FIND, &parameters).await?;
        let row = rows.first().ok_or_else(no_row)?;
        Ok(row.try_get(0)?)
    }

    /// Counts the matching documents up to `at_most`.
    pub(super) async fn count(&self, store: &PostgresStore, at_most: u64) -> Result<u64> {
        let most = to_limit(at_most);
        let parameters = [
            (&self.model as _, Type::TEXT),
            (&self.node as _, Type::TEXT),
            (&self.subtree as _, Type::BOOL),
            (&self.names as _, Type::TEXT_ARRAY),
            (&self.values as _, Type::TEXT_ARRAY),
            (&most as _, Type::INT8),
        ];
        let rows = store.read(Lane::Slow, COUNT, &parameters).await?;
        let counted: i64 = rows.first().ok_or_else(no_row)?.try_get(0)?;
        Ok(u64::try_from(counted).unwrap_or_default())
    }
}

/// Returns whether a page is short work: whether an index gives it, as far as the filter shows.
pub(super) fn is_short(filter: &Filter, order: &SortOrder) -> bool {
    let is_below = matches!(filter.hierarchy, Some((_, Scope::Subtree)));
    match order.key {
        None => !filter.equals.is_empty() || !is_below,
        Some(_) => filter.equals.is_empty(),
    }
}

fn to_limit(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn no_row() -> PgError {
    corrupt("a function of the database has returned no row")
}
