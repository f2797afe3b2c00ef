//! The table of goals: one row for each figure and ratio with a goal.

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::measure::Percentiles;
use crate::report::{Bound, Report, Unit, verdict};

/// The benchmarks that the goals are about. The largest store comes last: filling it takes minutes.
pub const BENCHES: [&str; 8] = [
    "refresh", "peers", "drain", "fresh", "program", "metrics", "stored", "web",
];

/// One goal with the values that were measured.
#[derive(Debug, Serialize)]
pub struct GoalRow {
    label: String,
    value: Percentiles,
    /// The unit; `None` for a ratio.
    unit: Option<Unit>,
    goal: Bound,
    met: bool,
    #[serde(skip)]
    cells: [String; 3],
}

/// Returns the goals of all reports, in their order.
pub fn goals(reports: &[Report]) -> Vec<GoalRow> {
    let bounded = reports.iter().flat_map(Report::bounded);
    bounded
        .filter_map(|bounded| {
            let goal = bounded.bounds.goal?;
            Some(GoalRow {
                value: bounded.value,
                unit: bounded.unit,
                goal,
                met: goal.is_kept(bounded.value),
                cells: [bounded.median(), bounded.spread(), bounded.bound(goal)],
                label: bounded.label,
            })
        })
        .collect()
}

/// Returns the goals as a table in Markdown.
pub fn render(goals: &[GoalRow]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.force_no_tty();
    table.set_header(["measure", "median", "spread", "goal", ""]);
    for row in goals {
        let [median, spread, goal] = &row.cells;
        let verdict = verdict(row.goal, row.value);
        table.add_row([&row.label, median, spread, goal, verdict]);
    }
    format!("{table}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Bounds, Row};

    #[test]
    fn table_has_every_goal_and_no_limit() {
        let value = |median: f64| Percentiles {
            median,
            min: median / 2.0,
            max: median,
        };
        let row = Row::new("component", value(5000.0), Unit::PerSecond)
            .bounds(Bounds::goal(Bound::AtLeast(6000.0)))
            .ratio("native", value(0.9), Bounds::goal(Bound::AtLeast(0.85)))
            .ratio("floor", value(0.1), Bounds::limit(Bound::AtLeast(0.05)));
        let report = Report {
            bench: "refresh",
            title: "one refresh",
            rows: vec![row],
            notes: Vec::new(),
        };
        let text = render(&goals(&[report]));
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(2)
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        let [figure, ratio] = rows.as_slice() else {
            panic!("{text}");
        };
        assert_eq!(
            figure[1..6],
            ["component", "5000 /s", "2500-5000", ">= 6000 /s", "MISSED"]
        );
        assert_eq!(
            ratio[1..6],
            [
                "component, against native",
                "0.90",
                "0.45-0.90",
                ">= 0.85",
                "met"
            ]
        );
    }
}
