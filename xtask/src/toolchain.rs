//! The active compiler: its version, its directories, and a check whether it can build components.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::step;

/// The target that components are compiled for.
pub const TARGET: &str = "wasm32-wasip2";

/// A program that needs the standard library, its random seed, its clock, and so a C library.
const PROBE: &str = "\
use std::{collections::HashMap, time::SystemTime};
fn main() {
    let mut seen = HashMap::new();
    seen.insert(std::env::args().count(), SystemTime::now());
    println!(\"{seen:?}\");
}
";

/// The compiler that cargo uses in this directory.
#[derive(Debug)]
pub struct Toolchain {
    /// As in `rustc -vV`: `1.95.0`, or `1.97.0-nightly`.
    pub release: String,
    /// The directory of the compiler and its standard libraries.
    pub sysroot: PathBuf,
    /// The directory for the standard library of [`TARGET`]: `…/lib/rustlib/wasm32-wasip2/lib`.
    pub target_libdir: PathBuf,
}

/// The readiness to compile for [`TARGET`].
#[derive(Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A program was compiled and linked.
    Ready,
    /// No program could be compiled, with the reason.
    Missing(String),
}

impl Toolchain {
    /// Asks the compiler for its version and directories.
    pub fn active() -> Result<Self> {
        let version = step::output(rustc().arg("-vV"))?;
        let release = parse_release(&version)
            .with_context(|| format!("no release in the output of `rustc -vV`: {version:?}"))?;
        let sysroot = step::output(rustc().args(["--print", "sysroot"]))?;
        let libdir = step::output(rustc().args(["--print", "target-libdir", "--target", TARGET]))
            .with_context(|| format!("rustc {release} may be too old to know {TARGET}"))?;
        Ok(Self {
            release: release.to_owned(),
            sysroot: PathBuf::from(sysroot.trim_end()),
            target_libdir: PathBuf::from(libdir.trim_end()),
        })
    }

    /// Compiles and links a small program, into `scratch`, which is created if it is missing.
    pub fn readiness(&self, scratch: &Path) -> Result<Readiness> {
        if !has_std(&self.target_libdir) {
            let place = self.target_libdir.display();
            return Ok(Readiness::Missing(format!(
                "there is no standard library in {place}"
            )));
        }
        std::fs::create_dir_all(scratch)
            .with_context(|| format!("making {}", scratch.display()))?;
        let result = scratch.join(format!("probe-{}.wasm", std::process::id()));
        let readiness = compile(&result);
        // Best effort: the next check overwrites the file.
        let _ = std::fs::remove_file(&result);
        readiness
    }
}

/// Returns a command for the compiler that cargo calls.
pub fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

fn compile(result: &Path) -> Result<Readiness> {
    let mut child = rustc()
        .args([
            "-",
            "--crate-name",
            "probe",
            "--edition",
            "2024",
            "--target",
            TARGET,
            "-o",
        ])
        .arg(result)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting rustc")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A compiler that exits before it has read everything explains itself on stderr.
        let _ = stdin.write_all(PROBE.as_bytes());
    }
    let output = child.wait_with_output().context("waiting for rustc")?;
    if output.status.success() {
        return Ok(Readiness::Ready);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let Some(reason) = first_error(&stderr) else {
        bail!(
            "rustc ended with {} and printed no error about a test program",
            output.status
        );
    };
    Ok(Readiness::Missing(format!(
        "a test program does not compile: {reason}"
    )))
}

fn parse_release(version: &str) -> Option<&str> {
    version
        .lines()
        .find_map(|line| line.strip_prefix("release: "))
        .map(str::trim)
}

fn has_std(libdir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(libdir) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| is_std(&entry.file_name().to_string_lossy()))
}

fn is_std(file_name: &str) -> bool {
    file_name.starts_with("libstd-") && file_name.ends_with(".rlib")
}

fn first_error(stderr: &str) -> Option<&str> {
    let error = stderr.lines().find(|line| line.starts_with("error"));
    error.or_else(|| stderr.lines().find(|line| !line.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_is_read_from_verbose_version() {
        let version = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\n\
                       host: x86_64-unknown-linux-gnu\nrelease: 1.95.0\nLLVM version: 22.1.2\n";
        assert_eq!(parse_release(version), Some("1.95.0"));
        assert_eq!(parse_release("rustc 1.95.0\n"), None);
    }

    #[test]
    fn standard_library_is_detected_by_its_rlib() {
        assert!(is_std("libstd-145b48c578b2b1aa.rlib"));
        assert!(!is_std("libstd-145b48c578b2b1aa.rmeta"));
        assert!(!is_std("libstd_detect-fa8fc216ac5538ba.rlib"));
    }

    #[test]
    fn missing_standard_library_names_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = Toolchain {
            release: "1.95.0".into(),
            sysroot: folder.path().into(),
            target_libdir: folder.path().join("lib"),
        };
        let readiness = toolchain.readiness(folder.path()).unwrap();
        let Readiness::Missing(reason) = readiness else {
            panic!("{readiness:?}")
        };
        assert!(
            reason.contains(&toolchain.target_libdir.display().to_string()),
            "{reason}"
        );
    }

    #[test]
    fn reason_is_the_compilers_first_error() {
        let stderr = "warning: x\nerror[E0463]: can't find crate for `std`\n  |\nerror: aborting\n";
        assert_eq!(
            first_error(stderr),
            Some("error[E0463]: can't find crate for `std`")
        );
        assert_eq!(first_error("\n\n"), None);
        assert_eq!(first_error("\nkilled\n"), Some("killed"));
    }
}
