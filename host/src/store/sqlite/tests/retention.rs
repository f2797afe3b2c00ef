//! Old transactions are forgotten, running ones never.

use super::*;
use crate::transactions::{Level, LogLine, NewTransaction, Outcome, Status};

/// The id of a transaction that was made at this moment: a UUID v7.
fn made_at(millis: u64) -> String {
    let digits = format!("{millis:012x}");
    format!("{}-{}-7000-8000-00000000000f", &digits[..8], &digits[8..])
}

async fn record(store: &SqliteStore, millis: u64, ends: bool) {
    let at = Timestamp(millis);
    let begin = Begin {
        transaction: NewTransaction {
            id: made_at(millis),
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
        id: made_at(millis),
        lines: vec![LogLine {
            at,
            level: Level::Info,
            message: "a line".to_owned(),
        }],
        outcome: ends.then(|| Outcome {
            status: Status::Success,
            message: String::new(),
            completed: at,
        }),
        ..TransactionUpdate::default()
    };
    store.report(news).await.unwrap();
}

#[tokio::test]
async fn what_ended_before_a_moment_is_forgotten_with_its_log() {
    let store = SqliteStore::in_memory().unwrap();
    let start = 1_795_000_000_000;
    for (offset, ends) in [(0, true), (1, false), (2, true), (3, true)] {
        record(&store, start + offset, ends).await;
    }
    let until = Timestamp(start + 3);
    assert_eq!(store.forget_transactions(until).await.unwrap(), 2);
    assert_eq!(store.forget_transactions(until).await.unwrap(), 0);
    let all = TransactionFilter::default();
    let left = store.transactions(&all, None, 10).await.unwrap().items;
    let left: Vec<String> = left.into_iter().map(|found| found.id).collect();
    assert_eq!(left, [made_at(start + 3), made_at(start + 1)]);
    let lines = |connection: &Connection| {
        let count = "SELECT COUNT(*) FROM transaction_log";
        Ok(connection.query_row(count, [], |row| row.get::<_, i64>(0))?)
    };
    assert_eq!(store.read(lines).unwrap(), 2);
}
