//! Documents: how they are read.

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::{PgError, Result, corrupt, from_sql_count, parse_hierarchy, require_text};
use super::search::{Search, is_short};
use super::{Lane, PostgresStore, commit};
use crate::cursor::{Listing, build_page, validate_limit};
use crate::{Commit, DocumentStore, SortOrder, StoreError};
use relation_types::{Document, Filter, Key, Page, Pkid, Reference};

const GET: &str = "SELECT d.hierarchy, d.version, d.body, d.keys FROM relation.documents AS d
    WHERE d.model = $1 AND d.pkid = $2";
const GET_SEVERAL: &str = "SELECT d.hierarchy, d.version, d.body, d.keys
    FROM unnest($1, $2) WITH ORDINALITY AS r (model, pkid, number)
    LEFT JOIN LATERAL (
        SELECT * FROM relation.documents AS d WHERE d.model = r.model AND d.pkid = r.pkid OFFSET 0
    ) AS d ON true ORDER BY r.number";

#[async_trait]
impl DocumentStore for PostgresStore {
    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError> {
        for reference in references {
            require_text("the model of a document", &reference.model)?;
        }
        match references {
            [] => Ok(Vec::new()),
            [one] => {
                let pkid = one.pkid.as_str();
                let parameters = [(&one.model as _, Type::TEXT), (&pkid as _, Type::TEXT)];
                let rows = self.read(Lane::Read, GET, &parameters).await?;
                let found = rows.first().map(|row| read_document(row, one));
                Ok(vec![found.transpose()?.flatten()])
            }
            several => {
                let models: Vec<&str> = several.iter().map(|one| one.model.as_str()).collect();
                let pkids: Vec<&str> = several.iter().map(|one| one.pkid.as_str()).collect();
                let parameters = [
                    (&models as _, Type::TEXT_ARRAY),
                    (&pkids as _, Type::TEXT_ARRAY),
                ];
                let rows = self.read(Lane::Read, GET_SEVERAL, &parameters).await?;
                let found = rows.iter().zip(several);
                let found = found.map(|(row, one)| read_document(row, one));
                Ok(found.collect::<Result<_>>()?)
            }
        }
    }

    async fn list(
        &self,
        filter: &Filter,
        order: &SortOrder,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let limit = validate_limit(limit)?;
        order.validate(&filter.model)?;
        let listing = Listing::for_documents(&self.id, filter, order);
        let after = match cursor {
            Some(cursor) => Some(listing.document_position(order, cursor)?),
            None => None,
        };
        let lane = if is_short(filter, order) {
            Lane::Read
        } else {
            Lane::Slow
        };
        let rows = Search::new(filter)?
            .list(self, lane, order, after.as_ref(), limit)
            .await?;
        let more = rows.len() > limit;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows.iter().take(limit) {
            let pkid: String = row.try_get(4).map_err(PgError::from)?;
            let reference = Reference::new(&filter.model, parse_pkid(pkid)?);
            found.extend(read_document(row, &reference)?);
        }
        Ok(build_page((found, more), |last: &Document| {
            listing.document_cursor(order, last)
        }))
    }

    async fn find_pkids(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Pkid>, StoreError> {
        let limit = validate_limit(limit)?;
        let order = SortOrder::default();
        let listing = Listing::for_documents(&self.id, filter, &order);
        let after = match cursor {
            Some(cursor) => Some(listing.document_position(&order, cursor)?.1),
            None => None,
        };
        let found = Search::new(filter)?
            .find_pkids(self, after.as_deref(), limit + 1)
            .await?;
        let more = found.len() > limit;
        let pkids = found.into_iter().take(limit).map(parse_pkid);
        let pkids = pkids.collect::<Result<Vec<_>>>()?;
        Ok(build_page((pkids, more), |last: &Pkid| {
            listing.cursor(&[last.as_str()])
        }))
    }

    async fn count(&self, filter: &Filter, at_most: u64) -> Result<u64, StoreError> {
        Ok(Search::new(filter)?.count(self, at_most).await?)
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        commit.validate()?;
        commit::commit(self, &commit).await
    }
}

/// Reads a document from its node, version, body and keys; `None` when all are NULL.
pub(super) fn read_document(row: &Row, reference: &Reference) -> Result<Option<Document>> {
    let Some(node) = row.try_get::<_, Option<String>>(0)? else {
        return Ok(None);
    };
    Ok(Some(Document {
        reference: reference.clone(),
        hierarchy: parse_hierarchy(node, reference)?,
        version: from_sql_count(row.try_get(1)?, "a version")?,
        body: row.try_get(2)?,
        keys: decode_keys(row.try_get(3)?, reference)?,
    }))
}

/// Decodes keys from JSON: `[["name","value"],…]`.
fn decode_keys(text: &str, reference: &Reference) -> Result<Vec<Key>> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text)
        .map_err(|error| corrupt(format!("the keys of {reference}: {error}")))?;
    Ok(pairs
        .into_iter()
        .map(|(name, value)| Key { name, value })
        .collect())
}

/// Parses a stored pkid.
fn parse_pkid(pkid: String) -> Result<Pkid> {
    Pkid::try_from(pkid).map_err(|error| corrupt(error.to_string()))
}
