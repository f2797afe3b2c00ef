//! Changes of scenarios, or of their component, since an earlier check.
//!
//! The files are polled several times a second. Polling works on every file system, and detects a component
//! that a linker replaces by renaming.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::suite;

/// The watched files.
#[derive(Clone, Debug)]
pub struct WatchedFiles {
    /// Scenarios, and directories of scenarios.
    pub paths: Vec<PathBuf>,
    /// The component's file, if there is one.
    pub component: Option<PathBuf>,
}

/// The versions of the files at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSnapshot {
    scenarios: BTreeMap<PathBuf, FileVersion>,
    component: Option<FileVersion>,
}

/// The modification time and size, which identify a version of a file.
type FileVersion = (Option<SystemTime>, u64);

/// The changes between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChanges {
    /// No change that affects a result.
    Nothing,
    /// Changed and new scenarios, sorted by name.
    Scenarios(Vec<PathBuf>),
    /// A new component: all scenarios are affected.
    Component,
}

impl WatchedFiles {
    /// Takes a snapshot. An unreadable path has no files, because an editor may be replacing it.
    pub fn take_snapshot(&self) -> FileSnapshot {
        let one = |path: &PathBuf| suite::find(std::slice::from_ref(path)).unwrap_or_default();
        let files = self.paths.iter().flat_map(one);
        FileSnapshot {
            scenarios: files
                .filter_map(|file| Some((file_version(&file)?, file)))
                .map(|(version, file)| (file, version))
                .collect(),
            component: self.component.as_deref().and_then(file_version),
        }
    }
}

fn file_version(file: &Path) -> Option<FileVersion> {
    let found = std::fs::metadata(file).ok()?;
    Some((found.modified().ok(), found.len()))
}

impl FileSnapshot {
    /// Returns the changes since an earlier snapshot. A missing component is being written, and is reported
    /// once it exists again.
    pub fn since(&self, earlier: &Self) -> FileChanges {
        if self.component.is_some() && self.component != earlier.component {
            return FileChanges::Component;
        }
        let changed = self
            .scenarios
            .iter()
            .filter(|(file, version)| earlier.scenarios.get(*file) != Some(version));
        let changed: Vec<PathBuf> = changed.map(|(file, _)| file.clone()).collect();
        match changed.is_empty() {
            true => FileChanges::Nothing,
            false => FileChanges::Scenarios(changed),
        }
    }
}

/// Waits for a change and until two snapshots, one `pause` apart, are equal. Returns the changes since
/// `before`, and updates `before`.
pub fn wait_until_stable(
    before: &mut FileSnapshot,
    mut look: impl FnMut() -> FileSnapshot,
    mut pause: impl FnMut(),
) -> FileChanges {
    loop {
        let mut now = look();
        loop {
            pause();
            let next = look();
            if next == now {
                break;
            }
            now = next;
        }
        let changed = now.since(before);
        // The earlier version of a missing component is kept, to compare with the new one.
        if now.component.is_none() {
            now.component = before.component;
        }
        *before = now;
        if changed != FileChanges::Nothing {
            return changed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(scenarios: &[(&str, u64)], component: Option<u64>) -> FileSnapshot {
        let scenarios = scenarios.iter();
        FileSnapshot {
            scenarios: scenarios
                .map(|(name, version)| (PathBuf::from(name), (None, *version)))
                .collect(),
            component: component.map(|version| (None, version)),
        }
    }

    #[test]
    fn changed_and_new_scenarios_run_again() {
        let before = look(&[("a.toml", 1), ("b.toml", 1), ("c.toml", 1)], None);
        let after = look(&[("a.toml", 2), ("b.toml", 1), ("d.toml", 1)], None);
        let changed = vec![PathBuf::from("a.toml"), PathBuf::from("d.toml")];
        assert_eq!(after.since(&before), FileChanges::Scenarios(changed));
        assert_eq!(before.since(&before), FileChanges::Nothing);
    }

    #[test]
    fn new_component_runs_all_once_it_is_written() {
        let before = look(&[("a.toml", 1)], Some(1));
        assert_eq!(
            look(&[("a.toml", 1)], Some(2)).since(&before),
            FileChanges::Component
        );
        assert_eq!(
            look(&[("a.toml", 1)], None).since(&before),
            FileChanges::Nothing
        );
    }

    #[test]
    fn changes_are_reported_once_files_are_stable() {
        let mut before = look(&[("a.toml", 1)], Some(1));
        let mut looks = [
            look(&[("a.toml", 2)], Some(1)),
            look(&[("a.toml", 3)], None),
            look(&[("a.toml", 3)], Some(2)),
            look(&[("a.toml", 3)], Some(2)),
        ]
        .into_iter();
        let mut pauses = 0;
        let changed = wait_until_stable(&mut before, || looks.next().unwrap(), || pauses += 1);
        assert_eq!((changed, pauses), (FileChanges::Component, 3));
        assert_eq!(before, look(&[("a.toml", 3)], Some(2)));
    }

    #[test]
    fn changed_files_are_detected() {
        let directory = tempfile::tempdir().unwrap();
        let (file, component) = (
            directory.path().join("a.toml"),
            directory.path().join("c.wasm"),
        );
        std::fs::write(&file, "1").unwrap();
        std::fs::write(&component, "1").unwrap();
        let watched = WatchedFiles {
            paths: vec![directory.path().to_owned()],
            component: Some(component.clone()),
        };
        let first = watched.take_snapshot();
        assert_eq!(watched.take_snapshot().since(&first), FileChanges::Nothing);
        std::fs::write(&file, "another length").unwrap();
        assert_eq!(
            watched.take_snapshot().since(&first),
            FileChanges::Scenarios(vec![file])
        );
        std::fs::write(&component, "another length").unwrap();
        assert_eq!(
            watched.take_snapshot().since(&first),
            FileChanges::Component
        );
    }
}
