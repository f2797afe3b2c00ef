//! `storage.commit`: what is malformed is refused as `invalid`; what is just within the bounds is taken.

use crate::bindings::automate::platform::storage::{Change, Document, Key};
use crate::samples::{Scene, commit, is_there, key};
use crate::verdict::{Outcome, holds, refused};

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
    let mut nowhere = scene.document();
    nowhere.hierarchy = String::new();
    refused("no node", put(&nowhere), "invalid")?;
    let mut longest = scene.document();
    longest.reference.model = "m".repeat(128);
    put(&longest)?;
    // Of a model that the cleaning does not know.
    commit(vec![Change::Delete(longest.reference)])?;
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
