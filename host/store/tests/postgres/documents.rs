//! Documents in PostgreSQL: compared with the store in SQLite, and the work of each search.
#![allow(
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must fail"
)]

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use relation_store::postgres::PostgresStore;
use relation_store::sqlite::{SqliteOptions, SqliteStore};
use relation_store::{Change, Commit, DocumentStore, SORT_KEYS, SortOrder, Store, StoreError};
use relation_test_postgres::Cluster;
use relation_types::{Document, Filter, Hierarchy, Key, Pkid, RECORD_MODEL, Reference, Scope};

use super::open;

const NODES: [&str; 7] = [
    "sys",
    "sys.A",
    "sys.A.B",
    "sys.A.B.C",
    "sys.AB",
    "sys.A-B",
    "sys.Ä",
];

fn key(name: &str, value: impl Into<String>) -> Key {
    Key {
        name: name.to_owned(),
        value: value.into(),
    }
}

/// Returns names of which many are equal, and some are longer than an entry of an index: those begin alike, and end
/// before, at or after the length up to which the index has the order.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..6_u8).prop_map(|name| name.to_string()),
        1 => "[a-bÄ\u{10000}]{0,2}",
        3 => (510..513_usize, "[a-b\u{7f}Ä\u{10000}]{0,3}").prop_map(|(length, end)| "ä".repeat(length) + &end),
        1 => (0..3_u8).prop_map(|end| format!("{}{end}", "ä".repeat(2000))),
    ]
}

