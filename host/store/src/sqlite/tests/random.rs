//! Compares searches in random databases with a scan of all documents.

use proptest::prelude::*;

use super::search::SearchLimits;
use super::*;
use crate::Change;
use relation_types::{Key, Pkid, Scope};

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
        (a, b) in (0..3_u8, 0..8_u8),
    ) -> Document {
        Document {
            reference: Reference::new("m", format!("{pkid:024x}").parse::<Pkid>().unwrap()),
            hierarchy: NODES[node].parse().unwrap(),
            version: 0,
            body: "{}".to_owned(),
            keys: vec![key("a", a), key("b", b)],
        }
    }
}

prop_compose! {
    fn any_filter()(
        node in prop::option::of((0..6_usize, any::<bool>())),
        a in prop::option::of(0..3_u8),
        b in prop::option::of(0..8_u8),
    ) -> Filter {
        let scope = |deep| if deep { Scope::Subtree } else { Scope::Node };
        let keys = [a.map(|a| key("a", a)), b.map(|b| key("b", b))];
        Filter {
            model: "m".to_owned(),
            hierarchy: node.map(|(node, deep)| (NODES[node].parse().unwrap(), scope(deep))),
            equals: keys.into_iter().flatten().collect(),
        }
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
    fn search_matches_a_full_scan_with_any_limits(
        documents in prop::collection::vec(any_document(), 0..120),
        filters in prop::collection::vec(any_filter(), 1..8),
        want in 1..9_usize,
        few in 0..6_usize,
        walked in 0..20_usize,
        listed in 0..30_usize,
    ) {
        let connection = open::open_memory().unwrap();
        let changes = documents.iter().cloned().map(Change::Put).collect();
        let commit = Commit { changes, ..Commit::default() };
        commit::commit(&connection, &commit).unwrap();
        let effort = SearchLimits { few, walked, listed };

        for filter in filters {
            let mut expected: Vec<&str> = documents
                .iter()
                .filter(|document| matches(&filter, document))
                .map(|document| document.reference.pkid.as_str())
                .collect();
            expected.sort_unstable();
            let mut found: Vec<String> = Vec::new();
            loop {
                let from = found.last().map(|last| search::successor(last)).unwrap_or_default();
                let page = search::find_pkids(&connection, &filter, &from, want, effort).unwrap();
                prop_assert!(page.len() <= want);
                let ended = page.len() < want;
                found.extend(page);
                if ended {
                    break;
                }
            }
            prop_assert_eq!(found, expected, "{:?}", filter);
        }
    }
}
