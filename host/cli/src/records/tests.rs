//! How a record is found by what a person calls it.

use relation_host::store::sqlite::SqliteStore;
use relation_host::store::{Change, Commit};

use super::*;

fn document(pkid: &str, hierarchy: &str, name: &str) -> Document {
    let body = serde_json::json!({
        "name": name,
        "notes": "look",
        "connection": { "state": "connected", "access": { "at": 5, "life": 9, "assumed": true } },
        "parts": [],
        "idempotency_key": "k",
        "consents": { "past": {} },
    });
    Document {
        reference: Reference::record(pkid.parse().unwrap()),
        hierarchy: hierarchy.parse().unwrap(),
        version: 0,
        body: body.to_string(),
        keys: vec![Key {
            name: "name".to_owned(),
            value: name.to_owned(),
        }],
    }
}

const ACME: &str = "00000000000000000000000a";
const ACME_BELOW: &str = "00000000000000000000000b";
const ACME_ELSEWHERE: &str = "00000000000000000000000c";
const COMPOSED: &str = "00000000000000000000000e";
const DECOMPOSED: &str = "00000000000000000000000f";
const LIKE_A_PKID: &str = "00000000000000000000000d";

async fn store() -> SqliteStore {
    let store = SqliteStore::in_memory().unwrap();
    let documents = [
        document(ACME, "sys.One", "Acme"),
        document(ACME_BELOW, "sys.One.Site", "Acme"),
        document(ACME_ELSEWHERE, "sys.Two", "Acme"),
        document(COMPOSED, "sys.One", "Caf\u{e9}"),
        // As an older release stored it.
        document(DECOMPOSED, "sys.Two", "Cafe\u{301}"),
        // Called like the pkid of a record that does not exist.
        document(LIKE_A_PKID, "sys.Two", "ffffffffffffffffffffffff"),
    ];
    let commit = Commit {
        changes: documents.map(Change::Put).into(),
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
    store
}

async fn find(record: &str, hierarchy: Option<&str>) -> Result<String, Failed> {
    let named = Named {
        record: record.to_owned(),
        hierarchy: hierarchy.map(|node| node.parse().unwrap()),
    };
    let found = named.find(&store().await).await?;
    Ok(found.pkid.to_string())
}

#[tokio::test]
async fn a_pkid_needs_no_place() {
    assert_eq!(find(ACME_BELOW, None).await.unwrap(), ACME_BELOW);
}

#[tokio::test]
async fn a_pkid_of_another_place_is_not_found_here() {
    let failed = find(ACME_ELSEWHERE, Some("sys.One")).await.unwrap_err();
    assert_eq!(failed.kind, Kind::NotFound);
}

#[tokio::test]
async fn a_name_that_looks_like_a_pkid_is_still_a_name() {
    let found = find("ffffffffffffffffffffffff", None).await;
    assert_eq!(found.unwrap(), LIKE_A_PKID);
}

#[tokio::test]
async fn the_record_at_the_node_itself_is_meant_before_those_below() {
    assert_eq!(find("Acme", Some("sys.One")).await.unwrap(), ACME);
    assert_eq!(find("Acme", Some("sys.Two")).await.unwrap(), ACME_ELSEWHERE);
    assert_eq!(
        find("Acme", Some("sys.One.Site")).await.unwrap(),
        ACME_BELOW
    );
}

#[tokio::test]
async fn space_around_a_name_is_no_part_of_it() {
    for name in [" Acme ", "\u{feff}Acme\n", "\tAcme"] {
        assert_eq!(find(name, Some(" sys . One ")).await.unwrap(), ACME);
    }
    assert_eq!(find(&format!(" {ACME}\n"), None).await.unwrap(), ACME);
}

#[tokio::test]
async fn a_name_is_found_in_any_spelling() {
    for name in ["Caf\u{e9}", "Cafe\u{301}"] {
        assert_eq!(find(name, Some("sys.One")).await.unwrap(), COMPOSED);
        assert_eq!(find(name, Some("sys.Two")).await.unwrap(), DECOMPOSED);
        let failed = find(name, None).await.unwrap_err();
        assert!(failed.message.contains(COMPOSED), "{failed}");
        assert!(failed.message.contains(DECOMPOSED), "{failed}");
    }
}

#[tokio::test]
async fn an_ambiguous_name_is_answered_with_the_candidates() {
    for place in [None, Some("sys")] {
        let failed = find("Acme", place).await.unwrap_err();
        assert_eq!(failed.kind, Kind::Usage);
        for pkid in [ACME, ACME_BELOW, ACME_ELSEWHERE] {
            assert!(failed.message.contains(pkid), "{failed}");
        }
        assert!(failed.hint.unwrap().contains("--hierarchy"));
    }
}

#[tokio::test]
async fn a_name_that_nobody_has_is_not_found() {
    for name in ["Acne", "acme", ""] {
        let failed = find(name, None).await.unwrap_err();
        assert_eq!(failed.kind, Kind::NotFound);
    }
}

#[test]
fn a_stored_record_is_read_without_what_only_the_plugin_needs() {
    let record = Record::of(&document(ACME, "sys.One", "Acme")).unwrap();
    let fields: Vec<&str> = record.fields.keys().map(String::as_str).collect();
    assert_eq!(fields, ["name", "notes"]);
    let summary = record.summary();
    assert_eq!(summary.state, State::Connected);
    assert_eq!(summary.notes, "look");
    let access = summary.access_token_expires.unwrap();
    assert_eq!((access.at, access.assumed), (Timestamp(5), true));
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let mut broken = document(ACME, "sys.One", "Acme");
    broken.body = "{}".to_owned();
    let failed = Record::of(&broken).unwrap_err();
    assert!(failed.message.contains(ACME), "{failed}");
}
