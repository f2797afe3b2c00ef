//! The reference of the metrics, from their definitions.

use std::fmt::Write as _;

use crate::families::{Definition, ROUTE};

/// The maximum number of values of a label that the reference lists.
const MAX_LISTED: usize = 32;

/// Renders `docs/metrics.md`.
#[must_use]
pub fn render_reference(definitions: &[Definition]) -> String {
    let mut text = INTRODUCTION.to_owned();
    let series: usize = definitions.iter().map(Definition::max_series).sum();
    text.push_str("\n## All metrics\n");
    text.push_str("| name | type | labels | meaning | when to worry |\n|---|---|---|---|---|\n");
    for each in definitions {
        let labels = each.labels.iter().map(|(name, _)| format!("`{name}`"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {labels} | {} | {} |",
            each.name, each.kind, each.help, each.worry
        );
    }
    text.push_str("\n## Values of the labels\n| label | values |\n|---|---|\n");
    let mut seen = Vec::new();
    for (name, values) in definitions.iter().flat_map(|each| &each.labels) {
        if values.is_empty() || seen.contains(&(name, values)) {
            continue;
        }
        seen.push((name, values));
        let listed = match values.len() > MAX_LISTED || *name == ROUTE {
            true => "the patterns of the routes of the API and of the page, and `other`".to_owned(),
            false => {
                let quoted = values.iter().map(|value| format!("`{value}`"));
                quoted.collect::<Vec<_>>().join(", ")
            }
        };
        let users = definitions.iter().filter(|each| {
            let mut labels = each.labels.iter();
            labels.any(|(other, of)| other == name && of == values)
        });
        let users = users.map(|each| format!("`{}`", each.name));
        let users = users.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "| `{name}` of {users} | {listed} |");
    }
    let _ = writeln!(
        text,
        "\nA host has at most {series} series, for any number of customers. `metrics.per-connection` adds one for each, up to 1000."
    );
    text
}

const INTRODUCTION: &str = "\
# Metrics

<!-- Made from host/metrics/src/metrics.rs: `INSTA_UPDATE=always cargo test --workspace --test web metrics` -->

`relation-host run` and `serve` show these metrics at `/metrics` of
[`metrics.listen`](configuration.md#metrics), in Prometheus's text format. [operations.md](operations.md#metrics-and-health)
has the alerts, and what to do about each.

Times are in seconds and sizes in bytes. Counters begin at 0 at the start of a process. No label has a node, a transaction,
an address or a text of an error; none has a customer, except for the gauge of `metrics.per-connection`.

Gauges about the store are read when they are scraped, at most once in 15 seconds. All hosts of one store show the same
values for these: use `max`, not `sum`. Exceptions are `relation_store_up`, `relation_store_queue_length`,
`relation_store_clock_skew_seconds` and `relation_collect_duration_seconds`, of each process, and `relation_stash_*`, of each
machine: look at each `instance`. Counters and histograms are of one process: use `sum`.
";
