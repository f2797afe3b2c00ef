//! Tests that reads and removals use indexes, so that their cost follows their results.

use relation_store::seal::Sealed;
use relation_store::{
    KeyStore, KindFilter, PruneRequest, ResealAction, ResealStep, SecretScope, TransactionStore,
    WakeupStore,
};
use relation_test_postgres::Cluster;
use relation_types::transactions::{Status, TransactionFilter};
use relation_types::{Pkid, Reference, Scope, Timestamp};

use super::{due, open};

const TRANSACTIONS: &str = "
    INSERT INTO relation.transactions (id, action, subject_model, subject_pkid, subject_name, status, message,
        submitted, started, completed, holder, hierarchy)
    SELECT lpad(to_hex(i), 8, '0') || '-0000-7000-8000-000000000000', (ARRAY['refresh', 'add', 'sync'])[1 + i % 3],
        'm', substr(md5((i % 500)::text), 1, 24), '', CASE i % 1000 WHEN 0 THEN 'Fail' WHEN 1 THEN 'Processing'
            WHEN 2 THEN 'Queued' WHEN 3 THEN 'Success With Async Failures' ELSE 'Success' END,
        '', i, i, i, 'h', CASE WHEN i % 50 = 0 THEN 'sys.A' ELSE 'sys.B' END
    FROM generate_series(1, 30000) i;
    INSERT INTO relation.transaction_nodes (node, id)
    SELECT n.node, t.id FROM relation.transactions t, unnest(ARRAY['sys', t.hierarchy, t.hierarchy || '.']) n (node);
    INSERT INTO relation.transaction_news (transaction_id, lines, reveals) SELECT t.id, '', '' FROM relation.transactions t;
    INSERT INTO relation.secrets (model, pkid, name, sealed)
    SELECT 'm', substr(md5(i::text), 1, 24), 'token', '\\x0100000001'::bytea || decode(md5(i::text) || md5(i::text)
        || md5(i::text), 'hex') FROM generate_series(1, 20000) i;
    ANALYZE relation.transactions, relation.transaction_nodes, relation.transaction_news, relation.secrets;";

/// Reads of whole tables since the last reset. Only the look at the use of keys is one.
const SCANS: &str = "SELECT relname FROM pg_stat_user_tables WHERE seq_scan > 0 AND relname IN ('wakeups', 'leases',
    'transactions', 'transaction_nodes', 'transaction_news', 'secrets', 'documents', 'document_keys')";

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_removals_scan_no_table() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let query = |statement: &str| cluster.execute(database.name(), statement).unwrap();
    let store = open(&database).await;
    query(due::BACKLOG);
    query(TRANSACTIONS);
    let pkid: Pkid = query("SELECT substr(md5('77'), 1, 24)").parse().unwrap();
    let subject = Reference::new("m", pkid);
    query("SELECT pg_stat_reset()");

    // More often than a plan for one set of values is made before a plan for all is considered.
    for round in 0..7 {
        let now = Timestamp(1_800_000_000_017);
        for limit in [1, 64] {
            for kinds in [
                KindFilter::All,
                KindFilter::Only("sync"),
                KindFilter::Except(&["refresh"]),
            ] {
                store.due(now, limit, kinds).await.unwrap();
            }
        }
        store.wakeups(&subject).await.unwrap();
        store.next_due(Some(now)).await.unwrap();
        store.count_due(now, 1_000).await.unwrap();
        for node in ["sys.A", "sys.B", "sys.C", "sys.D"] {
            let node = Some(node.parse().unwrap());
            let page = store.upcoming(node.as_ref(), None, 20).await.unwrap();
            let next = page.next.as_deref();
            store.upcoming(node.as_ref(), next, 20).await.unwrap();
        }
        let page = store.upcoming(None, None, 20).await.unwrap();
        let next = page.next.as_deref();
        store.upcoming(None, next, 20).await.unwrap();
        for filter in filters(&subject) {
            let page = store.transactions(&filter, None, 20).await.unwrap();
            let next = page.next.as_deref();
            store.transactions(&filter, next, 20).await.unwrap();
            store.count_transactions(&filter, 100).await.unwrap();
        }
        let id = format!("{:08x}-0000-7000-8000-000000000000", 20_000);
        assert!(store.transaction(&id).await.unwrap().is_some());
        for scope in [
            SecretScope::All,
            SecretScope::NotSealedWith(2),
            SecretScope::Quarantined,
        ] {
            let page = store.secrets(scope, None, 20).await.unwrap();
            let next = page.next.as_deref();
            store.secrets(scope, next, 20).await.unwrap();
        }
        assert!(store.sealed(&subject, "token").await.unwrap().is_some());
        let prune = PruneRequest {
            succeeded_before: Timestamp(1_000),
            failed_before: Timestamp(1_000),
            after: None,
            limit: 100,
        };
        store.prune_transactions(prune).await.unwrap();
        let page = store.secrets(SecretScope::All, None, 10).await.unwrap();
        let steps = page.items.into_iter().map(|secret| ResealStep {
            to: ResealAction::Sealed(Sealed::try_from(vec![1; 60 + round]).unwrap()),
            secret,
        });
        // The data key of the new value does not exist.
        store.reseal(steps.collect()).await.unwrap_err();
        let page = store.secrets(SecretScope::All, None, 10).await.unwrap();
        let steps = page.items.into_iter().map(|secret| ResealStep {
            to: ResealAction::Sound,
            secret,
        });
        let done = store.reseal(steps.collect()).await.unwrap();
        assert_eq!(done, [true; 10]);
    }
    // A session reports its numbers at its end.
    drop(store);
    let sessions = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    while query(sessions) != "0" {}
    assert_eq!(query(SCANS), "");
    let used = "SELECT count(*) FROM pg_stat_user_tables WHERE idx_scan > 0";
    assert_ne!(query(used), "0", "the numbers were reported");
}

fn filters(subject: &Reference) -> Vec<TransactionFilter> {
    let places = [None, Some("sys.A"), Some("sys.B")];
    let ids = [
        (None, None),
        (Some("0000001"), None),
        (None, Some("00000010")),
    ];
    let mut filters = Vec::new();
    for status in Status::ALL.map(Some).into_iter().chain([None]) {
        for subject in [None, Some(subject.clone())] {
            for action in [None, Some("refresh"), Some("nothing")] {
                for (place, (id_prefix, parent)) in
                    places.iter().flat_map(|place| ids.map(|ids| (place, ids)))
                {
                    filters.push(TransactionFilter {
                        subject: subject.clone(),
                        hierarchy: place.map(|place| (place.parse().unwrap(), Scope::Subtree)),
                        status,
                        action: action.map(str::to_owned),
                        id_prefix: id_prefix.map(str::to_owned),
                        parent: parent.map(str::to_owned),
                    });
                }
            }
        }
    }
    filters
}
