//! Listings: complete, ordered, in pages.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::{Change, Store};
use relation_types::{Document, Filter, Key, RECORD_MODEL, Reference, Scope};

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
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store.find(filter, cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit as usize);
        assert!(page.next.is_none() || page.items.len() == limit as usize);
        found.extend(page.items.into_iter().map(|document| document.reference));
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

pub(super) async fn listings_are_complete_ordered_without_repeats(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let nodes = [
        "sys",
        "sys.P",
        "sys.P.R",
        "sys.P.R.C1",
        "sys.P.R.C2",
        "sys.Q",
    ];
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
            ],
            ..document(&record(number))
        });
    }
    write(&store, all.iter().cloned().map(Change::Put).collect()).await;
    all.sort_by(|a, b| a.reference.pkid.cmp(&b.reference.pkid));

    let equals = [
        vec![],
        vec![key("parity", "even")],
        vec![key("parity", "odd"), key("third", "1")],
        vec![key("name", "Customer 7"), key("parity", "odd")],
        vec![key("name", "nobody")],
        vec![key("name", "nobody"), key("parity", "odd")],
    ];
    let mut places = vec![None];
    for node in nodes.iter().chain(&["sys.Nowhere"]) {
        for scope in [Scope::Node, Scope::Subtree] {
            places.push(Some((hierarchy(node), scope)));
        }
    }
    for place in &places {
        for keys in &equals {
            let filter = Filter {
                hierarchy: place.clone(),
                ..having(keys.clone())
            };
            let expected: Vec<Reference> = all
                .iter()
                .filter(|document| matches(&filter, document))
                .map(|document| document.reference.clone())
                .collect();
            for limit in [1, 3, 100, 1000] {
                let found = list(&store, &filter, limit).await;
                assert_eq!(found, expected, "{filter:?} in pages of {limit}");
            }
        }
    }
}

pub(super) async fn a_neighbour_whose_path_begins_alike_is_not_below(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let neighbours = [
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
    for (number, node) in (0..).zip(neighbours) {
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
    assert_eq!(all.len(), neighbours.len());
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
