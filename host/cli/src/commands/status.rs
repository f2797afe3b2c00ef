//! `status`: shows customers that need a person, due wakeups and problems on one screen.

use std::collections::BTreeSet;

use relation_app::alerts::{Alert, INSTALLATION, Severity};
use relation_app::imports::FailedImport;
use relation_app::status::{self, CustomerNeedingPerson, Status, Verdict};
use relation_app::{AppError, ErrorKind};
use relation_host::reports::State;
use relation_host::text::format_count;
use relation_notify::runner::FailureCounts;

use super::alerts::render_alerts;
use crate::invocation::complete;
use crate::output::escape_control_chars;
use crate::table::{Column, MAX_NAME_WIDTH, Table, pair_table};
use crate::{Context, time};

/// The maximum number of customers that the error names.
const MAX_NAMED: usize = 3;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
For a monitoring system, the exit code is
  0  no action is needed
  4  a person must connect a customer again, start a failed import, or act on an
     alert
  6  the operator must act: the installation has a problem
Any other code is an error of the command itself: the status is not known.")]
pub struct Args {}

/// Prints the status. Fails if somebody must act.
pub async fn run(context: &Context) -> Result<(), AppError> {
    let mut status = status::read(&context.installation).await?;
    let problems = status.problems.iter_mut().map(|problem| &mut problem.hint);
    let imports = status.failed_imports.iter_mut();
    for hint in problems.chain(imports.map(|failed| &mut failed.hint)) {
        *hint = complete(hint).into_owned();
    }
    context.output.print(&status, render_text)?;
    match status.verdict {
        Verdict::Ok => Ok(()),
        Verdict::NeedsPerson => {
            let customers = status.needs_person.iter();
            let customers = customers.map(|customer| (&*customer.name, customer.connect_hint()));
            let imports = status
                .failed_imports
                .iter()
                .filter(|failed| failed.needs_person());
            let imports = imports.map(|failed| (&*failed.name, failed.hint.clone()));
            let alerts = status.alerts.iter();
            let alerts = alerts.filter(|alert| alert.body.severity <= Severity::Major);
            let alerts = alerts.map(|alert| {
                let hint = "`relation-host alerts` has the reason and the next step";
                (&*alert.customer, hint.to_owned())
            });
            let all = customers.chain(imports).chain(alerts);
            let (mut names, hints): (Vec<&str>, Vec<String>) = all.unzip();
            let mut seen = BTreeSet::new();
            names.retain(|name| seen.insert(*name));
            let more = match names.len() > MAX_NAMED {
                true => " and others",
                false => "",
            };
            names.truncate(MAX_NAMED);
            let message = format!("customers need a person: {}{more}", names.join(", "));
            let hint = hints.into_iter().next().unwrap_or_default();
            Err(AppError::new(ErrorKind::Reauthorize, message).hint(hint))
        }
        Verdict::Problem => {
            let count = status.problems.len() as u64;
            let problems = format_count(count, "problem", "problems");
            let message = format!("the installation has {problems}");
            let error = AppError::new(ErrorKind::Problem, message);
            Err(match status.problems.first() {
                Some(first) => error.hint(first.hint.clone()),
                None => error,
            })
        }
    }
}

fn render_text(status: &Status) -> String {
    let mut blocks = vec![render_counts(status).to_string()];
    if !status.problems.is_empty() {
        let lines = status.problems.iter().map(|problem| {
            let message = escape_control_chars(&problem.message);
            format!("problem: {message}\n         {}", problem.hint)
        });
        blocks.push(lines.collect::<Vec<_>>().join("\n"));
    }
    if !status.needs_person.is_empty() {
        blocks.push(render_customers(status));
    }
    // Those of the installation are problems.
    let of_customers = status.alerts.iter();
    let of_customers = of_customers.filter(|alert| alert.body.subject != INSTALLATION);
    let of_customers: Vec<Alert> = of_customers.cloned().collect();
    if !of_customers.is_empty() {
        let total: u64 = status.alert_counts.values().sum();
        let table = render_alerts(&of_customers).to_string();
        blocks.push(with_rest(table, status.alerts.len(), total));
    }
    if !status.failed_imports.is_empty() {
        blocks.push(render_failed_imports(&status.failed_imports));
    }
    blocks.join("\n\n")
}

