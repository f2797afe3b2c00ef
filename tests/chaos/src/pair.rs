//! The servers of the database: a primary, and a synchronous standby that can take its place.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use relation_test_postgres::{Cluster, Frozen};

use crate::wire::{SLOTS, Servers};

/// The name of the standby in `synchronous_standby_names`.
const STANDBY: &str = "standby";

/// The settings of both servers, besides those for synchronous commits. A standby connects again soon.
const BOTH: &str =
    "synchronous_commit = on\nwal_keep_size = 256MB\nwal_retrieve_retry_interval = 500ms\n";

/// The name of the database.
pub const DATABASE: &str = "relation";

/// Both servers. A commit is acknowledged when both have it on disk.
pub struct Pair {
    servers: [Option<Cluster>; SLOTS],
    primary: usize,
    sockets: Servers,
}

/// The settings by which each acknowledged commit is on the standby.
pub const SETTINGS: &str = "synchronous_standby_names = 'ANY 1 (standby)', synchronous_commit = on";

impl Pair {
    /// Starts both servers, with an empty database.
    pub fn start() -> Result<Self> {
        let primary = Cluster::start(BOTH)?;
        let primary =
            primary.context("PostgreSQL is not installed (apt-get install postgresql)")?;
        primary.execute(
            "postgres",
            &format!("CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8'"),
        )?;
        let mut pair = Self {
            servers: [Some(primary), None],
            primary: 0,
            sockets: Servers::default(),
        };
        pair.add_standby()?;
        pair.publish();
        Ok(pair)
    }

    /// Returns the sockets of the servers, which change with them.
    pub fn sockets(&self) -> Servers {
        Servers::clone(&self.sockets)
    }

    /// Returns the URL for the run's own connections.
    pub fn url(&self) -> Result<String> {
        Ok(self.primary()?.url(DATABASE))
    }

    /// Stops the primary as a crash does.
    pub fn crash(&self) -> Result<()> {
        self.primary()?.crash()
    }

    /// Starts the primary again.
    pub fn restart(&self) -> Result<()> {
        self.primary()?.restart()
    }

    /// Stops all processes of the primary.
    pub fn freeze(&self) -> Result<Frozen> {
        self.primary()?.freeze()
    }

    /// Stops the primary for good, and promotes the standby.
    pub fn fail_over(&mut self) -> Result<()> {
        // Fenced off first: it accepts nothing any more.
        self.primary()?.crash()?;
        let standby = (self.primary + 1) % SLOTS;
        let promoted = self.servers[standby].as_ref().context("no standby")?;
        promoted.promote()?;
        self.servers[self.primary] = None;
        self.primary = standby;
        self.publish();
        Ok(())
    }

    /// Adds a new standby, and lets commits wait for it from now on.
    pub fn add_standby(&mut self) -> Result<()> {
        let primary = self.primary()?;
        let standby = primary.start_standby(STANDBY, BOTH)?;
        primary.change_setting("synchronous_standby_names", &format!("ANY 1 ({STANDBY})"))?;
        primary.wait_for_synchronous(STANDBY)?;
        self.servers[(self.primary + 1) % SLOTS] = Some(standby);
        self.publish();
        Ok(())
    }

    fn primary(&self) -> Result<&Cluster> {
        self.servers[self.primary].as_ref().context("no primary")
    }

    fn publish(&self) {
        let socket = |server: &Option<Cluster>| -> Option<PathBuf> {
            let server = server.as_ref()?;
            Some(
                server
                    .directory()
                    .join(format!(".s.PGSQL.{}", server.port())),
            )
        };
        *self.sockets.lock() = [socket(&self.servers[0]), socket(&self.servers[1])];
    }
}
