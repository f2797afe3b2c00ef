//! The installation of Python packages for tests.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Installs packages of exact versions into the target directory, unless they exist. Returns their directory, or the
/// reason why they are missing.
pub fn install(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let found = Command::new("python3").arg("--version").output();
    found.map_err(|error| format!("python3 is not installed: {error}"))?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let folder = target.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&target).unwrap();
    let staging = tempfile::tempdir_in(&target).unwrap();
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps"])
        .args(["--disable-pip-version-check", "--retries", "1"])
        .args(["--timeout", "30", "--target"])
        .arg(staging.path())
        .args(packages)
        .output()
        .map_err(|error| format!("pip cannot run: {error}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let reason = stderr.lines().last().unwrap_or_default();
        return Err(format!("{name} cannot be installed: {reason}"));
    }
    // Another process may have been faster.
    let _ = std::fs::rename(staging.path(), &folder);
    Ok(folder)
}
