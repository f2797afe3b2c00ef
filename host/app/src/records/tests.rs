//! Tests of selecting records.

use relation_host::store::sqlite::SqliteStore;
use relation_host::store::{Change, Commit, DocumentStore as _};

use super::*;

fn document(pkid: &str, hierarchy: &str, name: &str) -> Document {
    Document {
        reference: Reference::record(pkid.parse().unwrap()),
        hierarchy: hierarchy.parse().unwrap(),
        version: 0,
        body: "{}".to_owned(),
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
        // The name looks like the pkid of a record that does not exist.
        document(LIKE_A_PKID, "sys.Two", "ffffffffffffffffffffffff"),
    ];
    let commit = Commit {
        changes: documents.map(Change::Put).into(),
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
    store
}

async fn find(record: &str, hierarchy: Option<&str>) -> Result<String, AppError> {
    let hierarchy: Option<Hierarchy> = hierarchy.map(|node| node.parse().unwrap());
    let found = super::find(&store().await, record, hierarchy.as_ref()).await?;
    Ok(found.pkid.to_string())
}

#[tokio::test]
async fn pkid_is_found_without_hierarchy() {
    assert_eq!(find(ACME_BELOW, None).await.unwrap(), ACME_BELOW);
}

#[tokio::test]
async fn pkid_outside_hierarchy_is_not_found() {
    let error = find(ACME_ELSEWHERE, Some("sys.One")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_name_that_looks_like_a_pkid_is_still_a_name() {
    let found = find("ffffffffffffffffffffffff", None).await;
    assert_eq!(found.unwrap(), LIKE_A_PKID);
}

#[tokio::test]
async fn name_prefers_the_record_at_the_node() {
    assert_eq!(find("Acme", Some("sys.One")).await.unwrap(), ACME);
    assert_eq!(find("Acme", Some("sys.Two")).await.unwrap(), ACME_ELSEWHERE);
    assert_eq!(
        find("Acme", Some("sys.One.Site")).await.unwrap(),
        ACME_BELOW
    );
}

#[tokio::test]
async fn name_is_trimmed() {
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
        let error = find(name, None).await.unwrap_err();
        assert!(error.message.contains(COMPOSED), "{error}");
        assert!(error.message.contains(DECOMPOSED), "{error}");
    }
}

#[tokio::test]
async fn ambiguous_name_lists_candidates() {
    for place in [None, Some("sys")] {
        let error = find("Acme", place).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage);
        for pkid in [ACME, ACME_BELOW, ACME_ELSEWHERE] {
            assert!(error.message.contains(pkid), "{error}");
        }
        assert!(error.hint.unwrap().contains("--hierarchy"));
    }
}

#[tokio::test]
async fn unknown_name_is_not_found() {
    for name in ["Acne", "acme", ""] {
        let error = find(name, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn hints_name_a_shared_name_by_pkid() {
    for (record, hierarchy, selector) in [
        (ACME_BELOW, None, ACME_BELOW),
        ("Acme", Some("sys.Two"), ACME_ELSEWHERE),
        (COMPOSED, None, COMPOSED),
        (LIKE_A_PKID, None, "ffffffffffffffffffffffff"),
    ] {
        let hierarchy: Option<Hierarchy> = hierarchy.map(|node: &str| node.parse().unwrap());
        let found = super::find(&store().await, record, hierarchy.as_ref()).await;
        assert_eq!(found.unwrap().selector(), selector, "{record}");
    }
    let pkid: Pkid = ACME.parse().unwrap();
    for (name, expected) in [
        ("Acme & Co", "'Acme & Co'"),
        ("-dash", ACME),
        ("", ACME),
        ("a\u{202e}b", ACME),
    ] {
        assert_eq!(selector(name, &pkid, false), expected);
    }
}
