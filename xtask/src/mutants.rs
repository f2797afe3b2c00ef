//! Builds mutants: copies of the plugin with one seeded fault each, which the scenarios must catch.
//!
//! Each `tests/fixtures/broken/NAME.fault` names a file of the plugin, a text that occurs there exactly
//! once, and its replacement. The plugin is copied below the target directory, changed there and
//! compiled to `component/broken/NAME.wasm`. A copy has a package name of its own, and all copies share their
//! compiled dependencies. They have the profile of the fixtures, which compiles quickly, and so share the compiled
//! macros with them.
//!
//! `cargo mutants` is not a substitute: it changes operators and return values, and runs unit tests. These
//! faults are mistakes that a person would make in a rule, and must be caught through the component.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::component::{self, publish};
use crate::workspace::Folders;
use crate::{step, toolchain};

const FAULTS: &str = "tests/fixtures/broken";

/// A parsed `.fault` file.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    /// Path below `plugin/`.
    file: String,
    find: String,
    replace: String,
}

impl Fault {
    fn parse(text: &str) -> Result<Self> {
        let (head, rest) = text
            .split_once("--- find\n")
            .context("there is no line `--- find`")?;
        let (find, replace) = rest
            .split_once("--- replace\n")
            .context("there is no line `--- replace`")?;
        let file = head.lines().find_map(|line| line.strip_prefix("file: "));
        Ok(Self {
            file: file
                .context("there is no line `file: …`")?
                .trim()
                .to_owned(),
            find: find.to_owned(),
            replace: replace.to_owned(),
        })
    }

    /// Returns `text` with the fault seeded.
    fn seed(&self, text: &str) -> Result<String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            times => bail!(
                "its text to find occurs {times} times in plugin/{}, not once: adapt the fault to the changed plugin",
                self.file
            ),
        }
    }
}

/// Builds every mutant.
pub fn build(folders: &Folders) -> Result<()> {
    for file in faults(&folders.root.join(FAULTS))? {
        build_one(folders, &file).with_context(|| format!("building {}", file.display()))?;
    }
    Ok(())
}

fn faults(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "fault")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn build_one(folders: &Folders, file: &Path) -> Result<()> {
    let fault = Fault::parse(&fs::read_to_string(file)?)?;
    let name = file.file_stem().unwrap_or_default();
    let package = format!("broken_{}", name.display());
    let copy = folders.target.join("broken").join(name);
    let original = fs::read_to_string(folders.root.join("plugin").join(&fault.file))?;
    let manifest = fs::read_to_string(folders.root.join("plugin/Cargo.toml"))?;
    // The originals of these two are never written to the copy: cargo would rebuild it each time.
    let changed = BTreeMap::from([
        (
            copy.join("plugin").join(&fault.file),
            fault.seed(&original)?,
        ),
        (
            copy.join("plugin/Cargo.toml"),
            rename_package(&package, &manifest),
        ),
    ]);
    for folder in ["plugin", "wit"] {
        copy_folder(&folders.root.join(folder), &copy.join(folder), &changed)?;
    }
    for file in ["Cargo.lock", "clippy.toml"] {
        write(&copy.join(file), &fs::read(folders.root.join(file))?)?;
    }
    let manifest = fs::read_to_string(folders.root.join("Cargo.toml"))?;
    let fixtures = fs::read_to_string(folders.root.join(component::FIXTURES).join("Cargo.toml"))?;
    write(
        &copy.join("Cargo.toml"),
        manifest_of_copy(&manifest, &fixtures).as_bytes(),
    )?;

    step::run(
        component::cargo()
            .args([
                "rustc",
                "--package",
                &package,
                "--lib",
                "--crate-type=cdylib",
                "--profile",
                component::PROFILE,
                "--target",
            ])
            .args([toolchain::TARGET, "--manifest-path"])
            .arg(copy.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&folders.target),
    )?;
    let built = component::built(&folders.target).join(format!("{package}.wasm"));
    let published = folders.target.join("component/broken").join(name);
    publish(&built, &published.with_extension("wasm"))?;
    Ok(())
}

