//! The faults, and their schedule.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use fastrand::Rng;
use serde::Serialize;

use crate::hosts::{ChaosHost, LEASE};
use crate::ledger::{Ledger, Millis};
use crate::pair::Pair;

/// Longer than a lease.
const BEYOND_LEASE: Duration = Duration::from_millis(20_000);

/// Shorter than a lease.
const WITHIN_LEASE: Duration = Duration::from_millis(4_000);

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// `kill -9` of a host, which starts again at once.
    KillHost,
    /// `kill -9` of a host, whose volume moves to another machine and starts there after a lease.
    MoveHost,
    /// SIGSTOP of a host for longer than a lease.
    FreezeHost,
    /// The connections of every host are cut in the middle of frames, five times.
    CutConnections,
    /// The connections of every host hang for less than a lease, then data arrives late or never.
    ShortBlackHole,
    /// The connections of every host hang for longer than a lease.
    LongBlackHole,
    /// The connections of one host hang for less than a lease.
    IsolateBriefly,
    /// The connections of one host hang for longer than a lease.
    IsolateHost,
    /// The server is stopped without a checkpoint, and starts again at once.
    CrashServer,
    /// The server is stopped without a checkpoint, and starts again after longer than a lease.
    LongOutage,
    /// SIGSTOP of the server for less than a lease.
    FreezeServer,
    /// SIGSTOP of the server for longer than a lease.
    FreezeServerLong,
    /// The primary is stopped for good, and the standby is promoted. Then a new standby is made.
    FailOver,
    /// SIGTERM of one host after the other; each starts again.
    RollingUpgrade,
}

impl FaultKind {
    /// Returns the name, as an argument has it.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// A time in which answers may be lost on the way between a host and the store, so that the promises allow that another
/// host uses a refresh token again.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// The host that had received the answer.
    pub host: usize,
    /// The answer was not stored at this time.
    pub from: Millis,
    /// The request was sent before this time.
    pub to: Millis,
    /// Why the answer could be lost.
    pub reason: &'static str,
}

/// A fault that was injected.
#[derive(Clone, Debug, Serialize)]
pub struct InjectedFault {
    /// The kind.
    pub kind: FaultKind,
    /// The host that it concerns; none: all of them.
    pub host: Option<usize>,
    /// Its begin.
    pub began_ms: Millis,
    /// Its end.
    pub ended_ms: Millis,
    /// The longest time without a refresh, from its begin to the recovery.
    pub pause_ms: Millis,
    /// The time from its end until refreshes run at half of the former rate; none: too long.
    pub recovery_ms: Option<Millis>,
}

/// The system that faults are injected into.
pub struct System {
    /// The hosts.
    pub hosts: Vec<ChaosHost>,
    /// The servers.
    pub pair: Pair,
    /// The record of requests.
    pub ledger: Ledger,
    /// Times in which answers may be lost.
    pub allowances: Vec<Allowance>,
}

/// Returns all kinds in a random order.
pub fn shuffle(random: &mut Rng) -> Vec<FaultKind> {
    let mut kinds = FaultKind::value_variants().to_vec();
    random.shuffle(&mut kinds);
    kinds
}

impl System {
    /// Injects a fault, and repairs what it has broken. Blocks.
    pub fn inject(&mut self, kind: FaultKind, random: &mut Rng) -> Result<InjectedFault> {
        let began_ms = self.ledger.now();
        let index = random.usize(0..self.hosts.len());
        let mut host = Some(index);
        match kind {
            FaultKind::KillHost => {
                self.kill(index)?;
                self.hosts[index].start()?;
            }
            FaultKind::MoveHost => {
                self.kill(index)?;
                self.hosts[index].move_volume()?;
                pause(LEASE);
                self.hosts[index].start()?;
            }
            FaultKind::FreezeHost => {
                self.hosts[index].freeze()?;
                let now = self.ledger.now();
                // A request that was sent before may arrive a little later.
                self.allow(
                    index,
                    now,
                    now + 200,
                    "the host was frozen for longer than a lease",
                );
                pause(BEYOND_LEASE);
                self.hosts[index].thaw()?;
            }
            FaultKind::CutConnections => {
                host = None;
                for _ in 0..5 {
                    self.hosts.iter().for_each(|host| host.wire.cut());
                    pause(Duration::from_millis(random.u64(200..900)));
                }
            }
            FaultKind::ShortBlackHole | FaultKind::LongBlackHole => {
                host = None;
                self.hosts
                    .iter()
                    .for_each(|host| host.wire.open_black_hole());
                pause(match kind {
                    FaultKind::LongBlackHole => BEYOND_LEASE,
                    _ => WITHIN_LEASE,
                });
                let resets = random.bool();
                let wires = self.hosts.iter().map(|host| &host.wire);
                wires.for_each(|wire| wire.close_black_hole(resets));
            }
            FaultKind::IsolateBriefly | FaultKind::IsolateHost => {
                self.hosts[index].wire.open_black_hole();
                if kind == FaultKind::IsolateHost {
                    let now = self.ledger.now();
                    let reason =
                        "the host alone was cut off from the database for longer than a lease";
                    // Calls that had begun send their request within the time of a call.
                    self.allow(index, now, now + crate::judge::CALL, reason);
                    pause(BEYOND_LEASE);
                } else {
                    pause(WITHIN_LEASE);
                }
                self.hosts[index].wire.close_black_hole(random.bool());
            }
            FaultKind::CrashServer | FaultKind::LongOutage => {
                host = None;
                self.pair.crash()?;
                if kind == FaultKind::LongOutage {
                    pause(BEYOND_LEASE);
                }
                self.pair.restart()?;
            }
            FaultKind::FreezeServer | FaultKind::FreezeServerLong => {
                host = None;
                let frozen = self.pair.freeze()?;
                pause(match kind {
                    FaultKind::FreezeServerLong => BEYOND_LEASE,
                    _ => WITHIN_LEASE,
                });
                drop(frozen);
            }
            FaultKind::FailOver => {
                host = None;
                self.pair.fail_over()?;
            }
            FaultKind::RollingUpgrade => {
                host = None;
                for host in &mut self.hosts {
                    host.terminate()?;
                    host.start()?;
                    host.wait_until_ready()?;
                }
            }
        }
        Ok(InjectedFault {
            kind,
            host,
            began_ms,
            ended_ms: self.ledger.now(),
            pause_ms: 0,
            recovery_ms: None,
        })
    }

    fn kill(&mut self, index: usize) -> Result<()> {
        let now = self.ledger.now();
        self.hosts[index].kill()?;
        self.allow(index, now, self.ledger.now(), "the host was killed");
        Ok(())
    }

    fn allow(&mut self, host: usize, from: Millis, to: Millis, reason: &'static str) {
        self.allowances.push(Allowance {
            host,
            from,
            to,
            reason,
        });
    }
}

fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
