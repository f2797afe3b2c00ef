//! Listings: complete, ordered, in pages.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::{Change, SORT_KEYS, SortOrder, Store};
use relation_types::{Document, Filter, Key, Pkid, RECORD_MODEL, Reference, Scope};

fn everything() -> Filter {
    Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: None,
        equals: Vec::new(),
    }
}

fn place(node: &str, scope: Scope) -> Filter {
    Filter {
        hierarchy: Some((hierarchy(node), scope)),
        ..everything()
    }
}

fn having(keys: Vec<Key>) -> Filter {
    Filter {
        equals: keys,
        ..everything()
    }
}

async fn list(store: &Arc<dyn Store>, filter: &Filter, limit: u32) -> Vec<Reference> {
    let found = list_in(store, filter, &SortOrder::default(), limit).await;
    let pkids: Vec<Pkid> = found.iter().map(|found| found.pkid.clone()).collect();
    assert_eq!(list_pkids(store, filter, limit).await, pkids);
    found
}

async fn list_in(
    store: &Arc<dyn Store>,
    filter: &Filter,
    order: &SortOrder,
    limit: u32,
) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store.list(filter, order, cursor.as_deref(), limit).await;
        let page = page.unwrap();
        assert!(page.items.len() <= limit as usize);
        assert!(page.next.is_none() || page.items.len() == limit as usize);
        found.extend(page.items.into_iter().map(|document| document.reference));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn list_pkids(store: &Arc<dyn Store>, filter: &Filter, limit: u32) -> Vec<Pkid> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store.find_pkids(filter, cursor.as_deref(), limit).await;
        let page = page.unwrap();
        assert!(page.next.is_none() || page.items.len() == limit as usize);
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

fn matches(filter: &Filter, document: &Document) -> bool {
    let place = match &filter.hierarchy {
        None => true,
        Some((node, Scope::Node)) => *node == document.hierarchy,
        Some((node, Scope::Subtree)) => node.contains(&document.hierarchy),
    };
    let keys = filter.equals.iter().all(|key| document.keys.contains(key));
    place && keys && filter.model == document.reference.model
}

const NODES: [&str; 6] = [
    "sys",
    "sys.P",
    "sys.P.R",
    "sys.P.R.C1",
    "sys.P.R.C2",
    "sys.Q",
];

/// Returns the order by name, and in reverse.
fn by_name() -> [SortOrder; 2] {
    [false, true].map(|descending| SortOrder {
        key: Some("name".to_owned()),
        descending,
    })
}

/// Stores documents at [`NODES`], whose names repeat, and returns them in the order of pkids.
async fn write_population(store: &Arc<dyn Store>) -> Vec<Document> {
    let nodes = NODES;
    let mut all = Vec::new();
    for number in 0..240_u64 {
        // Most documents are at one node, so that there are common and rare subtrees.
        let node = if number % 12 == 0 {
            nodes[(number / 12) as usize % nodes.len()]
        } else {
            "sys.P.R.C2"
        };
        let model = if number % 10 == 3 {
            "data/Other"
        } else {
            RECORD_MODEL
        };
        all.push(Document {
            reference: Reference::new(model, pkid(number)),
            hierarchy: hierarchy(node),
            keys: vec![
                key("name", &format!("Customer {}", number % 50)),
                key("parity", if number % 2 == 0 { "even" } else { "odd" }),
                key("third", &(number % 3).to_string()),
                key("tag", "all"),
                key("tag", &format!("of four {}", number % 4)),
            ],
            ..document(&record(number))
        });
    }
    write(store, all.iter().cloned().map(Change::Put).collect()).await;
    all.sort_by(|a, b| a.reference.pkid.cmp(&b.reference.pkid));
    all
}

/// Returns filters by place and keys, of common, rare and absent documents.
fn filters() -> Vec<Filter> {
    let equals = [
        vec![],
        vec![key("parity", "even")],
        vec![key("parity", "odd"), key("third", "1")],
        vec![key("name", "Customer 7"), key("parity", "odd")],
        vec![key("tag", "all"), key("tag", "of four 2")],
        vec![key("tag", "of four 1"), key("tag", "of four 2")],
        vec![key("name", "nobody")],
        vec![key("name", "nobody"), key("parity", "odd")],
    ];
    let mut places = vec![None];
    for node in NODES.iter().chain(&["sys.Nowhere"]) {
        for scope in [Scope::Node, Scope::Subtree] {
            places.push(Some((hierarchy(node), scope)));
        }
    }
    let mut filters = Vec::new();
    for place in &places {
        for keys in &equals {
            filters.push(Filter {
                hierarchy: place.clone(),
                ..having(keys.clone())
            });
        }
    }
    filters
}

pub(super) async fn listings_are_complete_ordered_without_repeats(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let all = write_population(&store).await;
    let descending = SortOrder {
        key: None,
        descending: true,
    };
    for filter in filters() {
        let mut expected: Vec<Reference> = all
            .iter()
            .filter(|document| matches(&filter, document))
            .map(|document| document.reference.clone())
            .collect();
        for limit in [1, 3, 100, 1000] {
            let found = list(&store, &filter, limit).await;
            assert_eq!(found, expected, "{filter:?} in pages of {limit}");
        }
        expected.reverse();
        let found = list_in(&store, &filter, &descending, 7).await;
        assert_eq!(found, expected, "{filter:?} descending");
    }
}

