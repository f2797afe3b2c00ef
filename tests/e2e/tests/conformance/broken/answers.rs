//! Stores whose documents are not what was written.

use relation_host::store::layer::StoreLayer;
use relation_host::store::{Change, Check, Commit, Store, StoreError};
use relation_host::types::{Document, Hierarchy, Reference};

use super::store;

/// What is wrong with documents that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// What does not exist is there, and empty.
    Invents,
    /// What is not ASCII becomes question marks.
    ManglesText,
    /// The first version is 0.
    CountsFromZero,
    /// The keys of the first put stay.
    KeepsKeys,
    /// Several documents come the other way round.
    TurnsRound,
}

impl StoreLayer for Answers {
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
            Self::TurnsRound => found.reverse(),
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
    documents_that_nobody_wrote: store(Answers::Invents) => ["storage.get.absent"];
    text_that_is_mangled: store(Answers::ManglesText) => ["storage.put.content"];
    versions_that_count_from_zero: store(Answers::CountsFromZero) => ["storage.put.version"];
    keys_that_a_put_does_not_replace: store(Answers::KeepsKeys) => ["storage.put.keys"];
    answers_in_another_order: store(Answers::TurnsRound) => ["storage.get-many.order"];
}
