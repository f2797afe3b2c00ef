//! Sides of a comparison that are processes of their own. A side prints `ready`, then a line of JSON ([`SlotReport`])
//! for each line `go SECONDS`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::measure::Measurement;

/// The result of one slot, the period that a side runs per round.
#[derive(Debug, Serialize, Deserialize)]
struct SlotReport {
    refreshes: u64,
    seconds: f64,
    cpu_seconds: f64,
}

/// A running side: its process and its pipes.
pub struct Side {
    child: Child,
    requests: Option<ChildStdin>,
    reports: BufReader<ChildStdout>,
}

impl Side {
    /// Starts a program and waits until it is ready.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let stdout = child.stdout.take().context("the program has no stdout")?;
        let mut side = Self {
            requests: child.stdin.take(),
            reports: BufReader::new(stdout),
            child,
        };
        let line = side.read_line()?;
        if line.trim() != "ready" {
            bail!("{command:?} printed {line:?} in place of `ready`");
        }
        Ok(side)
    }

    /// Lets the side run for `time`.
    pub fn run(&mut self, time: Duration) -> Result<Measurement> {
        self.begin(time)?;
        self.end()
    }

    /// Lets the side begin to run for `time`; [`Side::end`] waits for its end.
    pub fn begin(&mut self, time: Duration) -> Result<()> {
        let requests = self.requests.as_mut().context("the program was stopped")?;
        writeln!(requests, "go {}", time.as_secs_f64())?;
        Ok(requests.flush()?)
    }

    /// Waits until the slot that was begun has ended.
    pub fn end(&mut self) -> Result<Measurement> {
        let line = self.read_line()?;
        let report: SlotReport = serde_json::from_str(&line)
            .with_context(|| format!("the program printed {line:?} in place of a report"))?;
        Ok(Measurement {
            done: report.refreshes,
            wall: Duration::try_from_secs_f64(report.seconds)?,
            cpu: Duration::try_from_secs_f64(report.cpu_seconds)?,
        })
    }

    fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reports.read_line(&mut line)? == 0 {
            bail!("the program ended: {}", self.child.wait()?);
        }
        Ok(line)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.requests.take();
        let _ = self.child.wait();
    }
}

/// Runs as a side in this process: calls `slot` for each request, until the standard input ends.
pub async fn serve(mut slot: impl AsyncFnMut(Duration) -> Result<Measurement>) -> Result<()> {
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line?;
        let seconds: f64 = line
            .strip_prefix("go ")
            .and_then(|seconds| seconds.parse().ok())
            .with_context(|| format!("{line:?} is not `go SECONDS`"))?;
        let slot = slot(Duration::try_from_secs_f64(seconds)?).await?;
        let report = SlotReport {
            refreshes: slot.done,
            seconds: slot.wall.as_secs_f64(),
            cpu_seconds: slot.cpu.as_secs_f64(),
        };
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(())
}
