//! The limits of a call, in the format of scenarios.

use relation_host::Limits;
use toml::{Table, Value};

use crate::scenario::durations::format_duration;

/// Returns the limits that differ from the defaults.
pub(super) fn changed_limits(limits: &Limits) -> Table {
    let usual = all_limits(&Limits::default());
    let differing = all_limits(limits).into_iter().zip(usual);
    let differing = differing.filter(|(here, usual)| here != usual);
    differing
        .map(|((name, value), _)| (name.to_owned(), value))
        .collect()
}

fn all_limits(limits: &Limits) -> [(&'static str, Value); 14] {
    let size = |bytes: usize| Value::from(format!("{bytes} B"));
    let count = |count: u64| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
    let many = |count: usize| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
    // Exhaustive, so that new limits are not forgotten.
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
        // The number of concurrent calls is not a limit of one call.
        calls: _,
    } = *limits;
    [
        ("memory", size(memory)),
        ("time", format_duration(time).into()),
        ("request-time", format_duration(request_time).into()),
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
