//! Third-party packages from PyPI and npm that tests install into the target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artifacts;

/// Dependencies of npm packages are those of this day; those of PyPI are in `clients/constraints.txt`.
const NPM_BEFORE: &str = "2026-11-29";

/// Environment variable that makes a package that cannot be installed an error.
pub const REQUIRED: &str = "RELATION_REQUIRE_CLIENTS";

/// A registry of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registry {
    /// The registry for Python.
    PyPi,
    /// The registry for Node.
    Npm,
}

/// A package.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its registry.
    pub registry: Registry,
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Other packages that it needs and does not declare, as arguments of the installer.
    pub others: &'static [&'static str],
}

impl Package {
    /// Installs the package, unless it is cached in the target directory. Returns its directory.
    ///
    /// # Errors
    /// The reason why it cannot be installed.
    pub fn install(&self) -> Result<PathBuf, String> {
        let Self { name, version, .. } = self;
        let clients = artifacts::clients();
        let folder = clients.join(format!(
            "{}-{version}",
            name.replace('@', "").replace('/', "-")
        ));
        self.registry
            .find_programs()
            .map_err(|reason| format!("{name} {version} cannot run: {reason}"))?;
        if folder.is_dir() {
            return Ok(folder);
        }
        std::fs::create_dir_all(&clients).expect("the target directory can be written");
        let staging = tempfile::tempdir_in(&clients).expect("the target directory can be written");
        let mut installer = self.registry.installer(staging.path());
        installer.arg(match self.registry {
            Registry::PyPi => format!("{name}=={version}"),
            Registry::Npm => format!("{name}@{version}"),
        });
        let output = installer.args(self.others).output();
        let output = output.map_err(|error| format!("{name}: {installer:?}: {error}"))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let mut lines = stderr.lines();
            let reason = lines.find(|line| line.to_lowercase().contains("error"));
            let reason = reason.or(stderr.lines().last()).unwrap_or_default();
            return Err(format!("{name} {version} cannot be installed: {reason}"));
        }
        // Another process may have been faster.
        let _ = std::fs::rename(staging.path(), &folder);
        Ok(folder)
    }
}

impl Registry {
    /// Fails if a program for its packages is missing or too old.
    fn find_programs(self) -> Result<(), String> {
        let (runs, installs, oldest): (_, &[&str], _) = match self {
            Self::PyPi => ("python3", &["python3", "-m", "pip"], (3, 11)),
            Self::Npm => ("node", &["npm"], (20, 0)),
        };
        for command in [&[runs], installs] {
            let [program, arguments @ ..] = command else {
                continue;
            };
            let output = Command::new(program)
                .args(arguments)
                .arg("--version")
                .output();
            let output = output
                .ok()
                .filter(|output| output.status.success())
                .ok_or_else(|| format!("{} is not installed", command.join(" ")))?;
            if command == [runs] {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let version = text
                    .trim()
                    .trim_start_matches(|c: char| !c.is_ascii_digit());
                let mut parts = version.split('.').map_while(|part| part.parse().ok());
                let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
                if found < oldest {
                    let (major, minor) = oldest;
                    return Err(format!("{runs} {version} is older than {major}.{minor}"));
                }
            }
        }
        Ok(())
    }

    /// Returns the command that installs the packages of its further arguments into this directory.
    fn installer(self, folder: &Path) -> Command {
        match self {
            Self::PyPi => {
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
                    .args(["--disable-pip-version-check", "--retries", "1"])
                    .args(["--timeout", "30"])
                    .arg("--target")
                    .arg(folder)
                    .arg("--constraint")
                    .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/constraints.txt"));
                pip
            }
            Self::Npm => {
                let mut npm = Command::new("npm");
                npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
                    .args(["--fetch-retries", "1", "--fetch-timeout", "30000"])
                    .args(["--before", NPM_BEFORE])
                    .arg("--prefix")
                    .arg(folder);
                npm
            }
        }
    }
}
