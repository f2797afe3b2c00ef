//! Output: tables with the ratios first, or one JSON object.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::measure::Percentiles;

/// One benchmark's results.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name, as `--filter` takes it.
    pub bench: &'static str,
    /// The measured quantity.
    pub title: &'static str,
    /// The measurements.
    pub rows: Vec<Row>,
    /// Notes that a reader needs to understand the rows.
    pub notes: Vec<String>,
}

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The measured quantity.
    pub what: String,
    /// Its ratios to the baselines.
    pub ratios: Vec<Ratio>,
    /// The measured value.
    pub value: Percentiles,
    /// The unit of `value`.
    pub unit: Unit,
    /// Microseconds of processor time per operation, for the whole process.
    pub cpu_us: Option<Percentiles>,
}

/// A comparison within the same run.
#[derive(Debug, Serialize)]
pub struct Ratio {
    /// The baseline.
    pub to: String,
    /// The figure divided by the baseline's, round by round.
    pub value: Percentiles,
    /// The expected ratio.
    pub goal: Option<Goal>,
}

/// The expected ratio, for its median.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Operations per second: more is better.
    #[serde(rename = "1/s")]
    PerSecond,
    /// Microseconds per operation: less is better.
    #[serde(rename = "us")]
    Micros,
}

impl Goal {
    /// Whether `ratio` meets the goal.
    pub fn is_met(self, ratio: Percentiles) -> bool {
        match self {
            Self::AtLeast(goal) => ratio.median >= goal,
            Self::AtMost(goal) => ratio.median <= goal,
        }
    }
}

impl Row {
    /// Creates a row without a comparison.
    pub fn new(what: impl Into<String>, value: Percentiles, unit: Unit) -> Self {
        Self {
            what: what.into(),
            ratios: Vec::new(),
            value,
            unit,
            cpu_us: None,
        }
    }

    /// Adds the processor time per operation.
    pub fn cpu(mut self, cpu_us: Percentiles) -> Self {
        self.cpu_us = Some(cpu_us);
        self
    }

    /// Adds a comparison.
    pub fn ratio(mut self, to: impl Into<String>, value: Percentiles, goal: Option<Goal>) -> Self {
        self.ratios.push(Ratio {
            to: to.into(),
            value,
            goal,
        });
        self
    }
}

impl Report {
    /// Returns the ratios that miss their goals.
    pub fn missed(&self) -> impl Iterator<Item = (&Row, &Ratio)> {
        let ratios = self
            .rows
            .iter()
            .flat_map(|row| row.ratios.iter().map(move |ratio| (row, ratio)));
        ratios.filter(|(_, ratio)| ratio.goal.is_some_and(|goal| !goal.is_met(ratio.value)))
    }

    /// Returns a table for people.
    pub fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.force_no_tty();
        table.set_header(["", "RATIO", "TO", "GOAL", "FIGURE", "CPU EACH"]);
        for column in [1, 4, 5] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in &self.rows {
            let mut ratios = row.ratios.iter();
            let mut cells = ratio_cells(ratios.next()).to_vec();
            cells.insert(0, row.what.clone());
            cells.push(figure(row.value, row.unit));
            cells.push(
                row.cpu_us
                    .map(|cpu| figure(cpu, Unit::Micros))
                    .unwrap_or_default(),
            );
            table.add_row(cells);
            for ratio in ratios {
                let mut cells = ratio_cells(Some(ratio)).to_vec();
                cells.insert(0, String::new());
                table.add_row(cells);
            }
        }
        let mut text = format!("{}: {}\n{table}\n", self.bench, self.title);
        for note in &self.notes {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  - {note}");
        }
        text
    }
}

fn ratio_cells(ratio: Option<&Ratio>) -> [String; 3] {
    let Some(ratio) = ratio else {
        return Default::default();
    };
    let Percentiles { median, min, max } = ratio.value;
    let goal = ratio.goal.map(|goal| {
        let verdict = if goal.is_met(ratio.value) {
            "met"
        } else {
            "MISSED"
        };
        match goal {
            Goal::AtLeast(least) => format!(">= {least} {verdict}"),
            Goal::AtMost(most) => format!("<= {most} {verdict}"),
        }
    });
    let value = if min == max {
        format!("{median:.2}")
    } else {
        format!("{median:.2} ({min:.2}-{max:.2})")
    };
    [value, ratio.to.clone(), goal.unwrap_or_default()]
}

fn figure(percentiles: Percentiles, unit: Unit) -> String {
    let Percentiles { median, min, max } = percentiles;
    let one_round = min == max;
    match unit {
        Unit::PerSecond if one_round => format!("{median:.0} /s"),
        Unit::PerSecond => format!("{median:.0} ({min:.0}-{max:.0}) /s"),
        Unit::Micros if one_round => format!("{median:.1} us"),
        Unit::Micros => format!("{median:.1} ({min:.1}-{max:.1}) us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn flat(value: f64) -> Percentiles {
        Percentiles {
            median: value,
            min: value,
            max: value,
        }
    }

    fn report(ratio: f64) -> Report {
        let rounds = Percentiles {
            median: 5000.0,
            min: 4000.0,
            max: 6000.0,
        };
        let row = Row::new("component", rounds, Unit::PerSecond)
            .cpu(flat(120.0))
            .ratio("native", flat(ratio), Some(Goal::AtLeast(0.4)))
            .ratio("floor", flat(0.1), None);
        Report {
            bench: "refresh",
            title: "one refresh",
            rows: vec![row],
            notes: vec!["a note".to_owned()],
        }
    }

    #[test]
    fn only_ratios_with_a_goal_can_miss_it() {
        let missed = report(0.39);
        let missed: Vec<&str> = missed
            .missed()
            .map(|(_, ratio)| ratio.to.as_str())
            .collect();
        assert_eq!(missed, ["native"]);
        assert_eq!(report(0.4).missed().count(), 0);
    }

    #[test]
    fn table_shows_ratios_and_goals() {
        let text = report(0.39).text();
        assert!(text.contains(">= 0.4 MISSED"), "{text}");
        assert!(text.contains("5000 (4000-6000) /s"), "{text}");
        assert!(text.contains("120.0 us"), "{text}");
        assert!(text.contains("floor"), "{text}");
        assert!(text.contains("  - a note"), "{text}");
    }
}