fn render_counts(status: &Status) -> Table {
    let customers = &status.customers;
    let count = |state: &State| customers.by_state.get(state.as_str()).copied();
    let states = State::ALL
        .iter()
        .filter_map(|state| Some((count(state)?, state)));
    let states = states.filter(|(count, _)| *count > 0);
    let states: Vec<String> = states
        .map(|(count, state)| format!("{count} {state}"))
        .collect();
    let severities = status.alert_counts.iter().filter(|(_, count)| **count > 0);
    let severities = severities.map(|(severity, count)| format!("{count} {}", severity.as_str()));
    let severities: Vec<String> = severities.collect();
    let or_none = |parts: Vec<String>| match parts.is_empty() {
        true => "none".to_owned(),
        false => parts.join(", "),
    };
    let wakeups = match status.wakeups.next {
        Some(next) => format!(
            "{} due, the earliest {}",
            status.wakeups.due,
            time::format_due(next, status.at)
        ),
        None => "none".to_owned(),
    };
    let mut pairs = vec![
        ("status", status.verdict.as_str().to_owned()),
        ("customers", customers.total.to_string()),
        ("states", or_none(states)),
        ("alerts", or_none(severities)),
        ("wakeups", wakeups),
    ];
    if !status.hosts.is_empty() {
        pairs.push(("hosts", describe_hosts(status)));
    }
    let FailureCounts { dead, disabled } = status.notices;
    if dead > 0 {
        let dead = format_count(dead, "was not delivered", "were not delivered");
        let next = "`relation-host notices list --state dead`";
        pairs.push(("notices", format!("{dead}: {next}")));
    }
    if disabled > 0 {
        let disabled = format_count(disabled, "is disabled", "are disabled");
        let next = "`relation-host notices endpoints`";
        pairs.push(("endpoints", format!("{disabled}: {next}")));
    }
    pair_table(pairs)
}

/// Names the hosts, those that do not run with the time since when they were not seen.
fn describe_hosts(status: &Status) -> String {
    let hosts = status.hosts.iter().map(|host| {
        let name = escape_control_chars(&host.name);
        match host.alive {
            true => format!("{name} runs"),
            false => format!("{name} last seen {}", time::format_utc(host.seen)),
        }
    });
    hosts.collect::<Vec<_>>().join(", ")
}

fn render_customers(status: &Status) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("needs a person")
            .shortened(16)
            .at_most(MAX_NAME_WIDTH),
        Column::new("hierarchy").tail(12).droppable(2),
        Column::new("states"),
        Column::new("pkid").droppable(1),
    ]);
    for CustomerNeedingPerson {
        pkid,
        name,
        hierarchy,
        states,
        ..
    } in &status.needs_person
    {
        let states = states.join(", ");
        rows.add([name, hierarchy.as_str(), &states, pkid.as_str()]);
    }
    match status.more_need_person {
        true => format!("{rows}\nand more: `relation-host list`"),
        false => rows.to_string(),
    }
}

/// Renders failed imports without columns, which would break the commands in the hints.
fn render_failed_imports(imports: &[FailedImport]) -> String {
    let lines = imports.iter().map(|failed| {
        let (name, at) = (&failed.name, time::format_utc(failed.at));
        let text = format!("{name}, {at}: {}", failed.message);
        let (text, hint) = (
            escape_control_chars(&text),
            escape_control_chars(&failed.hint),
        );
        format!("failed import: {text}\n               {hint}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Adds a line for the alerts that are not shown.
fn with_rest(table: String, shown: usize, total: u64) -> String {
    let rest = total.saturating_sub(shown as u64);
    match rest {
        0 => table,
        rest => format!("{table}\nand {rest} more: `relation-host alerts`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_not_shown_are_counted() {
        assert_eq!(with_rest("t".to_owned(), 20, 20), "t");
        assert_eq!(
            with_rest("t".to_owned(), 20, 25),
            "t\nand 5 more: `relation-host alerts`"
        );
    }
}
