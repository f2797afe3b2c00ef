//! For programs: one document.

use std::time::Duration;

use serde_json::{Value, json};

use crate::scenario::outcome::{Count, Ran};

/// `{"passed", "failed", "broken", "seconds", "scenarios": [{"path", "about", "verdict", "seconds",
/// "failures"? | "faults"?}]}`.
pub fn json(all: &[Ran], took: Duration) -> Value {
    let count = Count::of(all);
    json!({
        "passed": count.passed,
        "failed": count.failed,
        "broken": count.broken,
        "seconds": took.as_secs_f64(),
        "scenarios": all,
    })
}
