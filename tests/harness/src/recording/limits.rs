//! The bounds of a call, as a scenario gives them.

use relation_host::Limits;
use toml::{Table, Value};

use crate::scenario::spans::span;

/// What is not as usual.
pub(super) fn limits(limits: &Limits) -> Table {
    let usual = all(&Limits::default());
    let differing = all(limits).into_iter().zip(usual);
    let differing = differing.filter(|(here, usual)| here != usual);
    differing
        .map(|((name, value), _)| (name.to_owned(), value))
        .collect()
}

fn all(limits: &Limits) -> [(&'static str, Value); 14] {
    let size = |bytes: usize| Value::from(format!("{bytes} B"));
    let count = |count: u64| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
    let many = |count: usize| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
    // By name, so that none is forgotten.
    let Limits {
        memory,
        time,
        request_time,
        response,
        headers,
        requests,
        commit,
        changes,
        host_calls,
        transfer,
        handles,
        table,
        secrets,
        log,
        // How many run at once is no bound of one.
        calls: _,
    } = *limits;
    [
        ("memory", size(memory)),
        ("time", span(time).into()),
        ("request-time", span(request_time).into()),
        ("response", size(response)),
        ("headers", size(headers)),
        ("requests", count(requests.into())),
        ("commit", size(commit)),
        ("changes", many(changes)),
        ("host-calls", count(host_calls)),
        ("transfer", size(transfer)),
        ("handles", many(handles)),
        ("table", many(table)),
        ("secrets", many(secrets)),
        ("log", size(log)),
    ]
}
