//! Cursors of listings: the position where a page ended, bound to its listing.
//!
//! A cursor is the base64url of a digest and the position. The digest covers the store and the query. A
//! changed cursor, or a cursor of another listing, is therefore refused instead of silently skipping
//! rows. The digest prevents mistakes; it does not hide anything.
//!
//! Implementations of [`Store`](super::Store) can share this module to get the same cursors.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{SecretScope, SortOrder, StoreError, encoding};
use relation_types::transactions::TransactionFilter;
use relation_types::{Document, Filter, Hierarchy, Page, Scope};

const DIGEST_BYTES: usize = 12;

/// The identity of a listing: the store's id, the listing's name and the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing(Vec<u8>);

impl Listing {
    fn new(parts: &[&str]) -> Self {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        Self(encoding::join(&parts))
    }

    /// Identifies [`DocumentStore::list`](super::DocumentStore::list) with this filter and order.
    pub fn for_documents(store: &str, filter: &Filter, order: &SortOrder) -> Self {
        let mut parts = match (&order.key, order.descending) {
            (None, false) => vec![store, "documents"],
            (None, true) => vec![store, "documents descending"],
            (Some(key), false) => vec![store, "documents by key", key],
            (Some(key), true) => vec![store, "documents by key descending", key],
        };
        parts.push(&filter.model);
        match &filter.hierarchy {
            None => parts.push("anywhere"),
            Some((node, Scope::Node)) => parts.extend(["node", node.as_str()]),
            Some((node, Scope::Subtree)) => parts.extend(["subtree", node.as_str()]),
        }
        for key in &filter.equals {
            parts.extend([key.name.as_str(), key.value.as_str()]);
        }
        Self::new(&parts)
    }

    /// Identifies [`WakeupStore::upcoming`](super::WakeupStore::upcoming) at this node, or everywhere.
    pub fn for_wakeups(store: &str, hierarchy: Option<&Hierarchy>) -> Self {
        let mut parts = vec![store, "wakeups"];
        parts.extend(hierarchy.map(Hierarchy::as_str));
        Self::new(&parts)
    }

    /// Identifies [`TransactionStore::transactions`](super::TransactionStore::transactions) with this filter.
    pub fn for_transactions(store: &str, filter: &TransactionFilter) -> Self {
        let mut parts = vec![store, "transactions"];
        if let Some(subject) = &filter.subject {
            parts.extend(["subject", subject.model.as_str(), subject.pkid.as_str()]);
        }
        match &filter.hierarchy {
            None => {}
            Some((node, Scope::Node)) => parts.extend(["node", node.as_str()]),
            Some((node, Scope::Subtree)) => parts.extend(["subtree", node.as_str()]),
        }
        if let Some(status) = filter.status {
            parts.extend(["status", status.as_str()]);
        }
        if let Some(action) = &filter.action {
            parts.extend(["action", action.as_str()]);
        }
        if let Some(prefix) = &filter.id_prefix {
            parts.extend(["id", prefix.as_str()]);
        }
        if let Some(parent) = &filter.parent {
            parts.extend(["parent", parent.as_str()]);
        }
        Self::new(&parts)
    }

    /// Identifies [`KeyStore::secrets`](super::KeyStore::secrets) of this scope.
    pub fn for_secrets(store: &str, scope: SecretScope) -> Self {
        let (scope, key) = match scope {
            SecretScope::All => ("all", String::new()),
            SecretScope::NotSealedWith(key) => ("not under", key.to_string()),
            SecretScope::Quarantined => ("quarantined", String::new()),
        };
        Self::new(&[store, "secrets", scope, &key])
    }

    /// Returns the cursor that continues this listing of documents after `last`.
    pub fn document_cursor(&self, order: &SortOrder, last: &Document) -> String {
        let (value, pkid) = order.position(last).unwrap_or_default();
        match order.key {
            None => self.cursor(&[pkid]),
            Some(_) => self.cursor(&[value, pkid]),
        }
    }

    /// Returns the position of `cursor` in this listing of documents, like [`SortOrder::position`].
    pub fn document_position(
        &self,
        order: &SortOrder,
        cursor: &str,
    ) -> Result<(String, String), StoreError> {
        match order.key {
            None => {
                let [pkid] = self.position(cursor)?;
                Ok((String::new(), pkid))
            }
            Some(_) => {
                let [value, pkid] = self.position(cursor)?;
                Ok((value, pkid))
            }
        }
    }

    /// Returns the cursor that continues after `position`.
    pub fn cursor(&self, position: &[&str]) -> String {
        let parts: Vec<&[u8]> = position.iter().map(|part| part.as_bytes()).collect();
        let position = encoding::join(&parts);
        let mut bytes = self.digest(&position).to_vec();
        bytes.extend_from_slice(&position);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Returns the position of `cursor`. Fails with [`StoreError::Invalid`] when the cursor belongs to
    /// another listing.
    pub fn position<const N: usize>(&self, cursor: &str) -> Result<[String; N], StoreError> {
        self.read(cursor).ok_or_else(StoreError::foreign_cursor)
    }

    fn read<const N: usize>(&self, cursor: &str) -> Option<[String; N]> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (digest, position) = bytes.split_first_chunk::<DIGEST_BYTES>()?;
        if *digest != self.digest(position) {
            return None;
        }
        let parts = encoding::split(position)?;
        let parts: Option<Vec<String>> = parts
            .into_iter()
            .map(|part| String::from_utf8(part.to_vec()).ok())
            .collect();
        parts?.try_into().ok()
    }

    fn digest(&self, position: &[u8]) -> [u8; DIGEST_BYTES] {
        let digest = Sha256::digest(encoding::join(&[&self.0, position]));
        digest
            .first_chunk::<DIGEST_BYTES>()
            .copied()
            .unwrap_or_default()
    }
}

/// Checks the length of a page. Fails with [`StoreError::Invalid`] when it is 0.
pub fn validate_limit(limit: u32) -> Result<usize, StoreError> {
    match limit {
        0 => Err(StoreError::Invalid(
            "a page must have at least one row".to_owned(),
        )),
        limit => Ok(limit as usize),
    }
}

/// Builds a page of these rows. If there are more rows, the page gets a cursor after its last row.
pub fn build_page<T>((items, more): (Vec<T>, bool), cursor: impl FnOnce(&T) -> String) -> Page<T> {
    let next = items.last().filter(|_| more).map(cursor);
    Page { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursor_roundtrips_and_changed_text_is_refused(
            position in "[ -~]{0,40}",
            at in any::<prop::sample::Index>(),
            with in "[A-Za-z0-9_-]",
        ) {
            let listing = Listing::new(&["store", "documents", "model"]);
            let cursor = listing.cursor(&[&position]);
            prop_assert_eq!(listing.position::<1>(&cursor).unwrap(), [position]);

            let at = at.index(cursor.len());
            let mut changed = cursor.clone();
            changed.replace_range(at..=at, &with);
            if changed != cursor {
                prop_assert!(listing.position::<1>(&changed).is_err());
            }
        }
    }

    #[test]
    fn a_cursor_of_another_listing_is_refused() {
        let cursor = Listing::new(&["store", "documents", "a"]).cursor(&["x"]);
        let other = Listing::new(&["store", "documents", "b"]);
        assert!(other.position::<1>(&cursor).is_err());
    }
}
