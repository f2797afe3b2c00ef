//! The server of the benchmark: its settings, its processor time, and what it writes.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use relation_test_postgres::{Cluster, Database};

/// Settings such as those in production. `fsync`, `full_page_writes` and `synchronous_commit` are on by default.
const SETTINGS: &str = "shared_buffers = 1GB
max_wal_size = 2GB
checkpoint_timeout = 15min
max_connections = 200
maintenance_work_mem = 256MB
";

/// Clock ticks per second in `/proc/PID/stat`.
const TICKS: f64 = 100.0;

/// A PostgreSQL server, which ends with this value.
pub struct Server {
    cluster: Cluster,
    /// The process id of the server's first process, whose children are the others.
    postmaster: u32,
}

/// The processor time that the processes of a server have used.
pub struct CpuReading {
    /// By process id, in nanoseconds.
    running: HashMap<u32, u64>,
    ended: Duration,
}

impl Server {
    /// Starts a server. `None` if PostgreSQL is not installed.
    pub fn start() -> Result<Option<Self>> {
        let Some(cluster) = Cluster::start(SETTINGS)? else {
            return Ok(None);
        };
        let file = cluster.directory().join("data/postmaster.pid");
        let text = fs::read_to_string(file).context("reading the process id of the server")?;
        let postmaster: u32 = text.lines().next().unwrap_or_default().trim().parse()?;
        Ok(Some(Self {
            cluster,
            postmaster,
        }))
    }

    /// Returns the directory of the server, on the disk with its data.
    pub fn directory(&self) -> &Path {
        self.cluster.directory()
    }

    /// Creates an empty database.
    pub fn database(&self) -> Result<Database> {
        self.cluster.database()
    }

    /// Runs statements, and returns the rows as lines.
    pub fn execute(&self, database: &Database, statements: &str) -> Result<String> {
        self.cluster.execute(database.name(), statements)
    }

    /// Returns the number that a statement selects.
    pub fn number(&self, database: &Database, statement: &str) -> Result<f64> {
        let text = self.execute(database, statement)?;
        let number = text.trim().parse::<f64>();
        number.with_context(|| format!("{statement}: {text:?} is not a number"))
    }

    /// Returns how many bytes of write-ahead log the server has written.
    pub fn wal_bytes(&self, database: &Database) -> Result<f64> {
        let written = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')";
        self.number(database, written)
    }

    /// Reads the processor time of all processes of the server.
    pub fn read_cpu(&self) -> Result<CpuReading> {
        let mut running = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A process can end at any moment.
            let is_child = stat(pid).is_ok_and(|fields| {
                fields.get(1).and_then(|parent| parent.parse().ok()) == Some(self.postmaster)
            });
            if let Some(time) = Some(pid).filter(|_| is_child).and_then(nanoseconds) {
                running.insert(pid, time);
            }
        }
        // Those of children that have ended.
        let fields = stat(self.postmaster)?;
        let ticks = fields.iter().skip(13).take(2);
        let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
        Ok(CpuReading {
            running,
            ended: Duration::from_secs_f64(ticks / TICKS),
        })
    }
}

impl CpuReading {
    /// Returns the processor time from an earlier reading to this one.
    pub fn since(&self, earlier: &Self) -> Duration {
        let used = self.running.iter().map(|(pid, time)| {
            time.saturating_sub(earlier.running.get(pid).copied().unwrap_or_default())
        });
        Duration::from_nanos(used.sum()) + self.ended.saturating_sub(earlier.ended)
    }
}

/// Reads the fields of `/proc/PID/stat` after the name of the program, the state first.
fn stat(pid: u32) -> Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(')').context("no name in /proc/PID/stat")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

/// Reads the processor time of a process with one thread.
fn nanoseconds(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}
