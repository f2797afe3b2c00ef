//! Makes sure that the active toolchain can compile components.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::step::{note, run, step};
use crate::toolchain::{Readiness, TARGET, Toolchain};

/// Returns once components can be compiled. The error says what was tried and what to do.
pub fn ensure(target_directory: &Path) -> Result<()> {
    let scratch = target_directory.join("xtask");
    step(
        "setup",
        "can this machine's Rust compile components?",
        || {
            let toolchain = Toolchain::active()?;
            match toolchain.readiness(&scratch)? {
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
    step("rustup", "add the target to the toolchain", || {
        run(Command::new("rustup").args(["target", "add", TARGET]))
    })
    .and_then(|()| confirm(toolchain, scratch))
    .map_err(|error| anyhow::anyhow!("{}", advice(toolchain, &error)))
}

/// Removes results that were compiled against a replaced standard library. Cargo does not notice the
/// replacement, and the compiler would not find the crates.
fn forget_builds(target_directory: &Path) -> Result<()> {
    let builds = target_directory.join(TARGET);
    match std::fs::remove_dir_all(&builds) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing the stale {}", builds.display()))
        }
        _ => Ok(()),
    }
}

fn confirm(toolchain: &Toolchain, scratch: &Path) -> Result<()> {
    match toolchain
        .readiness(scratch)
        .context("checking the target after its installation")?
    {
        Readiness::Ready => Ok(()),
        Readiness::Missing(reason) => bail!(
            "rustup succeeded, but rustc {} in {} still cannot use the target: {reason}",
            toolchain.release,
            toolchain.sysroot.display()
        ),
    }
}

fn advice(toolchain: &Toolchain, rustup: &anyhow::Error) -> String {
    let release = &toolchain.release;
    let folder = toolchain.target_libdir.display();
    format!(
        "rustc {release} cannot compile for {TARGET}, and rustup could not add the target: {rustup:#}
hint: do one of these, then run this command again
  - where rustup and its servers can be reached:
      rustup target add {TARGET}
  - with a Rust that does not come from rustup: install the standard library of {TARGET} for rustc
    {release} into {folder}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_builds_of_the_target_are_removed() {
        let target = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(target.path().join(TARGET).join("component/deps")).unwrap();
        std::fs::create_dir_all(target.path().join("debug")).unwrap();
        forget_builds(target.path()).unwrap();
        assert!(!target.path().join(TARGET).exists() && target.path().join("debug").exists());
        forget_builds(target.path()).unwrap();
    }

    #[test]
    fn failed_installation_names_reason_and_commands() {
        let toolchain = Toolchain {
            release: "1.95.0".into(),
            target_libdir: "/opt/rust/lib/rustlib/wasm32-wasip2/lib".into(),
            sysroot: "/opt/rust".into(),
        };
        let text = advice(&toolchain, &anyhow::anyhow!("there is no rustup"));
        for part in [
            "there is no rustup",
            "rustup target add wasm32-wasip2",
            "rustc\n    1.95.0 into /opt/rust/lib/rustlib/wasm32-wasip2/lib",
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
    }
}
