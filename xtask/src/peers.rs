//! Sets up the peers of the benchmark, the programs in `benches/peers/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::step::{note, run};
use crate::workspace::Folders;

/// Copies the programs below the target directory and installs their packages there. Packages that cannot be
/// installed are reported, and their programs are skipped.
pub fn set_up(folders: &Folders) -> Result<PathBuf> {
    let peers = folders.target.join("peers");
    copy_programs(&folders.root.join("benches/peers"), &peers)?;
    if let Err(reason) = install_python(&peers) {
        note(&format!("skipped, the peers in Python: {reason:#}"));
    }
    if let Err(reason) = install_node(&peers.join("node")) {
        note(&format!("skipped, the peer in Node: {reason:#}"));
    }
    Ok(peers)
}

fn install_python(peers: &Path) -> Result<()> {
    let environment = peers.join("python");
    if !environment.is_dir() {
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment))?;
    }
    let installed = run(Command::new(environment.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(peers.join("requirements.txt")));
    if installed.is_err() {
        // Without all packages, the programs would fail later.
        fs::remove_dir_all(&environment)?;
    }
    installed
}

fn install_node(folder: &Path) -> Result<()> {
    run(Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(folder))
}

fn copy_programs(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_programs(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
