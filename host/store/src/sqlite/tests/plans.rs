//! Tests that every statement uses an index, so that its cost follows its results.

use rusqlite::Connection;

use super::*;
use relation_types::transactions::Status;
use relation_types::{Pkid, Scope};

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
fn statements_use_an_index_without_sorting() {
    let connection = open::open_memory().unwrap();
    let statements = [
        documents::STATEMENTS,
        search::STATEMENTS,
        sorted::STATEMENTS,
        secrets::STATEMENTS,
        wakeups::STATEMENTS,
        due::STATEMENTS,
        calls::STATEMENTS,
        queue::STATEMENTS,
        transactions::STATEMENTS,
    ];
    for statement in statements.into_iter().flatten() {
        let steps = plan(&connection, statement);
        assert!(!steps.is_empty(), "{statement}");
        for step in steps {
            assert!(!step.contains("SCAN"), "{statement}: {step}");
            // The two or three wakeups of one subject may be sorted.
            let sorts = step.contains("TEMP B-TREE") && !statement.contains("ORDER BY due, id");
            assert!(!sorts, "{statement}: {step}");
        }
    }
}

#[test]
fn transaction_listings_walk_one_index() {
    let connection = open::open_memory().unwrap();
    let subject = Reference::record(Pkid::random());
    let places = [None, Some(Scope::Node), Some(Scope::Subtree)];
    let mut filters = Vec::new();
    for status in Status::ALL.map(Some).into_iter().chain([None]) {
        for subject in [None, Some(subject.clone())] {
            for action in [None, Some("refresh".to_owned())] {
                for (id_prefix, parent) in [(None, None), (Some("01"), None), (None, Some("01"))] {
                    filters.extend(places.map(|scope| TransactionFilter {
                        subject: subject.clone(),
                        hierarchy: scope.map(|scope| ("sys.A".parse().unwrap(), scope)),
                        status,
                        action: action.clone(),
                        id_prefix: id_prefix.map(str::to_owned),
                        parent: parent.map(str::to_owned),
                    }));
                }
            }
        }
    }
    for filter in filters {
        let statement = transaction_listing::listing_statement(&filter);
        let mut steps = plan(&connection, &statement);
        if statement.contains("CROSS JOIN") {
            // The transaction of each row of the index.
            let row = steps.pop().unwrap();
            assert!(row.ends_with("PRIMARY KEY (id=?)"), "{statement}: {row}");
        }
        if statement.contains("EXISTS") {
            // The row by node of each part.
            let row = steps.pop().unwrap();
            assert!(
                row.ends_with("PRIMARY KEY (node=? AND id=?)"),
                "{statement}: {row}"
            );
            assert!(steps.pop().unwrap().contains("CORRELATED SCALAR SUBQUERY"));
        }
        assert_eq!(steps.len(), 1, "{statement}: {steps:?}");
        assert!(steps[0].starts_with("SEARCH"), "{statement}: {steps:?}");
        let statement = transaction_listing::counting_statement(&filter);
        let steps = plan(&connection, &statement);
        let is_slow = |step: &String| {
            let scans_table = step.starts_with("SCAN") && !step.contains("subquery");
            scans_table || step.contains("TEMP B-TREE")
        };
        assert!(!steps.iter().any(is_slow), "{statement}: {steps:?}");
    }
}

#[test]
fn next_due_uses_the_due_index_alone() {
    let connection = open::open_memory().unwrap();
    let steps = plan(&connection, "SELECT MIN(due) FROM wakeups WHERE due > ?1");
    assert_eq!(
        steps,
        ["SEARCH wakeups USING COVERING INDEX wakeups_by_due (due>?)"]
    );
}
