//! Stores that return documents other than those written.

use relation_host::store::layer::StoreLayer;
use relation_host::store::{Change, Check, Commit, Store, StoreError};
use relation_host::types::{Document, Hierarchy, Reference};

use super::store;

/// A defect of reading documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DocumentDefect {
    /// Returns empty documents for missing ones.
    Invents,
    /// Replaces characters beyond ASCII by question marks.
    ManglesText,
    /// Starts versions at 0.
    CountsFromZero,
    /// Keeps the keys of the first put.
    KeepsKeys,
    /// Returns several documents in reverse order.
    ReversesOrder,
    /// Returns bodies without white space.
    RewritesBodies,
}

impl StoreLayer for DocumentDefect {
    async fn get(
        &self,
        inner: &dyn Store,
        references: &[Reference],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        let mut found = inner.get(references).await?;
        match self {
            Self::Invents => {
                for (found, reference) in found.iter_mut().zip(references) {
                    found.get_or_insert_with(|| empty(reference));
                }
            }
            Self::ManglesText => found.iter_mut().flatten().for_each(mangle),
            Self::CountsFromZero => {
                for document in found.iter_mut().flatten() {
                    document.version -= 1;
                }
            }
            Self::ReversesOrder => found.reverse(),
            Self::RewritesBodies => {
                for document in found.iter_mut().flatten() {
                    document.body.retain(|letter| letter != ' ');
                }
            }
            Self::KeepsKeys => {}
        }
        Ok(found)
    }

    async fn commit(&self, inner: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        match self {
            Self::CountsFromZero => {
                for check in &mut commit.checks {
                    if let Check::Version(_, version) = check {
                        *version += 1;
                    }
                }
            }
            Self::KeepsKeys => {
                for change in &mut commit.changes {
                    if let Change::Put(document) = change {
                        let old = inner.get(std::slice::from_ref(&document.reference)).await?;
                        if let Some(old) = old.into_iter().flatten().next() {
                            document.keys = old.keys;
                        }
                    }
                }
            }
            _ => {}
        }
        inner.commit(commit).await
    }
}

fn empty(reference: &Reference) -> Document {
    Document {
        reference: reference.clone(),
        hierarchy: Hierarchy::try_from("sys".to_owned()).unwrap(),
        version: 1,
        body: "{}".to_owned(),
        keys: Vec::new(),
    }
}

fn mangle(document: &mut Document) {
    let ascii = |text: &str| text.replace(|letter: char| !letter.is_ascii(), "?");
    document.body = ascii(&document.body);
    for key in &mut document.keys {
        key.value = ascii(&key.value);
    }
}

broken_hosts! {
    get_invents_documents: store(DocumentDefect::Invents) => ["storage.get.absent"];
    text_is_mangled: store(DocumentDefect::ManglesText) => ["storage.put.content"];
    versions_count_from_zero: store(DocumentDefect::CountsFromZero) => ["storage.put.version"];
    put_keeps_old_keys: store(DocumentDefect::KeepsKeys) => ["storage.put.keys"];
    bodies_are_rewritten: store(DocumentDefect::RewritesBodies) => ["storage.compare"];
    get_many_reverses_the_order: store(DocumentDefect::ReversesOrder) => ["storage.get-many.order"];
}
