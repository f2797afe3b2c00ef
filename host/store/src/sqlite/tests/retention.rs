//! Tests that removing a transaction removes all of its rows.

use super::*;
use crate::PruneRequest;
use relation_types::transactions::{
    Level, LogLine, NewTransaction, SecretAccess, SecretAccessOutcome, Status, TransactionOutcome,
    TransactionUpdate,
};

async fn record(store: &SqliteStore, number: u64) {
    let id = format!("{number:08x}");
    let at = Timestamp(number);
    let begin = CallStart {
        transaction: NewTransaction {
            id: id.clone(),
            action: "refresh".to_owned(),
            submitted: at,
            started: at,
            ..NewTransaction::default()
        },
        subject: None,
        lease: Duration::ZERO,
        now: at,
        wakeup: None,
    };
    store.begin(begin).await.unwrap();
    let update = TransactionUpdate {
        id,
        lines: vec![LogLine {
            at,
            level: Level::Info,
            message: "a line".to_owned(),
        }],
        secret_accesses: vec![SecretAccess {
            at,
            owner: None,
            name: "token".to_owned(),
            outcome: SecretAccessOutcome::Opened,
        }],
        outcome: Some(TransactionOutcome {
            status: Status::Success,
            message: String::new(),
            completed: at,
        }),
        ..TransactionUpdate::default()
    };
    store.report(update).await.unwrap();
}

#[tokio::test]
async fn a_removed_transaction_leaves_no_row() {
    let store = SqliteStore::in_memory().unwrap();
    for number in 0..5 {
        record(&store, number).await;
    }
    let prune = PruneRequest {
        succeeded_before: Timestamp(3),
        failed_before: Timestamp(0),
        after: None,
        limit: 100,
    };
    let done = store.prune_transactions(prune).await.unwrap();
    assert_eq!((done.removed, done.next), (3, None));
    for table in ["transactions", "transaction_log"] {
        let rows = |connection: &Connection| {
            let count = format!("SELECT COUNT(*) FROM {table}");
            Ok(connection.query_row(&count, [], |row| row.get::<_, i64>(0))?)
        };
        assert_eq!(store.read(rows).unwrap(), 2, "{table}");
    }
}
