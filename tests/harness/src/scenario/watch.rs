//! What has changed since somebody last looked: scenarios, or the component that they run.
//!
//! It looks at the files themselves, a few times a second: that works on every file system, and a component
//! that a linker writes anew, with a name in between, is seen like any other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::suite;

/// What is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Scenarios, and directories with scenarios.
    pub paths: Vec<PathBuf>,
    /// The component's file, if it is one.
    pub component: Option<PathBuf>,
}

/// How everything was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    scenarios: BTreeMap<PathBuf, Stamp>,
    component: Option<Stamp>,
}

/// What tells a version of a file from the next one.
type Stamp = (Option<SystemTime>, u64);

/// What has changed between two looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Nothing that could lead to another result.
    Nothing,
    /// These scenarios, new ones among them, in the order of their names.
    Scenarios(Vec<PathBuf>),
    /// The component: every scenario may end in another way.
    Component,
}

impl Watched {
    /// Looks. A path that cannot be read just now has no files: an editor may be replacing it.
    pub fn look(&self) -> Look {
        let one = |path: &PathBuf| suite::find(std::slice::from_ref(path)).unwrap_or_default();
        let files = self.paths.iter().flat_map(one);
        Look {
            scenarios: files
                .filter_map(|file| Some((stamp(&file)?, file)))
                .map(|(stamp, file)| (file, stamp))
                .collect(),
            component: self.component.as_deref().and_then(stamp),
        }
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(file).ok()?;
    Some((found.modified().ok(), found.len()))
}

impl Look {
    /// What has changed since an earlier look. A component that is gone is being written: that is told when
    /// it is there again.
    pub fn since(&self, earlier: &Self) -> Changed {
        if self.component.is_some() && self.component != earlier.component {
            return Changed::Component;
        }
        let changed = self
            .scenarios
            .iter()
            .filter(|(file, stamp)| earlier.scenarios.get(*file) != Some(stamp));
        let changed: Vec<PathBuf> = changed.map(|(file, _)| file.clone()).collect();
        match changed.is_empty() {
            true => Changed::Nothing,
            false => Changed::Scenarios(changed),
        }
    }
}

/// Waits until something has changed and is quiet again: until two looks, one `pause` apart, are the same.
/// Answers what changed since `before`, which becomes how things are now.
pub fn settled(
    before: &mut Look,
    mut look: impl FnMut() -> Look,
    mut pause: impl FnMut(),
) -> Changed {
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
        // What is gone just now must not be forgotten: it would be missed when it comes back unchanged.
        if now.component.is_none() {
            now.component = before.component;
        }
        *before = now;
        if changed != Changed::Nothing {
            return changed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(scenarios: &[(&str, u64)], component: Option<u64>) -> Look {
        let scenarios = scenarios.iter();
        Look {
            scenarios: scenarios
                .map(|(name, version)| (PathBuf::from(name), (None, *version)))
                .collect(),
            component: component.map(|version| (None, version)),
        }
    }

    #[test]
    fn a_scenario_that_is_written_or_new_is_run_again_and_one_that_is_gone_is_not() {
        let before = look(&[("a.toml", 1), ("b.toml", 1), ("c.toml", 1)], None);
        let after = look(&[("a.toml", 2), ("b.toml", 1), ("d.toml", 1)], None);
        let changed = vec![PathBuf::from("a.toml"), PathBuf::from("d.toml")];
        assert_eq!(after.since(&before), Changed::Scenarios(changed));
        assert_eq!(before.since(&before), Changed::Nothing);
    }

    #[test]
    fn another_component_runs_everything_again_but_not_while_it_is_written() {
        let before = look(&[("a.toml", 1)], Some(1));
        assert_eq!(
            look(&[("a.toml", 1)], Some(2)).since(&before),
            Changed::Component
        );
        assert_eq!(
            look(&[("a.toml", 1)], None).since(&before),
            Changed::Nothing
        );
    }

    #[test]
    fn nothing_is_told_before_it_is_quiet() {
        let mut before = look(&[("a.toml", 1)], Some(1));
        let mut looks = [
            look(&[("a.toml", 2)], Some(1)),
            look(&[("a.toml", 3)], None),
            look(&[("a.toml", 3)], Some(2)),
            look(&[("a.toml", 3)], Some(2)),
        ]
        .into_iter();
        let mut pauses = 0;
        let changed = settled(&mut before, || looks.next().unwrap(), || pauses += 1);
        assert_eq!((changed, pauses), (Changed::Component, 3));
        assert_eq!(before, look(&[("a.toml", 3)], Some(2)));
    }

    #[test]
    fn files_are_looked_at_where_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let (file, component) = (
            directory.path().join("a.toml"),
            directory.path().join("c.wasm"),
        );
        std::fs::write(&file, "1").unwrap();
        std::fs::write(&component, "1").unwrap();
        let watched = Watched {
            paths: vec![directory.path().to_owned()],
            component: Some(component.clone()),
        };
        let first = watched.look();
        assert_eq!(watched.look().since(&first), Changed::Nothing);
        std::fs::write(&file, "another length").unwrap();
        assert_eq!(watched.look().since(&first), Changed::Scenarios(vec![file]));
        std::fs::write(&component, "another length").unwrap();
        assert_eq!(watched.look().since(&first), Changed::Component);
    }
}