prop_compose! {
    fn any_placement()(
        // Most documents are at the first nodes: some subtrees are common, others rare.
        node in prop_oneof![6 => 0..3_usize, 1 => 3..NODES.len()],
        name in prop::option::weighted(0.9, any_name()),
        b in 0..8_u8,
        c in prop::collection::btree_set(0..3_u8, 0..3),
    ) -> (&'static str, Vec<Key>) {
        let name = name.map(|name| key("name", name));
        let other = c.into_iter().map(|c| key("c", c.to_string()));
        (NODES[node], name.into_iter().chain([key("b", b.to_string())]).chain(other).collect())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, (&'static str, Vec<Key>)),
    Delete(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (any::<u8>(), any_placement()).prop_map(|(number, placement)| Step::Put(number, placement)),
        1 => any::<u8>().prop_map(Step::Delete),
    ]
}

prop_compose! {
    fn any_filter()(
        node in prop::option::of((0..NODES.len(), any::<bool>())),
        name in prop::option::weighted(0.3, any_name()),
        b in prop::option::of(0..8_u8),
        c in prop::collection::btree_set(0..3_u8, 0..3),
    ) -> Filter {
        let scope = |deep| if deep { Scope::Subtree } else { Scope::Node };
        let name = name.map(|name| key("name", name));
        let b = b.map(|b| key("b", b.to_string()));
        let c = c.into_iter().map(|c| key("c", c.to_string()));
        Filter {
            model: RECORD_MODEL.to_owned(),
            hierarchy: node.map(|(node, deep)| (NODES[node].parse().unwrap(), scope(deep))),
            equals: name.into_iter().chain(b).chain(c).collect(),
        }
    }
}

fn any_order() -> impl Strategy<Value = SortOrder> {
    (any::<bool>(), any::<bool>()).prop_map(|(by_name, descending)| SortOrder {
        key: by_name.then(|| "name".to_owned()),
        descending,
    })
}

fn reference(number: u8) -> Reference {
    let scattered = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let pkid = format!("{scattered:016x}{number:08x}");
    Reference::new(RECORD_MODEL, pkid.parse::<Pkid>().unwrap())
}

async fn apply(store: &dyn Store, changes: Vec<Change>) {
    let commit = Commit {
        changes,
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
}

/// Reads all pages, each with the pkids that `find_pkids` returns for the order of pkids.
async fn read_pages(
    store: &dyn Store,
    filter: &Filter,
    order: &SortOrder,
    limit: u32,
) -> Result<Vec<Vec<Document>>, StoreError> {
    let mut pages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store.list(filter, order, cursor.as_deref(), limit).await?;
        if *order == SortOrder::default() {
            let pkids = store.find_pkids(filter, cursor.as_deref(), limit).await?;
            let listed = page.items.iter().map(|found| &found.reference.pkid);
            assert!(listed.eq(&pkids.items) && pkids.next == page.next);
        }
        pages.push(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(pages);
        }
    }
}

/// Lets the functions try all of their strategies with few documents.
const SMALL_STEPS: &str = "DO $$ BEGIN
    EXECUTE replace(replace(replace(pg_get_functiondef('relation.find_pkids_v1'::regproc),
        'ARRAY[64, 1000, NULL, NULL, 20000]', 'ARRAY[2, 4, NULL, NULL, 8]'), '* 4 + 64', '+ 2'), '+ 16', '+ 1');
    EXECUTE replace(replace(replace(pg_get_functiondef('relation.find_sorted'::regproc),
        'ARRAY[64, NULL, NULL, 5000]', 'ARRAY[2, NULL, NULL, 9]'), '* 4 + 64', '+ 2'), '+ 16', '+ 1');
END $$";

/// Prints whether the functions are still those that [`SMALL_STEPS`] changes.
const HAS_SMALL_STEPS: &str =
    "SELECT pg_get_functiondef('relation.find_pkids_v1'::regproc) LIKE '%[2, 4, NULL, NULL, 8]%'
    AND pg_get_functiondef('relation.find_sorted'::regproc) LIKE '%[2, NULL, NULL, 9]%'";

/// Prints the number of rows that documents have left.
const REST: &str = "SELECT (SELECT count(*) FROM relation.documents) + (SELECT count(*) FROM relation.document_keys)
    + (SELECT count(*) FROM relation.sorted_keys)";

#[test]
fn listings_are_those_of_sqlite() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // The order is that of bytes, whatever the language of the database is.
    let swedish = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'sv'";
    let database = cluster.create_database(swedish).unwrap();
    let store = runtime.block_on(open(&database));
    cluster.execute(database.name(), SMALL_STEPS).unwrap();
    let changed = cluster.execute(database.name(), HAS_SMALL_STEPS).unwrap();
    assert_eq!(changed, "t");

    let mut runner = TestRunner::new(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let listings = (any_filter(), any_order(), 1..9_u32);
    let input = (
        prop::collection::vec(prop::collection::vec(any_step(), 1..20), 1..8),
        prop::collection::vec(listings, 12..24),
    );
    let check = |(commits, listings)| {
        let all = (0..=u8::MAX).map(|number| Change::Delete(reference(number)));
        runtime.block_on(apply(&store, all.collect()));
        let rest = cluster.execute(database.name(), REST).unwrap();
        prop_assert_eq!(rest, "0");
        runtime.block_on(compare(&store, commits, listings));
        Ok(())
    };
    runner.run(&input, check).unwrap();
}

async fn compare(
    store: &PostgresStore,
    commits: Vec<Vec<Step>>,
    listings: Vec<(Filter, SortOrder, u32)>,
) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let sqlite = SqliteStore::open(file, &SqliteOptions::default()).unwrap();
    for steps in commits {
        let mut changes = Vec::new();
        for step in steps {
            match step {
                Step::Put(number, (node, keys)) => {
                    changes.push(Change::Put(Document {
                        reference: reference(number),
                        hierarchy: node.parse().unwrap(),
                        version: 0,
                        body: format!("{{\"keys\":{}}}", keys.len()),
                        keys,
                    }));
                }
                Step::Delete(number) => changes.push(Change::Delete(reference(number))),
            }
        }
        apply(&sqlite, changes.clone()).await;
        apply(store, changes).await;
    }
    let all: Vec<Reference> = (0..=u8::MAX).map(reference).collect();
    assert_eq!(
        store.get(&all).await.unwrap(),
        sqlite.get(&all).await.unwrap()
    );
    for (filter, order, limit) in listings {
        let expected = read_pages(&sqlite, &filter, &order, limit).await.unwrap();
        let found = read_pages(store, &filter, &order, limit).await.unwrap();
        assert_eq!(found, expected, "{filter:?} {order:?} in pages of {limit}");
        for at_most in [0, 1, u64::from(limit), u64::MAX] {
            let expected = sqlite.count(&filter, at_most).await.unwrap();
            let found = store.count(&filter, at_most).await.unwrap();
            assert_eq!(found, expected, "{filter:?} up to {at_most}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_cannot_be_stored_is_refused() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let store = open(&cluster.database().unwrap()).await;
    let filter = Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: None,
        equals: vec![key("name", "a\0b")],
    };
    let refused = store.find(&filter, None, 1).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))));
    let put = Change::Put(Document {
        hierarchy: "sys".parse().unwrap(),
        version: 0,
        body: "{}".to_owned(),
        keys: filter.equals,
        reference: reference(1),
    });
    let commit = Commit {
        changes: vec![put],
        ..Commit::default()
    };
    let refused = store.commit(commit).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn longest_texts_are_indexed() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let store = open(&cluster.database().unwrap()).await;
    // Texts that cannot be compressed.
    let random = |length: usize| -> String {
        let mut state = length as u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from(b'a' + (state >> 33).to_le_bytes()[0] % 26)
        };
        (0..length).map(|_| next()).collect()
    };
    let (name, value) = (random(64), random(4096));
    let hierarchy: Hierarchy = random(1024).parse().unwrap();
    for model in [RECORD_MODEL.to_owned(), random(128)] {
        let document = Document {
            reference: Reference::new(model.clone(), reference(1).pkid),
            hierarchy: hierarchy.clone(),
            version: 1,
            body: "{}".to_owned(),
            keys: vec![key("name", &*value), key(&name, &*value)],
        };
        apply(&store, vec![Change::Put(document.clone())]).await;
        let filter = Filter {
            model,
            hierarchy: Some((document.hierarchy.clone(), Scope::Node)),
            equals: vec![key(&name, &*value)],
        };
        let found = store.find(&filter, None, 2).await.unwrap();
        assert_eq!(found.items, [document]);
    }
}

