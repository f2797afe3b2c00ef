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
    #[serde(rename = "what")]
    pub label: String,
    /// Its ratios to the baselines.
    pub ratios: Vec<Ratio>,
    /// The measured value.
    pub value: Percentiles,
    /// The unit of `value`.
    pub unit: Unit,
    /// The bounds of `value`.
    #[serde(flatten)]
    pub bounds: Bounds,
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
    /// The bounds of `value`.
    #[serde(flatten)]
    pub bounds: Bounds,
}

/// A bound of a median.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// The bounds of a figure or a ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bounds {
    /// The aim of the project: a row of the table of goals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<Bound>,
    /// The bound that a change must keep, with slack for noise: checked by `--gate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Bound>,
}

impl Bounds {
    /// No bounds.
    pub const NONE: Self = Self {
        goal: None,
        limit: None,
    };

    /// Creates bounds with a limit only.
    pub const fn limit(limit: Bound) -> Self {
        Self {
            goal: None,
            limit: Some(limit),
        }
    }

    /// Creates bounds with a goal only.
    pub const fn goal(goal: Bound) -> Self {
        Self {
            goal: Some(goal),
            limit: None,
        }
    }

    /// Adds a limit.
    pub const fn and_limit(self, limit: Bound) -> Self {
        Self {
            limit: Some(limit),
            ..self
        }
    }

    /// Returns the bounds if they apply, else none.
    pub const fn only_if(self, applies: bool) -> Self {
        if applies { self } else { Self::NONE }
    }
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
    /// Milliseconds per operation: less is better.
    #[serde(rename = "ms")]
    Millis,
    /// A size in megabytes: less is better.
    #[serde(rename = "MB")]
    Megabytes,
    /// Instructions per operation, in thousands: less is better.
    #[serde(rename = "k instructions")]
    KiloInstructions,
    /// A size in kilobytes: less is better.
    #[serde(rename = "kB")]
    Kilobytes,
    /// A number of things.
    #[serde(rename = "")]
    Count,
}

impl Unit {
    fn symbol(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::Megabytes => "MB",
            Self::KiloInstructions => "k instructions",
            Self::Kilobytes => "kB",
            Self::Count => "",
        }
    }

    /// Returns the number of decimal places that are worth printing.
    fn decimals(self) -> usize {
        match self {
            Self::PerSecond | Self::KiloInstructions | Self::Count => 0,
            Self::Micros | Self::Millis | Self::Kilobytes => 1,
            Self::Megabytes => 2,
        }
    }
}

impl Bound {
    /// Whether the median of `measured` keeps the bound.
    pub fn is_kept(self, measured: Percentiles) -> bool {
        match self {
            Self::AtLeast(least) => measured.median >= least,
            Self::AtMost(most) => measured.median <= most,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}

impl Row {
    /// Creates a row without a comparison.
    pub fn new(label: impl Into<String>, value: Percentiles, unit: Unit) -> Self {
        Self {
            label: label.into(),
            ratios: Vec::new(),
            value,
            unit,
            bounds: Bounds::NONE,
            cpu_us: None,
        }
    }

    /// Sets the bounds of the figure.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Adds the processor time per operation.
    pub fn cpu(mut self, cpu_us: Percentiles) -> Self {
        self.cpu_us = Some(cpu_us);
        self
    }

    /// Adds a comparison.
    pub fn ratio(mut self, to: impl Into<String>, value: Percentiles, bounds: Bounds) -> Self {
        self.ratios.push(Ratio {
            to: to.into(),
            value,
            bounds,
        });
        self
    }
}

/// A figure or a ratio with bounds.
pub struct BoundedFigure<'a> {
    /// The measured figure, and for a ratio its baseline.
    pub label: String,
    /// The measured values.
    pub value: Percentiles,
    /// The unit of a figure; `None` for a ratio.
    pub unit: Option<Unit>,
    /// The bounds.
    pub bounds: &'a Bounds,
}

impl BoundedFigure<'_> {
    /// Returns the median.
    pub fn median(&self) -> String {
        number(self.value.median, self.unit)
    }

    /// Returns the smallest and the largest value.
    pub fn spread(&self) -> String {
        let decimals = self.unit.map_or(2, Unit::decimals);
        let Percentiles { min, max, .. } = self.value;
        format!("{min:.decimals$}-{max:.decimals$}")
    }

    /// Returns the text of a bound, in the unit of the value.
    pub fn bound(&self, bound: Bound) -> String {
        match self.unit {
            Some(unit) => format!("{bound} {}", unit.symbol()),
            None => bound.to_string(),
        }
    }
}

