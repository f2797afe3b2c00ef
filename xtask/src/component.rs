//! Builds the components and leaves them where the host's build and the tests look for them.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::workspace::{self, Folders};
use crate::{step, toolchain};

const PROFILE: &str = "component";

/// The plugin: what the host carries.
const PLUGIN: &str = "spark-customer";

/// The suite that checks hosts: the host carries it too.
const SUITE: &str = "host-conformance";

/// Builds the plugin, the suite for hosts and the tests' own guests as components.
///
/// The host's build watches the folder that they end up in, hence all of them at once and before
/// it: a guest that only came with the tests would make the host compile again.
pub fn build(folders: &Folders) -> Result<()> {
    let fixtures =
        fixtures(&folders.root.join("tests/fixtures")).context("listing tests/fixtures")?;
    let carried = [PLUGIN, SUITE].into_iter();
    for package in carried.chain(fixtures.iter().map(String::as_str)) {
        build_one(package, &folders.target)?;
    }
    Ok(())
}

/// The guests, one per folder, the folder named as its package; in their alphabetical order.
fn fixtures(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut packages = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file() {
            packages.extend(
                path.file_name()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        }
    }
    packages.sort();
    Ok(packages)
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
    let built = target_directory
        .join(toolchain::TARGET)
        .join(PROFILE)
        .join(file);
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

/// Copies `built` to `published` if their bytes differ, and tells whether it did.
///
/// The host's build depends on the published file, and cargo decides by modification time: an
/// unchanged component must not make the host build again.
fn publish(built: &Path, published: &Path) -> Result<bool> {
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
    fn every_folder_with_a_manifest_is_a_fixture() {
        let folder = tempfile::tempdir().unwrap();
        for package in ["zealous", "greedy", "notes"] {
            std::fs::create_dir(folder.path().join(package)).unwrap();
        }
        for package in ["zealous", "greedy"] {
            std::fs::write(folder.path().join(package).join("Cargo.toml"), "").unwrap();
        }
        std::fs::write(folder.path().join("README.md"), "").unwrap();
        assert_eq!(fixtures(folder.path()).unwrap(), ["greedy", "zealous"]);
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
