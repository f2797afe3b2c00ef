//! axe-core, which finds obstacles in pages for people with disabilities. It is installed from npm for tests only, and
//! is part of no program.

use std::process::Command;

use crate::artifacts;
use crate::optional_programs::{find_program, report_skipped};

/// Environment variable that makes a missing axe-core an error.
const REQUIRED: &str = "RELATION_REQUIRE_CLIENTS";

/// The package and its version.
const PACKAGE: (&str, &str) = ("axe-core", "4.14.1");

/// Returns the script, which is cached in the target directory. Without it, reports that its checks are skipped and
/// returns `None`, or fails the test if `RELATION_REQUIRE_CLIENTS` is set.
pub fn load() -> Option<String> {
    match install() {
        Ok(script) => Some(script),
        Err(reason) => {
            report_skipped(&reason, REQUIRED);
            None
        }
    }
}

fn install() -> Result<String, String> {
    let (name, version) = PACKAGE;
    let folder = artifacts::clients().join(format!("{name}-{version}"));
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        let clients = artifacts::clients();
        let npm = find_program("npm").ok_or_else(|| format!("{name}: npm is not installed"))?;
        std::fs::create_dir_all(&clients).expect("the target directory can be written");
        let staging = tempfile::tempdir_in(&clients).expect("the target directory can be written");
        let output = Command::new(npm)
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
            .args(["--fetch-retries", "1", "--fetch-timeout", "30000"])
            .arg("--prefix")
            .arg(staging.path())
            .arg(format!("{name}@{version}"))
            .output();
        let output = output.map_err(|error| format!("{name}: npm cannot run: {error}"))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let reason = stderr.lines().find(|line| line.contains("error"));
            let reason = reason.unwrap_or_default();
            return Err(format!("{name} {version} cannot be installed: {reason}"));
        }
        // Another process may have been faster.
        let _ = std::fs::rename(staging.path(), &folder);
    }
    std::fs::read_to_string(&script).map_err(|error| format!("{}: {error}", script.display()))
}
