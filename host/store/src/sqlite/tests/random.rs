//! Compares listings and counts in random databases with a scan of all documents.

use proptest::prelude::*;

use super::search::SearchLimits;
use super::writer::Batch;
use super::*;
use crate::{Change, SortOrder};
use relation_types::{Key, Pkid, RECORD_MODEL, Scope};

const NODES: [&str; 6] = ["sys", "sys.A", "sys.A.B", "sys.A.B.C", "sys.AB", "sys.B"];

fn key(name: &str, value: u8) -> Key {
    Key {
        name: name.to_owned(),
        value: value.to_string(),
    }
}

prop_compose! {
    fn any_document()(
        pkid in 0..u64::MAX,
        // Most documents are at the first nodes: some subtrees are common, others rare.
        node in prop_oneof![6 => 0..2_usize, 1 => 2..6_usize],
        (name, b) in (prop::option::weighted(0.9, 0..3_u8), 0..8_u8),
    ) -> Document {
        let name = name.map(|name| key("name", name));
        Document {
            reference: Reference::new(RECORD_MODEL, format!("{pkid:024x}").parse::<Pkid>().unwrap()),
            hierarchy: NODES[node].parse().unwrap(),
            version: 0,
            body: "{}".to_owned(),
            keys: name.into_iter().chain([key("b", b)]).collect(),
        }
    }
}

prop_compose! {
    fn any_filter()(
        node in prop::option::of((0..6_usize, any::<bool>())),
        name in prop::option::weighted(0.3, 0..3_u8),
        b in prop::option::of(0..8_u8),
    ) -> Filter {
        let scope = |deep| if deep { Scope::Subtree } else { Scope::Node };
        let keys = [name.map(|name| key("name", name)), b.map(|b| key("b", b))];
        Filter {
            model: RECORD_MODEL.to_owned(),
            hierarchy: node.map(|(node, deep)| (NODES[node].parse().unwrap(), scope(deep))),
            equals: keys.into_iter().flatten().collect(),
        }
    }
}

prop_compose! {
    fn any_order()(by_name in any::<bool>(), descending in any::<bool>()) -> SortOrder {
        SortOrder { key: by_name.then(|| "name".to_owned()), descending }
    }
}

prop_compose! {
    fn any_limits()(
        few in 0..6_usize,
        walked in 0..20_usize,
        listed in 0..30_usize,
        sorted in 0..30_usize,
    ) -> SearchLimits {
        SearchLimits { few, walked, listed, sorted }
    }
}

fn matches(filter: &Filter, document: &Document) -> bool {
    let here = match &filter.hierarchy {
        None => true,
        Some((node, Scope::Node)) => document.hierarchy == *node,
        Some((node, Scope::Subtree)) => node.contains(&document.hierarchy),
    };
    here && filter.equals.iter().all(|key| document.keys.contains(key))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_and_counts_match_a_full_scan_with_any_limits(
        mut documents in prop::collection::vec(any_document(), 0..120),
        changed in prop::collection::vec((any::<prop::sample::Index>(), any_document()), 0..20),
        deleted in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        listings in prop::collection::vec((any_filter(), any_order()), 1..8),
        want in 1..9_usize,
        effort in any_limits(),
    ) {
        let connection = open::open_memory().unwrap();
        let commit = |changes| {
            let commit = Commit { changes, ..Commit::default() };
            let batch = Batch::begin(&connection, Duration::ZERO).unwrap();
            commit::commit(&batch, &commit).unwrap();
            batch.commit().unwrap();
        };
        commit(documents.iter().cloned().map(Change::Put).collect());
        if !documents.is_empty() {
            for (at, change) in changed {
                let document = at.get_mut(&mut documents);
                document.hierarchy = change.hierarchy;
                document.keys = change.keys;
                commit(vec![Change::Put(document.clone())]);
            }
        }
        for at in deleted {
            if !documents.is_empty() {
                let document = documents.swap_remove(at.index(documents.len()));
                commit(vec![Change::Delete(document.reference)]);
            }
        }

        for (filter, order) in listings {
            let all = documents.iter().filter(|document| matches(&filter, document));
            let matching = all.clone().count() as u64;
            let mut expected: Vec<(&str, &str)> =
                all.filter_map(|document| order.position(document)).collect();
            expected.sort_unstable();
            if order.descending {
                expected.reverse();
            }
            let mut found: Vec<(String, String)> = Vec::new();
            loop {
                let after = found.last().cloned();
                let page = sorted::find(&connection, &filter, &order, after, want, effort).unwrap();
                prop_assert!(page.len() <= want);
                let ended = page.len() < want;
                found.extend(page);
                if ended {
                    break;
                }
            }
            let pkids: Vec<&str> = found.iter().map(|(_, pkid)| pkid.as_str()).collect();
            let expected: Vec<&str> = expected.into_iter().map(|(_, pkid)| pkid).collect();
            prop_assert_eq!(pkids, expected, "{:?} {:?}", filter, order);
            for at_most in [0, 1, want as u64, 1000, u64::MAX] {
                let counted = search::count(&connection, &filter, at_most, effort).unwrap();
                prop_assert_eq!(counted, matching.min(at_most), "{:?}", filter);
            }
        }
    }
}
