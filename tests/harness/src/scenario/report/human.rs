//! The report for people: a line for each scenario as it ends, its failures, and a summary.
//!
//! Texts are colored. Outside of a terminal the caller removes the colors, for example with `anstream`.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::scenario::mismatch::Mismatch;
use crate::scenario::outcome::{ResultCounts, ScenarioResult, StepFailure, Verdict};

const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const EXPECTED: Style = AnsiColor::Green.on_default();
const FOUND: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();

/// Formats the result of a scenario, with a final newline.
pub fn format_result(ran: &ScenarioResult) -> String {
    let (style, word) = match ran.verdict {
        Verdict::Passed => (GREEN, "PASS"),
        Verdict::Failed { .. } => (RED, "FAIL"),
        Verdict::Broken { .. } => (YELLOW, "BROKEN"),
    };
    let mut text = String::new();
    let path = ran.path.display();
    let about = escape_control_chars(&ran.about);
    let took = ran.duration.as_secs_f64();
    let _ = write!(text, "{style}{word:>6}{style:#} [{took:>7.3}s] {path}");
    match about.is_empty() {
        true => text.push('\n'),
        false => {
            let _ = writeln!(text, "{DIM}  {about}{DIM:#}");
        }
    }
    match &ran.verdict {
        Verdict::Passed => {}
        Verdict::Failed { failures } => {
            for failure in failures {
                write_step(&mut text, ran, failure);
            }
        }
        Verdict::Broken { message, .. } => {
            for line in message.lines() {
                let _ = writeln!(text, "    {}", escape_control_chars(line));
            }
            text.push('\n');
        }
    }
    text
}

fn write_step(text: &mut String, ran: &ScenarioResult, failure: &StepFailure) {
    let StepFailure {
        step,
        position,
        action,
        about,
        ..
    } = failure;
    let path = ran.path.display();
    let about = about.as_ref().map_or(String::new(), |about| {
        format!(" ({})", escape_control_chars(about))
    });
    let _ = match step {
        0 => writeln!(text, "    before the first step"),
        step => writeln!(
            text,
            "    step {step}, {}{about}",
            escape_control_chars(action)
        ),
    };
    let _ = writeln!(text, "    {DIM}at {path}:{position}{DIM:#}");
    if let Some(problem) = &failure.problem {
        for line in problem.lines() {
            let _ = writeln!(text, "      {RED}{}{RED:#}", escape_control_chars(line));
        }
    }
    for mismatch in &failure.mismatches {
        write_mismatch(text, ran, mismatch);
    }
    for note in &failure.notes {
        for line in note.lines() {
            let _ = writeln!(text, "      {DIM}{}{DIM:#}", escape_control_chars(line));
        }
    }
    text.push('\n');
}

fn write_mismatch(text: &mut String, ran: &ScenarioResult, mismatch: &Mismatch) {
    let path = match mismatch.path.as_str() {
        "" => "the value",
        path => path,
    };
    let position = mismatch.position.map_or(String::new(), |position| {
        format!("{DIM}  {}:{position}{DIM:#}", ran.path.display())
    });
    let _ = writeln!(text, "      {}{position}", escape_control_chars(path));
    let expected = escape_control_chars(mismatch.describe_expected());
    let found = escape_control_chars(&mismatch.describe_found());
    let _ = writeln!(text, "        {EXPECTED}expected {expected}{EXPECTED:#}");
    let _ = writeln!(text, "        {FOUND}found    {found}{FOUND:#}");
    if let Some(note) = &mismatch.note {
        let _ = writeln!(text, "        {DIM}{}{DIM:#}", escape_control_chars(note));
    }
}

/// Formats the numbers of results and the duration.
pub fn format_summary(count: ResultCounts, took: Duration) -> String {
    let all = count.passed + count.failed + count.broken;
    let style = match (count.failed, count.broken) {
        (0, 0) => GREEN,
        _ => RED,
    };
    let mut text = String::new();
    let scenarios = if all == 1 { "scenario" } else { "scenarios" };
    let took = took.as_secs_f64();
    let _ = write!(
        text,
        "{style}{all} {scenarios}{style:#} in {took:.2}s: {} passed",
        count.passed
    );
    if count.failed > 0 {
        let _ = write!(text, ", {RED}{} failed{RED:#}", count.failed);
    }
    if count.broken > 0 {
        let _ = write!(text, ", {YELLOW}{} broken{YELLOW:#}", count.broken);
    }
    text.push('\n');
    text
}

/// Replaces control characters, which a terminal would interpret.
fn escape_control_chars(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
