//! The processor time of processes.

use std::fs;
use std::time::Duration;

/// Clock ticks per second in `/proc/PID/stat`.
const TICKS: f64 = 100.0;

/// Returns the processor time of a process; 0 if it has ended.
pub fn processor_time(pid: u32) -> Duration {
    let fields = fields(pid).unwrap_or_default();
    Duration::from_secs_f64(sum(&fields, 11, 2) / TICKS)
}

/// Returns the processor time of a process and of its children, also of those that have ended.
pub fn processor_time_with_children(parent: u32) -> Duration {
    let own = fields(parent).unwrap_or_default();
    let mut ticks = sum(&own, 11, 4);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(fields) = pid.and_then(fields) else {
            continue;
        };
        if fields.get(1).and_then(|field| field.parse().ok()) == Some(parent) {
            ticks += sum(&fields, 11, 2);
        }
    }
    Duration::from_secs_f64(ticks / TICKS)
}

fn sum(fields: &[String], first: usize, count: usize) -> f64 {
    let fields = fields.iter().skip(first).take(count);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum()
}

/// Reads the fields of `/proc/PID/stat` after the name of the program, the state first.
fn fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}
