//! The report for programs: one JSON document.

use std::time::Duration;

use serde_json::{Value, json};

use crate::scenario::outcome::{ResultCounts, ScenarioResult};

/// Returns `{"passed", "failed", "broken", "seconds", "scenarios": [{"path", "about", "verdict", "seconds",
/// "failures"? | "errors"?}]}`.
pub fn to_json(all: &[ScenarioResult], took: Duration) -> Value {
    let count = ResultCounts::from_results(all);
    json!({
        "passed": count.passed,
        "failed": count.failed,
        "broken": count.broken,
        "seconds": took.as_secs_f64(),
        "scenarios": all,
    })
}
