//! Builds the components and leaves them where the host's build and the tests look for them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::workspace::{self, Folders};
use crate::{step, toolchain};

const PROFILE: &str = "component";

/// The plugin: what the host carries.
const PLUGIN: &str = "spark-customer";

/// The suite that checks hosts: the host carries it too.
const SUITE: &str = "host-conformance";

/// The workspace of the tests' own guests.
const FIXTURES: &str = "tests/fixtures";

/// Builds the plugin, the suite for hosts and the tests' own guests as components.
///
/// All of them at once and before the host, so that whoever builds the tests finds what they run.
pub fn build(folders: &Folders) -> Result<()> {
    for package in [PLUGIN, SUITE] {
        build_one(package, &folders.target)?;
    }
    build_fixtures(folders)
}

/// `cargo rustc --crate-type cdylib` instead of `cargo build`: the plugin is an rlib too, and cargo
/// leaves out link-time optimisation for a build that makes both.
fn build_one(package: &str, target_directory: &Path) -> Result<()> {
    step::run(workspace::cargo().args([
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

/// One component per example, and WebAssembly text as it is.
fn build_fixtures(folders: &Folders) -> Result<()> {
    let workspace = folders.root.join(FIXTURES);
    step::run(
        workspace::cargo()
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

/// Where cargo leaves what it has built as a component.
fn built(target_directory: &Path) -> PathBuf {
    target_directory.join(toolchain::TARGET).join(PROFILE)
}

/// The names of the fixtures' files, in their alphabetical order.
fn fixtures(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(PathBuf::from(entry?.file_name()));
    }
    names.sort();
    Ok(names)
}

/// Copies `built` to `published` if their bytes differ, and tells whether it did.
///
/// The host's build depends on the published file, and cargo decides by modification time: an
/// unchanged component must not make the host build again.
pub fn publish(built: &Path, published: &Path) -> Result<bool> {
    let new = std::fs::read(built).with_context(|| format!("reading {}", built.display()))?;
    if std::fs::read(published).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    let saved = || -> std::io::Result<()> {
        let folder = published.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // Under another name first: whoever reads the published file sees an old or a new one, whole.
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
    fn a_component_is_copied_once_and_again_only_when_its_bytes_change() {
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
    fn a_component_that_was_not_built_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = publish(
            &folder.path().join("absent.wasm"),
            &folder.path().join("p.wasm"),
        )
        .unwrap_err();
        assert!(format!("{error:#}").contains("absent.wasm"), "{error:#}");
    }
}
