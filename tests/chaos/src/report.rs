//! The report of a run, as text or as JSON.

use serde::Serialize;

use crate::faults::InjectedFault;
use crate::judge::Verdict;
use crate::pair;

/// The figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The seed of the schedule.
    pub seed: u64,
    /// The customers.
    pub customers: usize,
    /// The time of the run without its preparation, in seconds.
    pub seconds: u64,
    /// Refreshes per second, on average over the whole run.
    pub rate: f64,
    /// The setting by which acknowledged commits survive the loss of the primary.
    pub replication: &'static str,
    /// The faults in their order.
    pub faults: Vec<InjectedFault>,
    /// Responses that went to a stash.
    pub stashed: usize,
    /// Responses from a stash that were applied.
    pub applied: usize,
    /// Responses from a stash that a later change had superseded.
    pub superseded: usize,
    /// The judgment.
    pub verdict: Verdict,
}

impl Report {
    /// Prints the report.
    pub fn print(&self, is_json: bool) -> anyhow::Result<()> {
        if is_json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!(
            "{} customers on three hosts for {} s, seed {}: {} refreshes, {:.0} a second; {}\n",
            self.customers,
            self.seconds,
            self.seed,
            self.verdict.refreshes,
            self.rate,
            pair::SETTINGS
        );
        println!(
            "| at | fault | host | lasted | longest time without a refresh | refreshes again after its end |"
        );
        println!("|---|---|---|---|---|---|");
        for fault in &self.faults {
            let host = fault.host.map_or("all".to_owned(), |host| host.to_string());
            let recovery = fault.recovery_ms.map_or("never".to_owned(), seconds);
            println!(
                "| {} | {} | {host} | {} | {} | {recovery} |",
                seconds(fault.began_ms),
                fault.kind.name(),
                seconds(fault.ended_ms - fault.began_ms),
                seconds(fault.pause_ms),
            );
        }
        let verdict = &self.verdict;
        println!(
            "\nstash: {} responses, {} applied, {} superseded",
            self.stashed, self.applied, self.superseded
        );
        println!(
            "writes of clients: {} acknowledged, {} without an acknowledgment",
            verdict.acknowledged_writes, verdict.unknown_writes
        );
        println!(
            "stored refresh tokens: {} usable, {} customers disconnected as the promises allow",
            verdict.usable, verdict.disconnected
        );
        for (reason, count) in &verdict.allowed_reuses {
            println!("  refresh tokens that were used again because {reason}: {count}");
        }
        match verdict.violations.len() {
            0 => println!("no promise was broken"),
            count => println!("BROKEN PROMISES: {count}"),
        }
        for violation in verdict.violations.iter().take(50) {
            println!("  {violation}");
        }
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss)]
fn seconds(ms: u64) -> String {
    format!("{:.1} s", ms as f64 / 1000.0)
}
