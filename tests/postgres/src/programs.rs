//! The installed programs of PostgreSQL.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The first version of PostgreSQL that the store works with.
const OLDEST: u32 = 15;

/// The directory of PostgreSQL's programs, and the user who may run them.
#[derive(Clone, Debug)]
pub struct Programs {
    directory: PathBuf,
    /// Root may not run a server, and runs it as this user and group.
    user: Option<(u32, u32)>,
}

impl Programs {
    /// Finds the programs. `None`, with a line that says so, when they are not installed; with
    /// `RELATION_REQUIRE_POSTGRES` that is an error.
    pub fn find() -> Result<Option<Self>> {
        let Some(directory) = find_directory() else {
            let required = std::env::var_os("RELATION_REQUIRE_POSTGRES").is_some();
            ensure!(!required, "PostgreSQL {OLDEST} or later is not installed");
            eprintln!("SKIPPED: PostgreSQL is not installed (apt-get install postgresql)");
            return Ok(None);
        };
        let user = if rustix::process::geteuid().is_root() {
            Some(find_user("postgres").context("there is no user `postgres`")?)
        } else {
            None
        };
        Ok(Some(Self { directory, user }))
    }

    /// Prepares a run of one program.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.command_outside(&self.directory.join(program));
        command.env_clear().env("LC_ALL", "C.UTF-8");
        command
    }

    /// Prepares a run of a program that is not part of PostgreSQL, as the same user.
    pub fn command_outside(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // The directory of the test may be closed to that user.
        command.current_dir("/");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    /// Returns the path of a program.
    pub fn path(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }

    /// Gives a file or directory to the user of the server.
    pub fn give(&self, path: &Path) -> Result<()> {
        if let Some((user, group)) = self.user {
            std::os::unix::fs::chown(path, Some(user), Some(group))?;
        }
        Ok(())
    }
}

/// Returns the directory with the latest version, or the one in the PATH.
fn find_directory() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(version, path)| *version >= OLDEST && path.join("initdb").exists())
        .collect();
    versions.sort();
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|path| path.join("initdb").exists())
    };
    versions.pop().map(|(_, path)| path).or_else(in_path)
}

/// Returns the ids of a user and its group.
fn find_user(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some((user, group))
    })
}
