//! A server whose processes are stopped, as those of a machine that is paused.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::Cluster;

/// A server that runs again when this is dropped.
#[derive(Debug)]
pub struct Frozen {
    processes: Vec<Pid>,
}

impl Cluster {
    /// Stops every process of the server. Its connections stay open, and nothing answers.
    pub fn freeze(&self) -> Result<Frozen> {
        let file = self.directory().join("data/postmaster.pid");
        let file = fs::read_to_string(file)?;
        let postmaster = file.lines().next().and_then(|pid| pid.parse().ok());
        let postmaster = postmaster.and_then(Pid::from_raw);
        let postmaster = postmaster.context("the server does not run")?;
        // The postmaster first, which then starts no more processes.
        let mut frozen = Frozen {
            processes: vec![postmaster],
        };
        kill_process(postmaster, Signal::STOP)?;
        for child in children(postmaster)? {
            // A process may just have ended.
            if kill_process(child, Signal::STOP).is_ok() {
                frozen.processes.push(child);
            }
        }
        Ok(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for process in self.processes.iter().rev() {
            let _ = kill_process(*process, Signal::CONT);
        }
    }
}

fn children(parent: Pid) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name of the program, in parentheses, may contain anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ppid = fields.split_whitespace().nth(1);
        if ppid.and_then(|ppid| ppid.parse().ok()) == Some(parent.as_raw_nonzero().get()) {
            found.extend(Pid::from_raw(pid));
        }
    }
    Ok(found)
}