impl Report {
    /// Returns every figure and ratio with its bounds.
    pub fn bounded(&self) -> impl Iterator<Item = BoundedFigure<'_>> {
        self.rows.iter().flat_map(|row| {
            let figure = BoundedFigure {
                label: row.label.clone(),
                value: row.value,
                unit: Some(row.unit),
                bounds: &row.bounds,
            };
            let ratios = row.ratios.iter().map(move |ratio| BoundedFigure {
                label: format!("{}, against {}", row.label, ratio.to),
                value: ratio.value,
                unit: None,
                bounds: &ratio.bounds,
            });
            std::iter::once(figure).chain(ratios)
        })
    }

    /// Describes every median that breaks its limit.
    pub fn broken_limits(&self) -> impl Iterator<Item = String> {
        self.bounded().filter_map(|bounded| {
            let limit = bounded.bounds.limit?;
            (!limit.is_kept(bounded.value)).then(|| {
                let (median, limit) = (bounded.median(), bounded.bound(limit));
                format!("{}: {}: {median}, limit {limit}", self.bench, bounded.label)
            })
        })
    }

    /// Returns a table for people.
    pub fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.force_no_tty();
        table.set_header(["", "RATIO", "TO", "GOAL OR LIMIT", "FIGURE", "CPU EACH"]);
        for column in [1, 4, 5] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in &self.rows {
            let mut ratios = row.ratios.iter();
            let mut cells = ratio_cells(ratios.next()).to_vec();
            if let Some(cell) = cells.get_mut(2).filter(|_| row.ratios.is_empty()) {
                *cell = bounds_cell(&row.bounds, row.value);
            }
            cells.insert(0, row.label.clone());
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

/// Says whether the median keeps the bound.
pub fn verdict(bound: Bound, value: Percentiles) -> &'static str {
    if bound.is_kept(value) {
        "met"
    } else {
        "MISSED"
    }
}

fn bounds_cell(bounds: &Bounds, value: Percentiles) -> String {
    match (bounds.goal, bounds.limit) {
        (Some(bound), _) | (None, Some(bound)) => format!("{bound} {}", verdict(bound, value)),
        (None, None) => String::new(),
    }
}

fn ratio_cells(ratio: Option<&Ratio>) -> [String; 3] {
    let Some(ratio) = ratio else {
        return Default::default();
    };
    let Percentiles { median, min, max } = ratio.value;
    let value = if min == max {
        format!("{median:.2}")
    } else {
        format!("{median:.2} ({min:.2}-{max:.2})")
    };
    let bounds = bounds_cell(&ratio.bounds, ratio.value);
    [value, ratio.to.clone(), bounds]
}

fn number(value: f64, unit: Option<Unit>) -> String {
    match unit {
        None => format!("{value:.2}"),
        Some(unit) => format!("{value:.*} {}", unit.decimals(), unit.symbol()),
    }
}

fn figure(percentiles: Percentiles, unit: Unit) -> String {
    let Percentiles { median, min, max } = percentiles;
    if min == max {
        return number(median, Some(unit));
    }
    let decimals = unit.decimals();
    let symbol = unit.symbol();
    format!("{median:.decimals$} ({min:.decimals$}-{max:.decimals$}) {symbol}")
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
            .bounds(Bounds::goal(Bound::AtLeast(6000.0)))
            .ratio(
                "native",
                flat(ratio),
                Bounds::goal(Bound::AtLeast(0.85)).and_limit(Bound::AtLeast(0.4)),
            )
            .ratio("floor", flat(0.1), Bounds::NONE);
        Report {
            bench: "refresh",
            title: "one refresh",
            rows: vec![row],
            notes: vec!["a note".to_owned()],
        }
    }

    #[test]
    fn only_a_broken_limit_is_reported() {
        let broken: Vec<String> = report(0.39).broken_limits().collect();
        assert_eq!(
            broken,
            ["refresh: component, against native: 0.39, limit >= 0.4"]
        );
        assert_eq!(report(0.4).broken_limits().count(), 0);
    }

    #[test]
    fn table_shows_ratios_and_goals() {
        let text = report(0.39).text();
        assert!(text.contains(">= 0.85 MISSED"), "{text}");
        assert!(text.contains("5000 (4000-6000) /s"), "{text}");
        assert!(text.contains("120.0 us"), "{text}");
        assert!(text.contains("floor"), "{text}");
        assert!(text.contains("  - a note"), "{text}");
    }
}
