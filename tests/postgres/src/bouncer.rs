//! PgBouncer in front of a server.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::Cluster;
use crate::supervised::{Supervised, wait_until};

/// A PgBouncer in transaction mode, with few connections to a cluster.
#[derive(Debug)]
pub struct Bouncer {
    // Dropped in this order: the process uses the directory.
    _process: Supervised,
    directory: TempDir,
}

impl Bouncer {
    /// Starts PgBouncer. `None`, with a line that says so, when it is not installed; with `RELATION_REQUIRE_POSTGRES` that
    /// is an error.
    pub fn start(cluster: &Cluster) -> Result<Option<Self>> {
        let Some(program) = find() else {
            let required = std::env::var_os("RELATION_REQUIRE_POSTGRES").is_some();
            ensure!(!required, "PgBouncer is not installed");
            println!("SKIPPED: PgBouncer is not installed (apt-get install pgbouncer)");
            return Ok(None);
        };
        let programs = cluster.programs();
        let directory = TempDir::with_prefix_in("pgb-", "/tmp")?;
        programs.give(directory.path())?;
        let users = directory.path().join("users.txt");
        std::fs::write(&users, "\"postgres\" \"\"\n")?;
        programs.give(&users)?;
        let file = directory.path().join("pgbouncer.ini");
        let socket = directory.path().display();
        std::fs::write(
            &file,
            format!(
                "[databases]
* = host={} port={} user=postgres
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = {socket}
auth_type = trust
auth_file = {}
pool_mode = transaction
max_client_conn = 1000
server_idle_timeout = 5
default_pool_size = 5
",
                cluster.directory().display(),
                cluster.port(),
                users.display()
            ),
        )?;
        programs.give(&file)?;
        let process = Supervised::start(
            programs,
            directory.path(),
            &program,
            &[&file.display().to_string()],
            "TERM",
        )?;
        let socket = directory.path().join(".s.PGSQL.5432");
        wait_until(directory.path(), || UnixStream::connect(&socket).is_ok())?;
        Ok(Some(Self {
            directory,
            _process: process,
        }))
    }

    /// Returns the address of a database through the bouncer.
    pub fn url(&self, database: &str) -> String {
        crate::socket_url(self.directory.path(), 5432, database)
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // Debian installs it in a directory that only root has in PATH.
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join("pgbouncer"))
        .find(|program| program.exists())
}