pub(super) async fn paths_beside_a_subtree_are_outside(stores: Arc<dyn Stores>) {
    // `-` sorts before `.`, and `/` after it.
    for neighbor in ["sys.A", "sys.B-C", "sys.B/C", "sys.BC", "sys.C"] {
        let store = empty(&stores).await;
        let (inside, outside) = (record(1), record(2));
        write(&store, vec![Change::Put(named(&inside, "sys.B", "x"))]).await;
        let filter = Filter {
            equals: vec![key("name", "x")],
            ..place("sys.B", Scope::Subtree)
        };
        let found = list(&store, &filter, 10).await;
        assert_eq!(found, std::slice::from_ref(&inside));
        write(&store, vec![Change::Put(named(&outside, neighbor, "x"))]).await;
        let found = list(&store, &filter, 10).await;
        assert_eq!(found, std::slice::from_ref(&inside), "{neighbor}");
        assert_eq!(store.count(&filter, 10).await.unwrap(), 1, "{neighbor}");
    }
}

pub(super) async fn sorted_listings_are_complete_in_every_place(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let mut all = write_population(&store).await;
    let unnamed = Document {
        keys: vec![key("parity", "even")],
        ..document(&record(1000))
    };
    write(&store, vec![Change::Put(unnamed)]).await;
    let [by_name, _] = by_name();
    all.sort_by(|a, b| by_name.position(a).cmp(&by_name.position(b)));
    for filter in filters() {
        let mut expected: Vec<Reference> = all
            .iter()
            .filter(|document| matches(&filter, document))
            .map(|document| document.reference.clone())
            .collect();
        for order in self::by_name() {
            for limit in [1, 7, 1000] {
                let found = list_in(&store, &filter, &order, limit).await;
                assert_eq!(found, expected, "{filter:?} {order:?} in pages of {limit}");
            }
            expected.reverse();
        }
    }
}

pub(super) async fn sorted_listing_follows_moves_and_renames(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let [order, _] = by_name();
    let (one, two, three) = (record(1), record(2), record(3));
    for (reference, name) in [(&one, "b"), (&two, "a"), (&three, "é")] {
        let document = named(reference, "sys.A.X", name);
        write(&store, vec![Change::Put(document)]).await;
    }
    let lists = async |node: &str, scope| list_in(&store, &place(node, scope), &order, 2).await;
    let all = [two.clone(), one.clone(), three.clone()];
    assert_eq!(lists("sys", Scope::Subtree).await, all);
    assert_eq!(lists("sys.A.X", Scope::Node).await, all);
    assert_eq!(lists("sys.A", Scope::Node).await, []);

    let renamed = named(&two, "sys.A.X", "c");
    let moved = named(&one, "sys.A", "b");
    write(&store, vec![Change::Put(renamed), Change::Put(moved)]).await;
    let all = [one.clone(), two.clone(), three.clone()];
    assert_eq!(lists("sys.A", Scope::Subtree).await, all);
    assert_eq!(
        lists("sys.A", Scope::Node).await,
        std::slice::from_ref(&one)
    );
    assert_eq!(lists("sys.A.X", Scope::Subtree).await, all[1..]);

    let unnamed = Document {
        keys: Vec::new(),
        ..named(&two, "sys.A.X", "")
    };
    write(&store, vec![Change::Put(unnamed), Change::Delete(three)]).await;
    for filter in [everything(), place("sys", Scope::Subtree)] {
        let found = list_in(&store, &filter, &order, 2).await;
        assert_eq!(found, std::slice::from_ref(&one));
    }
    assert_eq!(lists("sys.A.X", Scope::Subtree).await, []);
}

pub(super) async fn a_cursor_belongs_to_one_order(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    write(&store, (0..4).map(|number| put(&record(number))).collect()).await;
    let [ascending, descending] = by_name();
    let by_pkid = [false, true].map(|descending| SortOrder {
        key: None,
        descending,
    });
    let orders = [&ascending, &descending, &by_pkid[0], &by_pkid[1]];
    for order in orders {
        let page = store.list(&everything(), order, None, 2).await.unwrap();
        let cursor = page.next.as_deref();
        for other in orders {
            let next = store.list(&everything(), other, cursor, 2).await;
            if order == other {
                next.unwrap();
            } else {
                assert_invalid(next);
            }
        }
        let elsewhere = place("sys.Provider.Customer", Scope::Subtree);
        for filter in [elsewhere, having(vec![key("name", "Acme")])] {
            assert_invalid(store.list(&filter, order, cursor, 2).await);
        }
        assert_invalid(store.list(&everything(), order, None, 0).await);
    }
}