/// Returns the workspace's manifest with the plugin as its only member, and with the profiles of the fixtures.
fn manifest_of_copy(workspace: &str, fixtures: &str) -> String {
    let mut kept = String::new();
    for (manifest, keeps_profiles) in [(workspace, false), (fixtures, true)] {
        let mut in_profile = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_profile = line.starts_with("[profile.");
            }
            let key = line.split('=').next().unwrap_or_default().trim();
            match key {
                _ if in_profile != keeps_profiles => {}
                "exclude" => {}
                "members" | "default-members" => {
                    kept.push_str(&format!("{key} = [\"plugin\"]\n"));
                }
                _ => {
                    kept.push_str(line);
                    kept.push('\n');
                }
            }
        }
    }
    kept
}

/// Returns the plugin's manifest with another package name.
fn rename_package(package: &str, manifest: &str) -> String {
    manifest.replacen(
        "name = \"spark-customer\"",
        &format!("name = \"{package}\""),
        1,
    )
}

/// Makes `to` equal to `from`, except for files in `changed`. Removes files that `from` does not have,
/// since cargo would compile them.
fn copy_folder(from: &Path, to: &Path, changed: &BTreeMap<PathBuf, String>) -> Result<()> {
    if to.exists() {
        for entry in fs::read_dir(to)? {
            let entry = entry?;
            if from.join(entry.file_name()).exists() {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        // Follows links: the contract's dependencies link to the platform's package.
        if path.is_dir() {
            copy_folder(&path, &copy, changed)?;
        } else if let Some(text) = changed.get(&copy) {
            write(&copy, text.as_bytes())?;
        } else {
            write(&copy, &fs::read(&path)?)?;
        }
    }
    Ok(())
}

/// Writes a file unless it has these bytes already, since cargo compares modification times.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "about: It is wrong\nfile: src/a.rs\ncaught-by: a.toml\n--- find\nfour\n--- replace\nfive\n";

    #[test]
    fn fault_replaces_a_text_that_occurs_once() {
        let fault = Fault::parse(TEXT).unwrap();
        assert_eq!(fault.file, "src/a.rs");
        assert_eq!(fault.seed("two\nfour\nsix\n").unwrap(), "two\nfive\nsix\n");
    }

    #[test]
    fn text_that_occurs_not_once_is_an_error() {
        let fault = Fault::parse(TEXT).unwrap();
        for (text, times) in [("two\n", "0 times"), ("four\nfour\n", "2 times")] {
            let error = fault.seed(text).unwrap_err().to_string();
            assert!(
                error.contains(times) && error.contains("plugin/src/a.rs"),
                "{error}"
            );
        }
    }

    #[test]
    fn incomplete_file_names_its_missing_part() {
        for (text, lacks) in [
            ("file: a\n", "find"),
            ("--- find\n", "replace"),
            ("--- find\n--- replace\n", "file"),
        ] {
            let error = Fault::parse(text).unwrap_err().to_string();
            assert!(error.contains(lacks), "{error}");
        }
    }

    #[test]
    fn copy_follows_additions_changes_and_removals() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let put = |file: &str, text: &str| write(&from.join(file), text.as_bytes()).unwrap();
        put("src/lib.rs", "one");
        put("src/gone.rs", "gone");
        put("bin/gone.rs", "gone");
        copy_folder(&from, &to, &BTreeMap::new()).unwrap();
        put("src/lib.rs", "two");
        put("src/new.rs", "new");
        fs::remove_file(from.join("src/gone.rs")).unwrap();
        fs::remove_dir_all(from.join("bin")).unwrap();
        copy_folder(&from, &to, &BTreeMap::new()).unwrap();

        let text = |file: &str| fs::read_to_string(to.join(file)).ok();
        assert_eq!(text("src/lib.rs").as_deref(), Some("two"));
        assert_eq!(text("src/new.rs").as_deref(), Some("new"));
        assert_eq!(text("src/gone.rs"), None);
        assert!(!to.join("bin").exists());
    }

    #[test]
    fn copied_manifest_has_one_member_and_the_profiles_of_the_fixtures() {
        let workspace = "[workspace]\nmembers = [\"a\", \"b\"]\nexclude = [\"c\"]\n[workspace.dependencies]\n\
             [profile.dev.package]\nring.opt-level = 2\n\n[profile.component]\nlto = true\n[workspace.lints]\n";
        let fixtures = "[package]\nname = \"f\"\n[profile.component]\nopt-level = \"s\"\n";
        assert_eq!(
            manifest_of_copy(workspace, fixtures),
            "[workspace]\nmembers = [\"plugin\"]\n[workspace.dependencies]\n[workspace.lints]\n\
             [profile.component]\nopt-level = \"s\"\n"
        );
    }
}
