//! Every statement finds its rows by an index, so that its cost follows what it finds.

use rusqlite::Connection;

use super::*;
use crate::transactions::Status;
use crate::types::Pkid;

fn plan(connection: &Connection, statement: &str) -> Vec<String> {
    let mut explained = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    let mut rows = explained.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

#[test]
fn no_statement_looks_at_rows_that_it_does_not_want() {
    let connection = open::open_memory().unwrap();
    let statements = [
        documents::STATEMENTS,
        search::STATEMENTS,
        secrets::STATEMENTS,
        wakeups::STATEMENTS,
        due::STATEMENTS,
        reveals::STATEMENTS,
        calls::STATEMENTS,
        transactions::STATEMENTS,
    ];
    for statement in statements.into_iter().flatten() {
        let steps = plan(&connection, statement);
        assert!(!steps.is_empty(), "{statement}");
        for step in steps {
            assert!(!step.contains("SCAN"), "{statement}: {step}");
            // The wakeups of one subject are sorted: they are two or three.
            let sorts = step.contains("TEMP B-TREE") && !statement.contains("ORDER BY due, id");
            assert!(!sorts, "{statement}: {step}");
        }
    }
}

#[test]
fn every_listing_of_transactions_walks_an_index_in_its_order() {
    let connection = open::open_memory().unwrap();
    let subject = Reference::record(Pkid::random());
    let statuses = [Status::Processing, Status::Success, Status::Fail];
    for status in statuses.map(Some).into_iter().chain([None]) {
        for subject in [None, Some(subject.clone())] {
            for action in [None, Some("refresh".to_owned())] {
                let filter = TransactionFilter {
                    subject: subject.clone(),
                    status,
                    action,
                };
                let statement = transactions::listing(&filter);
                let steps = plan(&connection, &statement);
                assert_eq!(steps.len(), 1, "{statement}: {steps:?}");
                assert!(steps[0].starts_with("SEARCH"), "{statement}: {steps:?}");
            }
        }
    }
}

#[test]
fn the_due_index_alone_tells_what_is_next() {
    let connection = open::open_memory().unwrap();
    let steps = plan(&connection, "SELECT MIN(due) FROM wakeups");
    assert_eq!(
        steps,
        ["SEARCH wakeups USING COVERING INDEX wakeups_by_due"]
    );
}
