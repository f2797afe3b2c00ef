//! `storage.commit`: malformed input is `invalid`, and input just within the bounds is accepted.

use crate::bindings::automate::platform::storage::{self, Change, Document, Filter, Key};
use crate::bindings::automate::platform::types::Reference;
use crate::bindings::automate::platform::{scheduling, secrets};
use crate::outcome::{Outcome, ensure, ensure_eq, ensure_refused};
use crate::samples::{CheckContext, SAMPLE, SUITE, commit, is_there, key};

fn put(document: &Document) -> Result<(), crate::bindings::automate::platform::types::Failure> {
    commit(vec![Change::Put(document.clone())])
}

pub fn body(context: &CheckContext) -> Outcome {
    let bad = [
        "", "[]", "1", "null", "\"{}\"", "{", "{}{}", "{} x", "{\"a\":}", "{'a':1}",
    ];
    for body in bad {
        let mut document = context.document();
        document.body = body.into();
        ensure_refused(&format!("the body {body:?}"), put(&document), "invalid")?;
        ensure(
            "the document was refused but written",
            !is_there(&document)?,
        )?;
    }
    Ok(())
}

pub fn reference(context: &CheckContext) -> Outcome {
    let bad = [
        "",
        "0123456789abcdef0123456",
        "0123456789abcdef012345678",
        "0123456789ABCDEF01234567",
        "0123456789abcdef0123456g",
    ];
    for pkid in bad {
        let mut document = context.document();
        document.reference.pkid = pkid.into();
        ensure_refused(&format!("the pkid {pkid:?}"), put(&document), "invalid")?;
    }
    for length in [0, 129] {
        let mut document = context.document();
        document.reference.model = "m".repeat(length);
        let what = format!("a model of {length} bytes");
        ensure_refused(&what, put(&document), "invalid")?;
    }
    let at = |hierarchy: &str| {
        let mut document = context.document();
        document.hierarchy = hierarchy.into();
        document
    };
    let long = |bytes: usize| {
        let below = bytes.saturating_sub(context.node.len() + 1);
        format!("{}.{}", context.node, "n".repeat(below))
    };
    for hierarchy in ["", ".", "a..b", "a.", ".a", "a\nb", &long(1025)] {
        let what = format!("the node {hierarchy:?}");
        ensure_refused(&what, put(&at(hierarchy)), "invalid")?;
    }
    put(&at(&long(1024)))?;
    let mut longest = context.document();
    longest.reference.model = "m".repeat(128);
    put(&longest)?;
    // The cleanup does not know this model.
    commit(vec![Change::Delete(longest.reference)])?;
    Ok(())
}

pub fn reads(context: &CheckContext) -> Outcome {
    let bad = Reference {
        model: SAMPLE.into(),
        pkid: "0123".into(),
    };
    ensure_refused("get", storage::get(&bad), "invalid")?;
    let several = [context.document().reference, bad.clone()];
    ensure_refused("get-many", storage::get_many(&several), "invalid")?;
    ensure_refused("wakeups", scheduling::wakeups(&bad), "invalid")?;
    ensure_refused("reveal", secrets::reveal(&bad, "s"), "invalid")?;

    let mut many = vec![context.document().reference; 1001];
    let all = storage::get_many(&many);
    ensure_refused("get-many of 1001", all, "invalid")?;
    many.pop();
    ensure_eq("how many of 1000", storage::get_many(&many)?.len(), 1000)?;
    let mut malformed = context.document();
    malformed.reference = bad;
    ensure_refused("compare", storage::compare(&[malformed]), "invalid")?;
    let all = storage::compare(&vec![context.document(); 1001]);
    ensure_refused("compare of 1001", all, "invalid")?;

    commit((0..2).map(|_| Change::Put(context.document())).collect())?;
    let all = context.filter(Vec::new());
    for node in ["", "a..b"] {
        let nowhere = Filter {
            hierarchy: node.into(),
            ..all.clone()
        };
        let found = storage::find(&nowhere, None, 1);
        ensure_refused(&format!("find at {node:?}"), found, "invalid")?;
        let found = storage::find_pkids(&nowhere, None, 1);
        ensure_refused(&format!("find-pkids at {node:?}"), found, "invalid")?;
    }
    let page = storage::find(&all, None, 0)?;
    ensure_eq("how many by a limit of 0", page.documents.len(), 1)?;
    let foreign = context.filter(vec![key(SUITE, &context.pkid)]);
    for cursor in [page.next.as_deref().unwrap_or("none"), "no cursor"] {
        let found = storage::find(&foreign, Some(cursor), 1);
        ensure_refused("find from a cursor of another filter", found, "invalid")?;
    }
    Ok(())
}

pub fn keys(context: &CheckContext) -> Outcome {
    let numbered = |count: usize| -> Vec<Key> {
        (1..count)
            .map(|n| key(&format!("k{n}"), "v"))
            .chain([key(crate::samples::SUITE, &context.pkid)])
            .collect()
    };
    let with = |keys: Vec<Key>| {
        let mut document = context.document();
        document.keys = keys;
        put(&document)
    };
    let and = |name: &str, value: &str| {
        let mut keys = numbered(1);
        keys.push(key(name, value));
        keys
    };
    with(numbered(64))?;
    with(and(crate::samples::SUITE, "x"))?;
    with(and(&"n".repeat(64), &"v".repeat(4096)))?;
    ensure_refused("65 keys", with(numbered(65)), "invalid")?;
    ensure_refused(
        "a pair of name and value twice",
        with(and(crate::samples::SUITE, &context.pkid)),
        "invalid",
    )?;
    ensure_refused("an empty name", with(and("", "v")), "invalid")?;
    let long = "n".repeat(65);
    ensure_refused("a name of 65 bytes", with(and(&long, "v")), "invalid")?;
    // 33 characters of two bytes each: the limit is in bytes.
    let wide = "\u{e9}".repeat(33);
    ensure_refused("a name of 66 bytes", with(and(&wide, "v")), "invalid")?;
    let long = "v".repeat(4097);
    ensure_refused("a value of 4097 bytes", with(and("n", &long)), "invalid")
}