#[test]
fn functions_know_the_sort_keys() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(open(&database));
    let mut models: Vec<&str> = SORT_KEYS.iter().map(|(model, _)| *model).collect();
    models.push("data/Other");
    for model in models {
        let statement = format!("SELECT array_to_string(relation.sort_keys('{model}'), ',')");
        let found = cluster.execute(database.name(), &statement).unwrap();
        let names = SORT_KEYS.iter().filter(|(sorted, _)| *sorted == model);
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        assert_eq!(found, names.join(","), "{model}");
    }
}

/// Stores 20 000 documents at 200 nodes below 10, two of a hundred at a node of their own.
const MANY: &str = "CREATE TEMPORARY TABLE many AS
    SELECT md5(i::text) AS pkid, 'sys.P.R' || i % 10 || CASE WHEN i % 50 = 0 THEN '' ELSE '.C' || i % 200 END AS node,
        ARRAY['name', 'parity', 'hundred', 'tag'] AS names,
        ARRAY['Customer ' || i / 2, (i % 2)::text, (i / 100)::text, 'all'] AS key_values
    FROM generate_series(1, 20000) AS i;
INSERT INTO relation.documents (model, pkid, hierarchy, version, body, keys)
    SELECT 'data/SparkCustomer', pkid, node, 1, '{}',
        (SELECT json_agg(json_build_array(n, v)) FROM unnest(names, key_values) AS u (n, v)) FROM many;
INSERT INTO relation.document_keys (model, name, digest, pkid)
    SELECT 'data/SparkCustomer', n, relation.digest(v), pkid FROM many, unnest(names, key_values) AS u (n, v);
INSERT INTO relation.sorted_keys (model, name, node, long, prefix, rest, pkid)
    SELECT 'data/SparkCustomer', 'name', place, false, convert_to(key_values[1], 'UTF8'), '', pkid
    FROM many, unnest(relation.listing_nodes(node) || ''::text) AS place;";

/// Prints how often this transaction has read a whole table, and its lookups and rows.
const WORK: &str = "SELECT coalesce(sum(seq_scan), 0), coalesce(sum(idx_scan + idx_tup_fetch), 0)
    FROM pg_stat_xact_user_tables WHERE schemaname = 'relation'";

#[test]
fn work_of_a_search_follows_its_results() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(open(&database));
    cluster.execute(database.name(), MANY).unwrap();
    let mut calls = Vec::new();
    for place in [
        "NULL, false",
        "'sys', true",
        "'sys.P.R4', true",
        "'sys.P.R4', false",
        "'sys.P.R4.C4', true",
    ] {
        for keys in [
            "'{}', '{}'",
            "'{tag}', '{all}'",
            "'{hundred}', '{7}'",
            "'{name}', '{Customer 77}'",
            "'{tag,hundred}', '{all,7}'",
            "'{parity,tag}', '{0,all}'",
        ] {
            let filter = format!("'data/SparkCustomer', {place}, {keys}");
            for order in ["NULL", "'name'"] {
                for descending in [false, true] {
                    calls.push(format!(
                        "list_documents_v1({filter}, {order}, NULL, NULL, {descending}, 20)"
                    ));
                }
            }
            calls.push(format!("find_pkids_v1({filter}, '5', false, 20)"));
            calls.push(format!("count_documents_v1({filter}, 20)"));
        }
    }
    // Until the first vacuum, an index does not show which rows are visible, so that each entry reads its row too.
    for (statistics, most) in [("SELECT 1", 10_000), ("VACUUM ANALYZE", 2000)] {
        cluster.execute(database.name(), statistics).unwrap();
        // The work of a session is counted in one transaction.
        let statements: Vec<String> = calls
            .iter()
            .map(|call| format!("SELECT count(*) FROM relation.{call}; {WORK}"))
            .collect();
        let counted = cluster
            .execute(database.name(), &statements.join(";\n"))
            .unwrap();
        let lines: Vec<&str> = counted.lines().collect();
        assert_eq!(lines.len(), calls.len() * 2);
        let mut before = 0;
        for (call, line) in calls.iter().zip(lines.iter().skip(1).step_by(2)) {
            let (all, work) = line.split_once('|').unwrap();
            assert_eq!(all, "0", "{call} reads a whole table");
            let work: u64 = work.parse().unwrap();
            assert!(work - before <= most, "{call} reads {} rows", work - before);
            before = work;
        }
    }
}
