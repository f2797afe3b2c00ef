//! `storage.find`: what matches, where, in which order, in pages.

use crate::bindings::automate::platform::storage::{self, Change, Document, Scope};
use crate::samples::{self, OTHER, Scene, commit, found, key};
use crate::verdict::{Outcome, failed, same};

fn put(documents: &[&Document]) -> Vec<Change> {
    documents
        .iter()
        .map(|&document| Change::Put(document.clone()))
        .collect()
}

fn pkids(documents: &[&Document]) -> Vec<String> {
    let mut pkids: Vec<String> = documents
        .iter()
        .map(|document| document.reference.pkid.clone())
        .collect();
    pkids.sort_unstable();
    pkids
}

pub fn keys(scene: &Scene) -> Outcome {
    let red = scene.keyed("colour", "red");
    let mut large = scene.keyed("colour", "red");
    large.keys.push(key("size", "large"));
    let plain = scene.document();
    commit(put(&[&red, &large, &plain]))?;
    let by = |keys: &[(&str, &str)]| {
        scene.found(keys.iter().map(|(name, value)| key(name, value)).collect())
    };
    same("by no key", by(&[])?, pkids(&[&red, &large, &plain]))?;
    same(
        "by one key",
        by(&[("colour", "red")])?,
        pkids(&[&red, &large]),
    )?;
    let both = [("colour", "red"), ("size", "large")];
    same("by two keys", by(&both)?, pkids(&[&large]))?;
    let none = [("colour", "red"), ("size", "small")];
    same(
        "by two keys of which one is another",
        by(&none)?,
        Vec::new(),
    )?;
    same(
        "by a name that nobody has",
        by(&[("weight", "")])?,
        Vec::new(),
    )?;
    same(
        "by another key's value",
        by(&[("size", "red")])?,
        Vec::new(),
    )
}

pub fn bytes(scene: &Scene) -> Outcome {
    let values = [
        "Key",
        "key",
        "key ",
        "caf\u{e9}",
        "cafe\u{301}",
        "k%",
        "k_y",
        "",
    ];
    let documents: Vec<Document> = values
        .iter()
        .map(|value| scene.keyed("value", value))
        .collect();
    commit(put(&documents.iter().collect::<Vec<_>>()))?;
    for (value, document) in values.iter().zip(&documents) {
        same(
            &format!("by the value {value:?}"),
            scene.found(vec![key("value", value)])?,
            pkids(&[document]),
        )?;
    }
    Ok(())
}

pub fn model(scene: &Scene) -> Outcome {
    let ours = scene.keyed("name", "x");
    let mut theirs = scene.keyed("name", "x");
    theirs.reference.model = OTHER.into();
    commit(put(&[&ours, &theirs]))?;
    same(
        "of the model",
        scene.found(vec![key("name", "x")])?,
        pkids(&[&ours]),
    )
}

pub fn node(scene: &Scene) -> Outcome {
    let (here, below) = (scene.document(), scene.at(".A"));
    commit(put(&[&here, &below]))?;
    let mut filter = scene.filter(Vec::new());
    filter.scope = Scope::Node;
    same("at the node", found(&filter)?, pkids(&[&here]))
}

pub fn subtree(scene: &Scene) -> Outcome {
    let inside = [scene.at(".a_b"), scene.at(".a_b.C"), scene.at(".a_b.C.D")];
    // Names that begin alike, and what a pattern would match.
    let beside = [
        scene.at(""),
        scene.at(".a_bc"),
        scene.at(".a_b-.C"),
        scene.at(".axb"),
        scene.at(".axb.C"),
        scene.at(".A_B.C"),
    ];
    commit(put(&inside.iter().chain(&beside).collect::<Vec<_>>()))?;
    let mut filter = scene.filter(Vec::new());
    filter.hierarchy = format!("{}.a_b", scene.node);
    same(
        "at the node and below it",
        found(&filter)?,
        pkids(&inside.iter().collect::<Vec<_>>()),
    )
}

pub fn order(scene: &Scene) -> Outcome {
    let documents: Vec<Document> = (0..20).map(|_| scene.document()).collect();
    // One commit each, so that the order of writing is another.
    for document in &documents {
        commit(put(&[document]))?;
    }
    same(
        "the order",
        scene.found(Vec::new())?,
        pkids(&documents.iter().collect::<Vec<_>>()),
    )
}

pub fn pages(scene: &Scene) -> Outcome {
    let documents: Vec<Document> = (0..7).map(|_| scene.document()).collect();
    commit(put(&documents.iter().collect::<Vec<_>>()))?;
    let filter = scene.filter(Vec::new());
    let (mut cursor, mut seen) = (None, Vec::new());
    for expected in [3, 3, 1] {
        let page = storage::find(&filter, cursor.as_deref(), 3)?;
        same("documents on a page", page.documents.len(), expected)?;
        seen.extend(
            page.documents
                .into_iter()
                .map(|document| document.reference.pkid),
        );
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    same("the last page says that more follow", cursor, None)?;
    same(
        "what the pages have together",
        seen,
        pkids(&documents.iter().collect::<Vec<_>>()),
    )
}

pub fn cap(scene: &Scene) -> Outcome {
    for _ in 0..3 {
        let documents: Vec<Document> = (0..340).map(|_| scene.document()).collect();
        commit(put(&documents.iter().collect::<Vec<_>>()))?;
    }
    let filter = scene.filter(Vec::new());
    let page = storage::find(&filter, None, u32::MAX)?;
    same("documents on one page", page.documents.len(), 1000)?;
    if page.next.is_none() {
        return failed("a page of 1000 out of 1020 says that it is the last");
    }
    let rest = storage::find(&filter, page.next.as_deref(), u32::MAX)?;
    same("documents on the second page", rest.documents.len(), 20)
}

pub fn deleted(scene: &Scene) -> Outcome {
    let (gone, left) = (scene.keyed("name", "x"), scene.keyed("name", "x"));
    commit(put(&[&gone, &left]))?;
    commit(vec![Change::Delete(gone.reference.clone())])?;
    let by_key = samples::found(&scene.filter(vec![key("name", "x")]))?;
    same("by the key", by_key, pkids(&[&left]))
}
