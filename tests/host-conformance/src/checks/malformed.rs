//! `storage.commit`: what is malformed is refused as `invalid`; what is just within the bounds is taken.

use crate::bindings::automate::platform::storage::{self, Change, Document, Filter, Key};
use crate::bindings::automate::platform::types::Reference;
use crate::bindings::automate::platform::{scheduling, secrets};
use crate::samples::{SAMPLE, SUITE, Scene, commit, is_there, key};
use crate::verdict::{Outcome, holds, refused, same};

fn put(document: &Document) -> Result<(), crate::bindings::automate::platform::types::Failure> {
    commit(vec![Change::Put(document.clone())])
}

pub fn body(scene: &Scene) -> Outcome {
    let bad = [
        "", "[]", "1", "null", "\"{}\"", "{", "{}{}", "{} x", "{\"a\":}", "{'a':1}",
    ];
    for body in bad {
        let mut document = scene.document();
        document.body = body.into();
        refused(&format!("the body {body:?}"), put(&document), "invalid")?;
        holds("it was refused and written", !is_there(&document)?)?;
    }
    Ok(())
}

pub fn reference(scene: &Scene) -> Outcome {
    let bad = [
        "",
        "0123456789abcdef0123456",
        "0123456789abcdef012345678",
        "0123456789ABCDEF01234567",
        "0123456789abcdef0123456g",
    ];
    for pkid in bad {
        let mut document = scene.document();
        document.reference.pkid = pkid.into();
        refused(&format!("the pkid {pkid:?}"), put(&document), "invalid")?;
    }
    for length in [0, 129] {
        let mut document = scene.document();
        document.reference.model = "m".repeat(length);
        let what = format!("a model of {length} bytes");
        refused(&what, put(&document), "invalid")?;
    }
    let at = |hierarchy: &str| {
        let mut document = scene.document();
        document.hierarchy = hierarchy.into();
        document
    };
    let long = |bytes: usize| {
        let below = bytes.saturating_sub(scene.node.len() + 1);
        format!("{}.{}", scene.node, "n".repeat(below))
    };
    for hierarchy in ["", ".", "a..b", "a.", ".a", "a\nb", &long(1025)] {
        let what = format!("the node {hierarchy:?}");
        refused(&what, put(&at(hierarchy)), "invalid")?;
    }
    put(&at(&long(1024)))?;
    let mut longest = scene.document();
    longest.reference.model = "m".repeat(128);
    put(&longest)?;
    // Of a model that the cleaning does not know.
    commit(vec![Change::Delete(longest.reference)])?;
    Ok(())
}

pub fn reads(scene: &Scene) -> Outcome {
    let bad = Reference {
        model: SAMPLE.into(),
        pkid: "0123".into(),
    };
    refused("get", storage::get(&bad), "invalid")?;
    let several = [scene.document().reference, bad.clone()];
    refused("get-many", storage::get_many(&several), "invalid")?;
    refused("wakeups", scheduling::wakeups(&bad), "invalid")?;
    refused("reveal", secrets::reveal(&bad, "s"), "invalid")?;

    let mut many = vec![scene.document().reference; 1001];
    let all = storage::get_many(&many);
    refused("get-many of 1001", all, "invalid")?;
    many.pop();
    same("how many of 1000", storage::get_many(&many)?.len(), 1000)?;

    commit((0..2).map(|_| Change::Put(scene.document())).collect())?;
    let all = scene.filter(Vec::new());
    for node in ["", "a..b"] {
        let nowhere = Filter {
            hierarchy: node.into(),
            ..all.clone()
        };
        let found = storage::find(&nowhere, None, 1);
        refused(&format!("find at {node:?}"), found, "invalid")?;
    }
    let page = storage::find(&all, None, 0)?;
    same("how many by a limit of 0", page.documents.len(), 1)?;
    let foreign = scene.filter(vec![key(SUITE, &scene.pkid)]);
    for cursor in [page.next.as_deref().unwrap_or("none"), "no cursor"] {
        let found = storage::find(&foreign, Some(cursor), 1);
        refused("find from a cursor of another filter", found, "invalid")?;
    }
    Ok(())
}

pub fn keys(scene: &Scene) -> Outcome {
    let numbered = |count: usize| -> Vec<Key> {
        (1..count)
            .map(|n| key(&format!("k{n}"), "v"))
            .chain([key(crate::samples::SUITE, &scene.pkid)])
            .collect()
    };
    let with = |keys: Vec<Key>| {
        let mut document = scene.document();
        document.keys = keys;
        put(&document)
    };
    let and = |name: &str, value: &str| {
        let mut keys = numbered(1);
        keys.push(key(name, value));
        keys
    };
    with(numbered(16))?;
    with(and(&"n".repeat(64), &"v".repeat(4096)))?;
    refused("17 keys", with(numbered(17)), "invalid")?;
    refused(
        "a name twice",
        with(and(crate::samples::SUITE, "x")),
        "invalid",
    )?;
    refused("an empty name", with(and("", "v")), "invalid")?;
    let long = "n".repeat(65);
    refused("a name of 65 bytes", with(and(&long, "v")), "invalid")?;
    // 33 characters of two bytes each: it is bytes that count.
    let wide = "\u{e9}".repeat(33);
    refused("a name of 66 bytes", with(and(&wide, "v")), "invalid")?;
    let long = "v".repeat(4097);
    refused("a value of 4097 bytes", with(and("n", &long)), "invalid")
}
