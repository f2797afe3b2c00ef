//! Plugins with a fault in them, on purpose: what the scenarios must catch.
//!
//! Each `tests/fixtures/broken/NAME.fault` names a file of the plugin, a text that occurs there exactly
//! once, and what stands in its place. The plugin is copied below the target directory, changed there
//! and compiled to `component/broken/NAME.wasm`. It is compiled beside the plugin and as the plugin is, so that
//! both share what they depend on; hence the copy has a name of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::component::publish;
use crate::workspace::{self, Folders};
use crate::{step, toolchain};

const FAULTS: &str = "tests/fixtures/broken";

/// A fault as its file tells it.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    /// Below `plugin/`.
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

    /// The text with the fault in it.
    fn put_into(&self, text: &str) -> Result<String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            times => bail!(
                "what it looks for occurs {times} times in plugin/{}, not once: follow the change of the plugin",
                self.file
            ),
        }
    }
}

/// Builds every broken plugin.
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
    // Both are never written as they were, not for a moment: cargo would compile them again each time.
    let changed = BTreeMap::from([
        (
            copy.join("plugin").join(&fault.file),
            fault.put_into(&original)?,
        ),
        (copy.join("plugin/Cargo.toml"), called(&package, &manifest)),
    ]);
    for folder in ["plugin", "wit"] {
        copy_folder(&folders.root.join(folder), &copy.join(folder), &changed)?;
    }
    for file in ["Cargo.lock", "clippy.toml"] {
        write(&copy.join(file), &fs::read(folders.root.join(file))?)?;
    }
    let manifest = fs::read_to_string(folders.root.join("Cargo.toml"))?;
    write(
        &copy.join("Cargo.toml"),
        of_the_plugin_alone(&manifest).as_bytes(),
    )?;

    // It runs a few scenarios once: what counts is that it is compiled soon.
    let hastily = format!("profile.component.package.{package}.opt-level=1");
    step::run(
        workspace::cargo()
            .args([
                "rustc",
                "--package",
                &package,
                "--lib",
                "--config",
                &hastily,
            ])
            .args(["--crate-type=cdylib", "--profile=component", "--target"])
            .args([toolchain::TARGET, "--manifest-path"])
            .arg(copy.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&folders.target),
    )?;
    let built = folders.target.join(toolchain::TARGET);
    let built = built.join(format!("component/{package}.wasm"));
    let published = folders.target.join("component/broken").join(name);
    publish(&built, &published.with_extension("wasm"))?;
    Ok(())
}

/// The workspace's manifest with no other member than the plugin.
fn of_the_plugin_alone(manifest: &str) -> String {
    let line = |line: &str| {
        let key = line.split('=').next().unwrap_or_default().trim();
        match key {
            "members" | "default-members" => format!("{key} = [\"plugin\"]\n"),
            "exclude" => String::new(),
            _ => format!("{line}\n"),
        }
    };
    manifest.lines().map(line).collect()
}

/// The plugin's manifest with another name of the package.
fn called(package: &str, manifest: &str) -> String {
    manifest.replacen(
        "name = \"spark-customer\"",
        &format!("name = \"{package}\""),
        1,
    )
}

/// Makes `to` like `from` but for files that are `changed`, and takes away what has gone: cargo would
/// compile it all the same.
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
        if entry.file_type()?.is_dir() {
            copy_folder(&path, &copy, changed)?;
        } else if let Some(text) = changed.get(&copy) {
            write(&copy, text.as_bytes())?;
        } else {
            write(&copy, &fs::read(&path)?)?;
        }
    }
    Ok(())
}

/// Writes what is not there already: cargo goes by the time of the last change.
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
    fn a_fault_stands_in_the_place_of_a_text_that_occurs_once() {
        let fault = Fault::parse(TEXT).unwrap();
        assert_eq!(fault.file, "src/a.rs");
        assert_eq!(
            fault.put_into("two\nfour\nsix\n").unwrap(),
            "two\nfive\nsix\n"
        );
    }

    #[test]
    fn a_text_that_is_gone_or_occurs_twice_is_an_error_that_says_so() {
        let fault = Fault::parse(TEXT).unwrap();
        for (text, times) in [("two\n", "0 times"), ("four\nfour\n", "2 times")] {
            let error = fault.put_into(text).unwrap_err().to_string();
            assert!(
                error.contains(times) && error.contains("plugin/src/a.rs"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_that_is_no_fault_says_what_it_lacks() {
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
    fn a_copy_follows_what_is_added_changed_and_taken_away() {
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
    fn the_copy_of_the_manifest_has_one_member() {
        let manifest =
            "[workspace]\nmembers = [\"a\", \"b\"]\nexclude = [\"c\"]\n[workspace.dependencies]\n";
        let alone = of_the_plugin_alone(manifest);
        assert_eq!(
            alone,
            "[workspace]\nmembers = [\"plugin\"]\n[workspace.dependencies]\n"
        );
    }
}
