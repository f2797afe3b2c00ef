//! Figures of this process. Those of `/proc/self` are missing elsewhere than on Linux.

use std::fs;
use std::time::Duration;

use crate::metrics::Families;

/// Reads the figures into the metrics.
pub(crate) fn record(families: &Families) {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let nanos = Duration::from_nanos(u64::try_from(cpu.tv_nsec).unwrap_or_default());
    let seconds = Duration::from_secs(u64::try_from(cpu.tv_sec).unwrap_or_default());
    families
        .process_cpu
        .raise_to((seconds + nanos).as_secs_f64());
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kibibytes) = parse_resident_memory(&status) {
        let bytes = kibibytes.saturating_mul(1024);
        families.process_memory.set([], bytes as f64);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is that of the directory itself.
        let open = open.count().saturating_sub(1);
        families.process_fds.set([], open as f64);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(most) = parse_max_fds(&limits) {
        families.process_max_fds.set([], most as f64);
    }
}

/// Parses the resident memory in KiB.
fn parse_resident_memory(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn parse_max_fds(limits: &str) -> Option<u64> {
    let mut lines = limits.lines();
    let line = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_parsed() {
        let status = "Name:\ta\nVmRSS:\t    5120 kB\nThreads:\t9\n";
        assert_eq!(parse_resident_memory(status), Some(5120));
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024   4096   files\n";
        assert_eq!(parse_max_fds(limits), Some(1024));
        assert_eq!(parse_max_fds(""), None);
    }
}
