//! Ids are stable and distinct.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::{facts, provider, route_first, utc};
use crate::NoticeKind;
use crate::routing::{Event, NoticeKey};
use crate::settings::{Defaults, KINDS};

fn key() -> impl Strategy<Value = NoticeKey> {
    let kind = prop::sample::select(KINDS.map(|(_, kind)| kind).to_vec());
    ("[ab]{0,3}", 0..3_u64, 0..3_u64, kind, "[ab]{0,3}").prop_map(
        |(source, generation, threshold_ms, kind, episode)| NoticeKey {
            source,
            generation,
            threshold_ms,
            kind,
            episode,
        },
    )
}

#[test]
fn ids_do_not_change_between_releases() {
    let key = NoticeKey {
        source: "0123456789abcdef01234567/organization".to_owned(),
        generation: 3,
        threshold_ms: 172_800_000,
        kind: NoticeKind::Expiring,
        episode: String::new(),
    };
    assert_eq!(key.to_id().as_str(), "476b93d5-1c23-8538-bc84-edac56f3613a");
    let now = "2026-12-30T12:00:00Z";
    let resolved = provider(json!({"recipients": ["noc@example.com"]}));
    let plan = route_first(&Event::expiring(&facts(), utc(now)), &resolved, now);
    assert_eq!(plan.notice.id, "476b93d5-1c23-8538-bc84-edac56f3613a");
    assert_eq!(
        plan.deliveries[0].id.as_str(),
        "03f5165d-aef7-845b-bc39-abcab17045c5"
    );
    assert_eq!(plan.deliveries[0].id.to_pkid(), "03f5165daef7845bbc39abca");
}

#[test]
fn endpoint_of_another_level_is_another_recipient() {
    let hook =
        json!([{"type": "webhook", "id": "hook", "name": "w", "url": "https://example.com"}]);
    let now = "2026-12-30T12:00:00Z";
    let id = |path: &str| {
        let levels = [crate::settings::tests::level(
            path,
            json!({"recipients": hook}),
        )];
        let resolved = crate::settings::resolve(&levels, &Defaults::default());
        let plan = route_first(&Event::expiring(&facts(), utc(now)), &resolved, now);
        plan.deliveries[0].id.clone()
    };
    assert_ne!(id("sys"), id("sys.Provider"));
}

proptest! {
    #[test]
    fn different_keys_have_different_ids(keys in prop::collection::vec(key(), 0..30)) {
        let mut distinct: Vec<&NoticeKey> = Vec::new();
        for key in &keys {
            if !distinct.contains(&key) {
                distinct.push(key);
            }
        }
        let ids: BTreeSet<_> = keys.iter().map(|key| key.to_id()).collect();
        prop_assert_eq!(ids.len(), distinct.len());
        for id in ids {
            prop_assert_eq!(id.as_str().len(), 36);
            prop_assert_eq!(id.to_pkid().len(), 24);
            prop_assert!(id.to_pkid().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        }
    }
}
