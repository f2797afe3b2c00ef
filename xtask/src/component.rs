//! Builds the components and publishes them where the host's build and the tests look for them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::workspace::{self, Folders};
use crate::{step, toolchain};

/// The profile of all components. The fixtures define it differently in their workspace.
pub const PROFILE: &str = "component";

/// The plugin, which the host embeds.
const PLUGIN: &str = "spark-customer";

/// The suite that checks hosts. The host embeds it too.
const SUITE: &str = "host-conformance";

/// The workspace of the test plugins.
pub const FIXTURES: &str = "tests/fixtures";

/// The components that a command needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The plugin alone, for the demo and the benchmarks.
    Plugin,
    /// The plugin, the suite for hosts and the test plugins.
    All,
}

/// Builds components. The host embeds them, so they are built before the host.
pub fn build(folders: &Folders, selection: Selection) -> Result<()> {
    build_one(PLUGIN, &folders.target)?;
    if selection == Selection::All {
        build_one(SUITE, &folders.target)?;
        build_fixtures(folders)?;
    }
    Ok(())
}

/// Returns cargo as components are compiled. A wrapper around the compiler, with which `.ci/run` checks lints, does not
/// compile them: it optimizes less.
pub fn cargo() -> Command {
    let mut command = workspace::cargo();
    command.env_remove("RUSTC_WORKSPACE_WRAPPER");
    command
}

/// Builds one package as a component.
///
/// Uses `cargo rustc --crate-type cdylib`: `cargo build` would also build the plugin's rlib, and cargo
/// skips link-time optimization when a build makes both.
fn build_one(package: &str, target_directory: &Path) -> Result<()> {
    step::run(cargo().args([
        "rustc",
        "--package",
        package,
        "--lib",
        "--crate-type=cdylib",
        "--target",
        toolchain::TARGET,
        "--profile",
        PROFILE,
    ]))?;
    let file = format!("{}.wasm", package.replace('-', "_"));
    let built = built(target_directory).join(file);
    let published = target_directory
        .join("component")
        .join(format!("{package}.wasm"));
    let changed = publish(&built, &published)?;
    let size = std::fs::metadata(&published).map_or(0, |file| file.len());
    let state = if changed { "new" } else { "unchanged" };
    step::note(&format!(
        "{} ({} KiB, {state})",
        published.display(),
        size / 1024
    ));
    Ok(())
}

/// Publishes one component for each example, and WebAssembly text unchanged.
fn build_fixtures(folders: &Folders) -> Result<()> {
    let workspace = folders.root.join(FIXTURES);
    step::run(
        cargo()
            .args(["build", "--locked", "--examples", "--target"])
            .args([toolchain::TARGET, "--profile", PROFILE, "--manifest-path"])
            .arg(workspace.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&folders.target),
    )?;
    let sources = workspace.join("examples");
    let fixtures = fixtures(&sources).with_context(|| format!("listing {}", sources.display()))?;
    let published = folders.target.join("component/fixtures");
    let mut changed = 0;
    for source in &fixtures {
        let file = match source.extension() {
            Some(extension) if extension == "rs" => built(&folders.target)
                .join("examples")
                .join(source)
                .with_extension("wasm"),
            _ => sources.join(source),
        };
        let name = file.file_name().unwrap_or_default();
        changed += usize::from(publish(&file, &published.join(name))?);
    }
    step::note(&format!(
        "{} ({} fixtures, {changed} new)",
        published.display(),
        fixtures.len()
    ));
    Ok(())
}

/// Returns the directory of components that cargo has built.
pub fn built(target_directory: &Path) -> PathBuf {
    target_directory.join(toolchain::TARGET).join(PROFILE)
}

/// Returns the file names of the fixtures in alphabetical order.
fn fixtures(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(PathBuf::from(entry?.file_name()));
    }
    names.sort();
    Ok(names)
}

/// Copies `built` to `published` if their bytes differ, and returns whether it did.
///
/// The host's build depends on the published file, and cargo compares modification times: an
/// unchanged component must not cause a rebuild of the host.
pub fn publish(built: &Path, published: &Path) -> Result<bool> {
    let new = std::fs::read(built).with_context(|| format!("reading {}", built.display()))?;
    if std::fs::read(published).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    let saved = || -> std::io::Result<()> {
        let folder = published.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // A rename replaces the file atomically for concurrent readers.
        let partial = published.with_extension(format!("{}.partial", std::process::id()));
        std::fs::write(&partial, &new)?;
        std::fs::rename(&partial, published)
    };
    saved().with_context(|| format!("writing {}", published.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_is_copied_only_when_bytes_change() {
        let folder = tempfile::tempdir().unwrap();
        let built = folder.path().join("built.wasm");
        let published = folder.path().join("component/published.wasm");

        std::fs::write(&built, b"first").unwrap();
        assert!(publish(&built, &published).unwrap());
        let modified = std::fs::metadata(&published).unwrap().modified().unwrap();

        std::fs::write(&built, b"first").unwrap();
        assert!(!publish(&built, &published).unwrap());
        assert_eq!(
            std::fs::metadata(&published).unwrap().modified().unwrap(),
            modified
        );

        std::fs::write(&built, b"second").unwrap();
        assert!(publish(&built, &published).unwrap());
        assert_eq!(std::fs::read(&published).unwrap(), b"second");
        let left: Vec<_> = std::fs::read_dir(folder.path().join("component"))
            .unwrap()
            .collect();
        assert_eq!(left.len(), 1, "no partial file is left: {left:?}");
    }

    #[test]
    fn every_file_of_the_folder_is_a_fixture() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["zealous.rs", "greedy.wat"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let found = fixtures(folder.path()).unwrap();
        assert_eq!(found, [Path::new("greedy.wat"), Path::new("zealous.rs")]);
        assert!(fixtures(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn error_names_a_component_that_was_not_built() {
        let folder = tempfile::tempdir().unwrap();
        let error = publish(
            &folder.path().join("absent.wasm"),
            &folder.path().join("p.wasm"),
        )
        .unwrap_err();
        assert!(format!("{error:#}").contains("absent.wasm"), "{error:#}");
    }
}
