//! `docs/sweep.md`, generated from the reports.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use relation_harness::sweep::{InjectedFault, SweepReport};
use relation_host::imports::Import;

const INTRODUCTION: &str = include_str!("page.md");

/// Compares the page.
#[track_caller]
pub fn compare(reports: &[SweepReport]) {
    crate::page::compare("sweep.md", &page(reports));
}

fn page(reports: &[SweepReport]) -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "| workflow | imports | points | as baseline | in a named state | unexplained |\n";
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
        let (imports, points, same) = (report.baseline.imports.len(), report.points, report.same);
        let (case, unexplained) = (&report.case, report.unexplained.len());
        writeln!(
            page,
            "| {case} | {imports} | {points} | {same} | {named} | {unexplained} |"
        )
        .unwrap();
    }
    let sum = |of: fn(&SweepReport) -> usize| reports.iter().map(of).sum::<usize>();
    let (points, same) = (sum(|report| report.points), sum(|report| report.same));
    let unexplained = sum(|report| report.unexplained.len());
    writeln!(
        page,
        "| **all** | | {points} | {same} | {} | {unexplained} |",
        points - same - unexplained
    )
    .unwrap();

    page += "\n## Faults at each import\n\n| import | faults |\n|---|---|\n";
    let mut faults: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for import in Import::ALL {
        let words = InjectedFault::on(import)
            .iter()
            .map(ToString::to_string)
            .collect();
        faults.insert(import.name(), words);
    }
    for (import, words) in faults {
        writeln!(page, "| `{import}` | {} |", words.join("; ")).unwrap();
    }
    page
}
