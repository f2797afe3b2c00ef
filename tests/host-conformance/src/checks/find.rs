//! `storage.find`: matches, scopes, order and pages.

use crate::bindings::automate::platform::storage::{self, Change, Document, Scope};
use crate::outcome::{Outcome, ensure_eq, fail};
use crate::samples::{self, CheckContext, OTHER, commit, find_pkids, key};

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

pub fn keys(context: &CheckContext) -> Outcome {
    let red = context.document_with_key("color", "red");
    let mut large = context.document_with_key("color", "red");
    large.keys.push(key("size", "large"));
    let plain = context.document();
    commit(put(&[&red, &large, &plain]))?;
    let by = |keys: &[(&str, &str)]| {
        context.find_pkids(keys.iter().map(|(name, value)| key(name, value)).collect())
    };
    ensure_eq("by no key", by(&[])?, pkids(&[&red, &large, &plain]))?;
    ensure_eq(
        "by one key",
        by(&[("color", "red")])?,
        pkids(&[&red, &large]),
    )?;
    let both = [("color", "red"), ("size", "large")];
    ensure_eq("by two keys", by(&both)?, pkids(&[&large]))?;
    let none = [("color", "red"), ("size", "small")];
    ensure_eq(
        "by two keys, one of which does not match",
        by(&none)?,
        Vec::new(),
    )?;
    ensure_eq("by an unused name", by(&[("weight", "")])?, Vec::new())?;
    ensure_eq(
        "by another key's value",
        by(&[("size", "red")])?,
        Vec::new(),
    )
}

pub fn bytes(context: &CheckContext) -> Outcome {
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
        .map(|value| context.document_with_key("value", value))
        .collect();
    commit(put(&documents.iter().collect::<Vec<_>>()))?;
    for (value, document) in values.iter().zip(&documents) {
        ensure_eq(
            &format!("by the value {value:?}"),
            context.find_pkids(vec![key("value", value)])?,
            pkids(&[document]),
        )?;
    }
    Ok(())
}

pub fn model(context: &CheckContext) -> Outcome {
    let ours = context.document_with_key("name", "x");
    let mut theirs = context.document_with_key("name", "x");
    theirs.reference.model = OTHER.into();
    commit(put(&[&ours, &theirs]))?;
    ensure_eq(
        "of the model",
        context.find_pkids(vec![key("name", "x")])?,
        pkids(&[&ours]),
    )
}

pub fn node(context: &CheckContext) -> Outcome {
    let (here, below) = (context.document(), context.document_below(".A"));
    commit(put(&[&here, &below]))?;
    let mut filter = context.filter(Vec::new());
    filter.scope = Scope::Node;
    ensure_eq("at the node", find_pkids(&filter)?, pkids(&[&here]))
}

pub fn subtree(context: &CheckContext) -> Outcome {
    let inside = [
        context.document_below(".a_b"),
        context.document_below(".a_b.C"),
        context.document_below(".a_b.C.D"),
    ];
    // Similar names, and names that a pattern would match.
    let beside = [
        context.document_below(""),
        context.document_below(".a_bc"),
        context.document_below(".a_b-.C"),
        context.document_below(".axb"),
        context.document_below(".axb.C"),
        context.document_below(".A_B.C"),
    ];
    commit(put(&inside.iter().chain(&beside).collect::<Vec<_>>()))?;
    let mut filter = context.filter(Vec::new());
    filter.hierarchy = format!("{}.a_b", context.node);
    ensure_eq(
        "at the node and below it",
        find_pkids(&filter)?,
        pkids(&inside.iter().collect::<Vec<_>>()),
    )
}

pub fn order(context: &CheckContext) -> Outcome {
    let documents: Vec<Document> = (0..20).map(|_| context.document()).collect();
    // Separate commits, so that the order of writing differs.
    for document in &documents {
        commit(put(&[document]))?;
    }
    ensure_eq(
        "the order",
        context.find_pkids(Vec::new())?,
        pkids(&documents.iter().collect::<Vec<_>>()),
    )
}

pub fn pages(context: &CheckContext) -> Outcome {
    let documents: Vec<Document> = (0..7).map(|_| context.document()).collect();
    commit(put(&documents.iter().collect::<Vec<_>>()))?;
    let filter = context.filter(Vec::new());
    let (mut cursor, mut seen) = (None, Vec::new());
    for expected in [3, 3, 1] {
        let page = storage::find(&filter, cursor.as_deref(), 3)?;
        ensure_eq("documents on a page", page.documents.len(), expected)?;
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
    ensure_eq("the cursor of the last page", cursor, None)?;
    ensure_eq(
        "the documents of all pages",
        seen,
        pkids(&documents.iter().collect::<Vec<_>>()),
    )
}

pub fn cap(context: &CheckContext) -> Outcome {
    for _ in 0..3 {
        let documents: Vec<Document> = (0..340).map(|_| context.document()).collect();
        commit(put(&documents.iter().collect::<Vec<_>>()))?;
    }
    let filter = context.filter(Vec::new());
    let page = storage::find(&filter, None, u32::MAX)?;
    ensure_eq("documents on one page", page.documents.len(), 1000)?;
    if page.next.is_none() {
        return fail("a page of 1000 out of 1020 has no cursor");
    }
    let rest = storage::find(&filter, page.next.as_deref(), u32::MAX)?;
    ensure_eq("documents on the second page", rest.documents.len(), 20)
}

pub fn deleted(context: &CheckContext) -> Outcome {
    let (gone, left) = (
        context.document_with_key("name", "x"),
        context.document_with_key("name", "x"),
    );
    commit(put(&[&gone, &left]))?;
    commit(vec![Change::Delete(gone.reference.clone())])?;
    let by_key = samples::find_pkids(&context.filter(vec![key("name", "x")]))?;
    ensure_eq("by the key", by_key, pkids(&[&left]))
}

pub fn only_pkids(context: &CheckContext) -> Outcome {
    let red: Vec<Document> = (0..7)
        .map(|_| context.document_with_key("color", "red"))
        .collect();
    let blue = context.document_with_key("color", "blue");
    commit(put(&red.iter().chain([&blue]).collect::<Vec<_>>()))?;
    let filter = context.filter(vec![key("color", "red")]);
    let (mut cursor, mut seen) = (None, Vec::new());
    for expected in [3, 3, 1] {
        let page = storage::find_pkids(&filter, cursor.as_deref(), 3)?;
        ensure_eq("primary keys on a page", page.pkids.len(), expected)?;
        seen.extend(page.pkids);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    ensure_eq("the cursor of the last page", cursor, None)?;
    ensure_eq("the primary keys", seen, find_pkids(&filter)?)
}
