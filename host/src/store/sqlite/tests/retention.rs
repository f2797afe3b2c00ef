//! The removal of transactions with all that belongs to them, and the time that other writes wait.

use super::*;
use crate::store::Prune;
use crate::transactions::{
    Level, LogLine, NewTransaction, Outcome, Reveal, RevealOutcome, Status, TransactionUpdate,
};

async fn record(store: &SqliteStore, number: u64) {
    let id = format!("{number:08x}");
    let at = Timestamp(number);
    let begin = Begin {
        transaction: NewTransaction {
            id: id.clone(),
            action: "refresh".to_owned(),
            subject: None,
            subject_name: String::new(),
            submitted: at,
            started: at,
        },
        subject: None,
        lease: Duration::ZERO,
        now: at,
        wakeup: None,
    };
    store.begin(begin).await.unwrap();
    let news = TransactionUpdate {
        id,
        lines: vec![LogLine {
            at,
            level: Level::Info,
            message: "a line".to_owned(),
        }],
        reveals: vec![Reveal {
            at,
            owner: None,
            name: "token".to_owned(),
            outcome: RevealOutcome::Opened,
        }],
        outcome: Some(Outcome {
            status: Status::Success,
            message: String::new(),
            completed: at,
        }),
        ..TransactionUpdate::default()
    };
    store.report(news).await.unwrap();
}

#[tokio::test]
async fn a_removed_transaction_leaves_no_row() {
    let store = SqliteStore::in_memory().unwrap();
    for number in 0..5 {
        record(&store, number).await;
    }
    let prune = Prune {
        succeeded_before: Timestamp(3),
        failed_before: Timestamp(0),
        after: None,
        limit: 100,
    };
    let done = store.prune_transactions(prune).await.unwrap();
    assert_eq!((done.removed, done.next), (3, None));
    for table in ["transactions", "transaction_log", "transaction_reveals"] {
        let rows = |connection: &Connection| {
            let count = format!("SELECT COUNT(*) FROM {table}");
            Ok(connection.query_row(&count, [], |row| row.get::<_, i64>(0))?)
        };
        assert_eq!(store.read(rows).unwrap(), 2, "{table}");
    }
}
