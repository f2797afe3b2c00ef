//! Gets the standard library of the component target for the active compiler, by one of two routes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::step::{note, run, step};
use crate::toolchain::{Probe, Readiness, TARGET, Toolchain};

const NO_RUSTUP: &str = "RELATION_SETUP_NO_RUSTUP";

/// Returns once components can be compiled; else the error says what was tried and what to do.
pub fn ensure(target_directory: &Path) -> Result<()> {
    let scratch = target_directory.join("xtask");
    step(
        "setup",
        "can this machine's Rust compile components?",
        || {
            let toolchain = Toolchain::active()?;
            match toolchain.readiness(&scratch, Probe::Quick)? {
                Readiness::Ready => {
                    note(&format!(
                        "rustc {} compiles for {TARGET}",
                        toolchain.release
                    ));
                    Ok(())
                }
                Readiness::Missing(reason) => {
                    note(&format!("rustc {}: {reason}", toolchain.release));
                    install(&toolchain, &scratch)?;
                    forget_builds(target_directory)
                }
            }
        },
    )
}

fn install(toolchain: &Toolchain, scratch: &Path) -> Result<()> {
    let by_rustup = step("rustup", "add the target to the toolchain", rustup)
        .and_then(|()| confirm(toolchain, scratch));
    let Err(rustup_failure) = by_rustup else {
        return Ok(());
    };
    note(&format!("not by rustup: {rustup_failure:#}"));

    let by_debian = step(
        "debian",
        "build the target from Debian's packages, once",
        || debian(toolchain, scratch),
    )
    .and_then(|()| confirm(toolchain, scratch));
    let Err(debian_failure) = by_debian else {
        return Ok(());
    };
    bail!("{}", advice(toolchain, &rustup_failure, &debian_failure));
}

/// Drops what was compiled against a standard library that has been replaced: cargo does not see
/// the difference, and the compiler would not find the crates in it.
fn forget_builds(target_directory: &Path) -> Result<()> {
    let builds = target_directory.join(TARGET);
    match std::fs::remove_dir_all(&builds) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing the stale {}", builds.display()))
        }
        _ => Ok(()),
    }
}

fn rustup() -> Result<()> {
    if std::env::var_os(NO_RUSTUP).is_some_and(|value| !value.is_empty() && value != "0") {
        bail!("{NO_RUSTUP} is set");
    }
    run(Command::new("rustup").args(["target", "add", TARGET]))
}

#[cfg(unix)]
fn debian(toolchain: &Toolchain, scratch: &Path) -> Result<()> {
    crate::debian::install(toolchain, scratch)
}

#[cfg(not(unix))]
fn debian(_: &Toolchain, _: &Path) -> Result<()> {
    bail!("this machine is not a Debian")
}

fn confirm(toolchain: &Toolchain, scratch: &Path) -> Result<()> {
    match toolchain
        .readiness(scratch, Probe::AsComponent)
        .context("looking whether it helped")?
    {
        Readiness::Ready => Ok(()),
        Readiness::Missing(reason) => bail!(
            "it ended well, but rustc {} in {} still cannot use it: {reason}",
            toolchain.release,
            toolchain.sysroot.display()
        ),
    }
}

fn advice(toolchain: &Toolchain, rustup: &anyhow::Error, debian: &anyhow::Error) -> String {
    let release = &toolchain.release;
    let sysroot = toolchain.sysroot.display();
    format!(
        "rustc {release} cannot compile for {TARGET}, and neither route could change that
  by rustup: {rustup:#}
  by Debian's packages: {debian:#}
hint: do one of these, then run this command again
  - where rustup and its servers can be reached:
      rustup target add {TARGET}
  - on a Debian, from a suite that has rust-src of version {release} (such as stable's backports;
    `apt-cache madison rust-src` lists them), as a user who may write to {sysroot}:
      apt-get install rust-src={release}* wasi-libc
      {NO_RUSTUP}=1 cargo xtask setup"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compiled_for_the_target_before_is_dropped_and_nothing_else() {
        let target = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(target.path().join(TARGET).join("component/deps")).unwrap();
        std::fs::create_dir_all(target.path().join("debug")).unwrap();
        forget_builds(target.path()).unwrap();
        assert!(!target.path().join(TARGET).exists() && target.path().join("debug").exists());
        forget_builds(target.path()).unwrap();
    }

    #[test]
    fn where_both_routes_fail_the_error_has_both_reasons_and_both_commands() {
        let toolchain = Toolchain {
            release: "1.95.0".into(),
            sysroot: "/opt/rust".into(),
            target_libdir: "/opt/rust/lib/rustlib/wasm32-wasip2/lib".into(),
        };
        let text = advice(
            &toolchain,
            &anyhow::anyhow!("there is no rustup"),
            &anyhow::anyhow!("there is no apt"),
        );
        for part in [
            "there is no rustup",
            "there is no apt",
            "rustup target add wasm32-wasip2",
            "apt-get install rust-src=1.95.0* wasi-libc",
            "/opt/rust",
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
    }
}
