//! `docs/sweep.md`, written from the reports.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use relation_harness::sweep::{Blow, Report};
use relation_host::imports::Import;

const BEGINNING: &str = include_str!("page.md");

/// Compares the page.
#[track_caller]
pub fn compare(reports: &[Report]) {
    crate::page::compare("sweep.md", &page(reports));
}

fn page(reports: &[Report]) -> String {
    let mut page = BEGINNING.to_owned();
    page +=
        "| workflow | imports | points | as undisturbed | in a state with a name | unexplained |\n";
    page += "|---|---|---|---|---|---|\n";
    for report in reports {
        let named: Vec<String> = report
            .degraded
            .iter()
            .map(|(name, count)| format!("{count} `{name}`"))
            .collect();
        let named = if named.is_empty() {
            "0".to_owned()
        } else {
            named.join(", ")
        };
        let (imports, points, same) =
            (report.undisturbed.imports.len(), report.points, report.same);
        let (story, unexplained) = (&report.story, report.unexplained.len());
        writeln!(
            page,
            "| {story} | {imports} | {points} | {same} | {named} | {unexplained} |"
        )
        .unwrap();
    }
    let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    let (points, same) = (sum(|report| report.points), sum(|report| report.same));
    let unexplained = sum(|report| report.unexplained.len());
    writeln!(
        page,
        "| **all** | | {points} | {same} | {} | {unexplained} |",
        points - same - unexplained
    )
    .unwrap();

    page += "\n## What goes wrong at each import\n\n| import | what goes wrong |\n|---|---|\n";
    let mut blows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for import in Import::ALL {
        let words = Blow::on(import).iter().map(ToString::to_string).collect();
        blows.insert(import.name(), words);
    }
    for (import, words) in blows {
        writeln!(page, "| `{import}` | {} |", words.join("; ")).unwrap();
    }
    page
}