pub(super) async fn order_without_an_index_is_refused(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    for (model, name) in [(RECORD_MODEL, "state"), ("data/Other", "name")] {
        assert!(!SORT_KEYS.contains(&(model, name)));
        let filter = Filter {
            model: model.to_owned(),
            ..everything()
        };
        let order = SortOrder {
            key: Some(name.to_owned()),
            descending: false,
        };
        assert_invalid(store.list(&filter, &order, None, 2).await);
    }
}

pub(super) async fn counts_stop_at_their_bound(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let all = write_population(&store).await;
    for filter in filters() {
        let matching = all.iter().filter(|one| matches(&filter, one)).count() as u64;
        for at_most in [0, 1, 5, matching, matching + 1, u64::MAX] {
            let counted = store.count(&filter, at_most).await.unwrap();
            assert_eq!(counted, matching.min(at_most), "{filter:?} up to {at_most}");
        }
    }
}

pub(super) async fn a_neighbor_whose_path_begins_alike_is_not_below(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let neighbors = [
        "sys.A",
        "sys.A.B",
        "sys.A.B.C",
        "sys.A B",
        "sys.A!",
        "sys.A-B",
        "sys.A/B",
        "sys.A0",
        "sys.AB",
        "sys.a",
        "sys",
        "sys.Ä",
    ];
    let mut puts = Vec::new();
    for (number, node) in (0..).zip(neighbors) {
        puts.push(Change::Put(named(&record(number), node, "x")));
    }
    write(&store, puts).await;
    let mut expected = [record(0), record(1), record(2)];
    expected.sort();
    assert_eq!(
        list(&store, &place("sys.A", Scope::Subtree), 10).await,
        expected
    );
    assert_eq!(
        list(&store, &place("sys.A", Scope::Node), 10).await,
        [record(0)]
    );
    let all = list(&store, &place("sys", Scope::Subtree), 5).await;
    assert_eq!(all.len(), neighbors.len());
}

pub(super) async fn a_document_is_found_where_and_as_it_is_now(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    let before = Document {
        keys: vec![key("name", "Acme"), key("kept", "1"), key("dropped", "1")],
        ..named(&one, "sys.Here", "")
    };
    let after = Document {
        keys: vec![key("kept", "1"), key("name", "Bolt"), key("added", "1")],
        ..named(&one, "sys.There", "")
    };
    write(&store, vec![Change::Put(before)]).await;
    write(&store, vec![Change::Put(after)]).await;
    for gone in [
        place("sys.Here", Scope::Subtree),
        having(vec![key("name", "Acme")]),
        having(vec![key("dropped", "1")]),
    ] {
        assert_eq!(list(&store, &gone, 10).await, []);
    }
    for there in [
        place("sys.There", Scope::Node),
        having(vec![key("name", "Bolt"), key("added", "1")]),
        having(vec![key("kept", "1")]),
    ] {
        let found = list(&store, &there, 10).await;
        assert_eq!(found, std::slice::from_ref(&one));
    }
    write(&store, vec![Change::Delete(one)]).await;
    assert_eq!(list(&store, &everything(), 10).await, []);
    assert_eq!(list(&store, &having(vec![key("kept", "1")]), 10).await, []);
}

pub(super) async fn listing_continues_after_a_deleted_document(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    write(&store, (0..10).map(|number| put(&record(number))).collect()).await;
    let all = list(&store, &everything(), 100).await;
    let first = store.find(&everything(), None, 4).await.unwrap();
    write(&store, vec![Change::Delete(all[3].clone())]).await;
    let cursor = first.next.as_deref();
    let rest = store.find(&everything(), cursor, 100).await.unwrap();
    let rest: Vec<Reference> = rest
        .items
        .into_iter()
        .map(|found| found.reference)
        .collect();
    assert_eq!(rest, all[4..]);
}

pub(super) async fn a_cursor_of_another_listing_is_refused(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    write(&store, (0..4).map(|number| put(&record(number))).collect()).await;
    let page = store.find(&everything(), None, 2).await.unwrap();
    let cursor = page.next.unwrap();
    let tampered = [
        String::new(),
        "0".to_owned(),
        "%".to_owned(),
        format!("{cursor}A"),
        cursor[1..].to_owned(),
        cursor[..cursor.len() - 1].to_owned(),
        swap_case(&cursor),
    ];
    for cursor in tampered {
        assert_invalid(store.find(&everything(), Some(&cursor), 2).await);
        assert_invalid(store.upcoming(None, Some(&cursor), 2).await);
        let any = relation_types::transactions::TransactionFilter::default();
        assert_invalid(store.transactions(&any, Some(&cursor), 2).await);
    }
    let named = having(vec![key("name", "Acme")]);
    let elsewhere = place("sys.Provider.Customer", Scope::Node);
    for other in [named, elsewhere] {
        assert_invalid(store.find(&other, Some(&cursor), 2).await);
    }
    assert_invalid(store.find(&everything(), None, 0).await);
}

/// Returns the text with its first letter in the other case.
fn swap_case(text: &str) -> String {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] ^= 0x20;
    String::from_utf8(bytes).unwrap()
}
