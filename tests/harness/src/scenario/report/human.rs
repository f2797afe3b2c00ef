//! For a person: one line for each scenario as it ends, what differs behind it, and how many ended how.
//!
//! Texts are coloured; whoever prints them elsewhere than at a terminal takes the colours away
//! (`anstream` does).

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::scenario::mismatch::Mismatch;
use crate::scenario::outcome::{Count, Ran, StepFailure, Verdict};

const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const EXPECTED: Style = AnsiColor::Green.on_default();
const FOUND: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();

/// What is told of a scenario when it has ended, with the end of its last line.
pub fn finished(ran: &Ran) -> String {
    let (style, word) = match ran.verdict {
        Verdict::Passed => (GREEN, "PASS"),
        Verdict::Failed { .. } => (RED, "FAIL"),
        Verdict::Broken { .. } => (YELLOW, "BROKEN"),
    };
    let mut text = String::new();
    let path = ran.path.display();
    let about = shown(&ran.about);
    let took = ran.took.as_secs_f64();
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
                step(&mut text, ran, failure);
            }
        }
        Verdict::Broken { message, .. } => {
            for line in message.lines() {
                let _ = writeln!(text, "    {}", shown(line));
            }
            text.push('\n');
        }
    }
    text
}

fn step(text: &mut String, ran: &Ran, failure: &StepFailure) {
    let StepFailure {
        step,
        place,
        action,
        about,
        ..
    } = failure;
    let path = ran.path.display();
    let about = about
        .as_ref()
        .map_or(String::new(), |about| format!(" ({})", shown(about)));
    let _ = match step {
        0 => writeln!(text, "    before the first step"),
        step => writeln!(text, "    step {step}, {}{about}", shown(action)),
    };
    let _ = writeln!(text, "    {DIM}at {path}:{place}{DIM:#}");
    if let Some(problem) = &failure.problem {
        for line in problem.lines() {
            let _ = writeln!(text, "      {RED}{}{RED:#}", shown(line));
        }
    }
    for mismatch in &failure.mismatches {
        difference(text, ran, mismatch);
    }
    for note in &failure.notes {
        for line in note.lines() {
            let _ = writeln!(text, "      {DIM}{}{DIM:#}", shown(line));
        }
    }
    text.push('\n');
}

fn difference(text: &mut String, ran: &Ran, mismatch: &Mismatch) {
    let path = match mismatch.path.as_str() {
        "" => "the value",
        path => path,
    };
    let place = mismatch.place.map_or(String::new(), |place| {
        format!("{DIM}  {}:{place}{DIM:#}", ran.path.display())
    });
    let _ = writeln!(text, "      {}{place}", shown(path));
    let expected = shown(mismatch.expected_in_words());
    let found = shown(&mismatch.found_in_words());
    let _ = writeln!(text, "        {EXPECTED}expected {expected}{EXPECTED:#}");
    let _ = writeln!(text, "        {FOUND}found    {found}{FOUND:#}");
    if let Some(note) = &mismatch.note {
        let _ = writeln!(text, "        {DIM}{}{DIM:#}", shown(note));
    }
}

/// How many ended how, and in what time.
pub fn summary(count: Count, took: Duration) -> String {
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

/// Text of others, without what a terminal would obey.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
