//! Cursors of listings: where a page ended, bound to the listing that it belongs to.
//!
//! A cursor is base64url of a digest and the position. The digest covers the store and the question
//! that was asked, so that a cursor of another listing, or one that was changed, is refused instead
//! of skipping rows in silence. It guards against mistakes and keeps nothing secret.
//!
//! For whoever implements [`Store`](super::Store): stores that share this have the same cursors.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{SecretScope, StoreError, encoding};
use crate::transactions::TransactionFilter;
use crate::types::{Filter, Hierarchy, Page, Scope};

const DIGEST: usize = 12;

/// The question that a listing answers: the store's id, the listing's name, what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing(Vec<u8>);

impl Listing {
    fn new(parts: &[&str]) -> Self {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        Self(encoding::join(&parts))
    }

    /// [`Store::find`](super::Store::find) with this filter.
    pub fn of_documents(store: &str, filter: &Filter) -> Self {
        let mut parts = vec![store, "documents", &filter.model];
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

    /// [`Store::upcoming`](super::Store::upcoming) at this node, or everywhere.
    pub fn of_wakeups(store: &str, hierarchy: Option<&Hierarchy>) -> Self {
        let mut parts = vec![store, "wakeups"];
        parts.extend(hierarchy.map(Hierarchy::as_str));
        Self::new(&parts)
    }

    /// [`Store::transactions`](super::Store::transactions) with this filter.
    pub fn of_transactions(store: &str, filter: &TransactionFilter) -> Self {
        let mut parts = vec![store, "transactions"];
        if let Some(subject) = &filter.subject {
            parts.extend(["subject", subject.model.as_str(), subject.pkid.as_str()]);
        }
        if let Some(status) = filter.status {
            parts.extend(["status", status.as_str()]);
        }
        if let Some(action) = &filter.action {
            parts.extend(["action", action.as_str()]);
        }
        Self::new(&parts)
    }

    /// [`Store::secrets`](super::Store::secrets) of this scope.
    pub fn of_secrets(store: &str, scope: SecretScope) -> Self {
        let (scope, key) = match scope {
            SecretScope::All => ("all", String::new()),
            SecretScope::NotUnder(key) => ("not under", key.to_string()),
            SecretScope::Quarantined => ("quarantined", String::new()),
        };
        Self::new(&[store, "secrets", scope, &key])
    }

    /// The cursor that continues behind `position`.
    pub fn cursor(&self, position: &[&str]) -> String {
        let parts: Vec<&[u8]> = position.iter().map(|part| part.as_bytes()).collect();
        let position = encoding::join(&parts);
        let mut bytes = self.digest(&position).to_vec();
        bytes.extend_from_slice(&position);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position that `cursor` stands for. Invalid when it is not one of this listing.
    pub fn position<const N: usize>(&self, cursor: &str) -> Result<[String; N], StoreError> {
        self.read(cursor).ok_or_else(StoreError::foreign_cursor)
    }

    fn read<const N: usize>(&self, cursor: &str) -> Option<[String; N]> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (digest, position) = bytes.split_first_chunk::<DIGEST>()?;
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

    fn digest(&self, position: &[u8]) -> [u8; DIGEST] {
        let digest = Sha256::digest(encoding::join(&[&self.0, position]));
        digest.first_chunk::<DIGEST>().copied().unwrap_or_default()
    }
}

/// The length of a page; Invalid when that is 0.
pub fn at_least_one(limit: u32) -> Result<usize, StoreError> {
    match limit {
        0 => Err(StoreError::Invalid(
            "a page of no rows was asked for".to_owned(),
        )),
        limit => Ok(limit as usize),
    }
}

/// The page of these rows, with the cursor behind its last when there are more.
pub fn page<T>((items, more): (Vec<T>, bool), cursor: impl FnOnce(&T) -> String) -> Page<T> {
    let next = items.last().filter(|_| more).map(cursor);
    Page { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_gives_its_position_back_and_any_other_text_is_refused(
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
