//! Standbys: servers that stream from another one, and are promoted.

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::Cluster;
use crate::supervised::wait_until;

impl Cluster {
    /// Starts a standby that streams from this server. `name` is its name in `synchronous_standby_names`.
    pub fn start_standby(&self, name: &str, settings: &str) -> Result<Self> {
        let programs = self.programs.clone();
        let directory = TempDir::with_prefix_in("pg-", "/tmp")?;
        programs.give(directory.path())?;
        let data = directory.path().join("data");
        let port = self.port.to_string();
        let copied = programs
            .command("pg_basebackup")
            .args(["--no-sync", "--checkpoint=fast", "--wal-method=stream"])
            .args(["--username=postgres", "--port", &port, "--host"])
            .arg(self.directory())
            .arg("--pgdata")
            .arg(&data)
            .output()
            .context("pg_basebackup")?;
        let errors = String::from_utf8_lossy(&copied.stderr);
        ensure!(copied.status.success(), "pg_basebackup failed: {errors}");
        let signal = data.join("standby.signal");
        std::fs::write(&signal, "")?;
        programs.give(&signal)?;
        let host = self.directory().display();
        let settings = format!(
            "primary_conninfo = 'host={host} port={port} user=postgres application_name={name}'\n{settings}"
        );
        Self::start_in(programs, directory, 5432, &settings)
    }

    /// Waits until a standby of this server has what is written here, and takes part in commits.
    pub fn wait_for_synchronous(&self, name: &str) -> Result<()> {
        let query = format!(
            "SELECT count(*) FROM pg_stat_replication
             WHERE application_name = '{name}' AND sync_state IN ('sync', 'quorum')"
        );
        wait_until(self.directory(), || {
            self.execute("postgres", &query).is_ok_and(|n| n == "1")
        })
    }

    /// Promotes a standby. The server that it streamed from must have been stopped.
    pub fn promote(&self) -> Result<()> {
        let promoted = self
            .programs
            .command("pg_ctl")
            .args(["promote", "--wait", "--pgdata"])
            .arg(self.directory().join("data"))
            .output()
            .context("pg_ctl")?;
        let errors = String::from_utf8_lossy(&promoted.stderr);
        ensure!(promoted.status.success(), "pg_ctl failed: {errors}");
        Ok(())
    }

    /// Changes a setting of the running server.
    pub fn change_setting(&self, name: &str, value: &str) -> Result<()> {
        self.execute("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"))?;
        self.execute("postgres", "SELECT pg_reload_conf()")?;
        Ok(())
    }
}
