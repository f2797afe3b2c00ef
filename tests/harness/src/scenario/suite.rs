//! Sets of scenarios: finding, selecting and running them, several concurrently.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::component::Component;
use super::format::{LoadError, load};
use super::model::Scenario;
use super::outcome::{ScenarioResult, Verdict};
use super::run::run;
use super::update;

/// A file that was read.
#[derive(Debug)]
pub struct LoadedScenario {
    /// The file.
    pub path: PathBuf,
    /// The scenario, or the reason why there is none.
    pub scenario: Result<Scenario, LoadError>,
}

/// The reason why no scenarios were found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// A path cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// There are no scenarios.
    #[error("there are no scenarios (*.toml) in {0}")]
    NoScenarios(String),
}

/// The scenarios at and below some paths.
#[derive(Debug, Default)]
pub struct FoundFiles {
    /// The given files, and files that end in `.toml` below the given directories, without repetitions. The order is
    /// that of the given paths; files of a directory are sorted by name.
    pub files: Vec<PathBuf>,
    /// The skipped entries of directories.
    pub skipped: Vec<SkippedEntry>,
}

/// A directory entry that is not a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedEntry {
    /// The entry.
    pub path: PathBuf,
    /// The kind of the entry, such as `a hidden file`.
    pub reason: &'static str,
}

/// Returns the files of [`find_with_skipped`].
///
/// # Errors
/// If a path cannot be read, or there are no files.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FindError> {
    find_with_skipped(paths).map(|found| found.files)
}

/// Finds scenarios at and below `paths`. Below a directory, these entries are skipped: hidden files (such as an
/// editor's lock), dangling links, pipes, sockets and devices. A given path is never skipped.
///
/// # Errors
/// If a path cannot be read, or there are no files.
pub fn find_with_skipped(paths: &[PathBuf]) -> Result<FoundFiles, FindError> {
    let mut found = FoundFiles::default();
    for path in paths {
        let mut found_below = FoundFiles::default();
        match std::fs::metadata(path) {
            Err(cause) => {
                let path = path.clone();
                return Err(FindError::Unreadable { path, cause });
            }
            Ok(metadata) if metadata.is_dir() => walk(path, &mut Vec::new(), &mut found_below)?,
            Ok(_) => found_below.files.push(path.clone()),
        }
        found_below.files.sort();
        found_below.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        for file in found_below.files {
            if !found.files.contains(&file) {
                found.files.push(file);
            }
        }
        for entry in found_below.skipped {
            if !found.skipped.contains(&entry) {
                found.skipped.push(entry);
            }
        }
    }
    if found.files.is_empty() {
        let paths: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(FindError::NoScenarios(paths.join(", ")));
    }
    Ok(found)
}

/// Walks a directory. `ancestors` are the real paths of its ancestors.
fn walk(
    directory: &Path,
    ancestors: &mut Vec<PathBuf>,
    found: &mut FoundFiles,
) -> Result<(), FindError> {
    let unreadable = |cause| FindError::Unreadable {
        path: directory.to_owned(),
        cause,
    };
    let real = std::fs::canonicalize(directory).map_err(unreadable)?;
    if ancestors.contains(&real) {
        found.skipped.push(SkippedEntry {
            path: directory.to_owned(),
            reason: "a link to a directory that it is in",
        });
        return Ok(());
    }
    ancestors.push(real);
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default();
        let is_hidden = name.to_string_lossy().starts_with('.');
        let is_scenario = path
            .extension()
            .is_some_and(|extension| extension == "toml");
        let reason = match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() && is_hidden => {
                found.skipped.push(SkippedEntry {
                    path,
                    reason: "a hidden directory",
                });
                continue;
            }
            Ok(metadata) if metadata.is_dir() => {
                walk(&path, ancestors, found)?;
                continue;
            }
            _ if !is_scenario => continue,
            _ if is_hidden => "a hidden file",
            Ok(metadata) if metadata.is_file() => {
                found.files.push(path);
                continue;
            }
            Ok(_) => "a pipe, a socket or a device",
            Err(_) if path.is_symlink() => "a link that leads nowhere",
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => "gone",
            Err(cause) => return Err(FindError::Unreadable { path, cause }),
        };
        found.skipped.push(SkippedEntry { path, reason });
    }
    ancestors.pop();
    Ok(())
}

/// Reads files, and keeps those whose path or `about` contains `filter`, ignoring case. A broken file has only
/// its path.
pub fn select(files: &[PathBuf], filter: Option<&str>) -> Vec<LoadedScenario> {
    let loaded = files.iter().map(|path| LoadedScenario {
        path: path.clone(),
        scenario: load(path),
    });
    let filter = filter.map(str::to_lowercase);
    let wanted = |loaded: &LoadedScenario| {
        let about = loaded.scenario.as_ref().map(|scenario| &*scenario.about);
        let texts = [&*loaded.path.to_string_lossy(), about.unwrap_or_default()];
        filter.as_ref().is_none_or(|filter| {
            texts
                .iter()
                .any(|text| text.to_lowercase().contains(filter))
        })
    };
    loaded.filter(wanted).collect()
}

/// Runs scenarios, up to `jobs` concurrently, on the stores of the component if it has any. Calls `on_result` for each in order, once it and all before it have
/// ended.
pub fn run_all(
    loaded: &[LoadedScenario],
    component: &Component,
    jobs: NonZeroUsize,
    mut on_result: impl FnMut(&ScenarioResult),
) -> Vec<ScenarioResult> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut waiting = BTreeMap::new();
    let mut all = Vec::new();
    let mut components = component
        .split()
        .unwrap_or_else(|| vec![component.clone(); jobs.get()]);
    components.truncate(jobs.get().min(loaded.len()));
    std::thread::scope(|scope| {
        for component in components {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(loaded) = loaded.get(index) else {
                        return;
                    };
                    if sender.send((index, run_one(loaded, &component))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (index, result) in receiver {
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&all.len()) {
                on_result(&result);
                all.push(result);
            }
        }
    });
    all
}

/// Runs a scenario and accepts its observations, step by step, until it passes or a failure cannot be accepted.
/// Returns the result and the number of rewritten steps.
///
/// # Errors
/// If the file cannot be read or written.
pub fn accept(
    loaded: &LoadedScenario,
    component: &Component,
) -> std::io::Result<(ScenarioResult, usize)> {
    let mut result = run_one(loaded, component);
    let mut text = std::fs::read_to_string(&loaded.path)?;
    let mut rewritten = 0;
    // Each iteration fixes one step; a failure that occurs again cannot be fixed.
    let max_steps = loaded
        .scenario
        .as_ref()
        .map_or(0, |scenario| scenario.steps.len());
    while rewritten < max_steps {
        let Verdict::Failed { failures } = &result.verdict else {
            break;
        };
        let Some(accepted) = failures
            .first()
            .and_then(|failure| update::accept(&text, failure))
        else {
            break;
        };
        if accepted == text {
            break;
        }
        std::fs::write(&loaded.path, &accepted)?;
        text = accepted;
        rewritten += 1;
        let reloaded = LoadedScenario {
            path: loaded.path.clone(),
            scenario: load(&loaded.path),
        };
        result = run_one(&reloaded, component);
    }
    Ok((result, rewritten))
}

fn run_one(loaded: &LoadedScenario, component: &Component) -> ScenarioResult {
    let scenario = match &loaded.scenario {
        Ok(scenario) => scenario,
        Err(error) => return ScenarioResult::broken(&loaded.path, error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(scenario, component)),
        Err(error) => {
            ScenarioResult::failed_to_start(scenario, &format!("cannot start the runtime: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_found_recursively_in_name_order() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let (b, a) = (file("b.toml"), file("a/z.toml"));
        file("a/readme.md");
        let found = find(&[directory.path().to_owned(), b.clone()]).unwrap();
        assert_eq!(found, [a, b]);
    }

    #[cfg(unix)]
    #[test]
    fn other_directory_entries_are_skipped() {
        use std::os::unix::fs::symlink;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("a.toml"), "").unwrap();
        std::fs::write(path(".b.toml"), "").unwrap();
        std::fs::write(path(".gitignore"), "").unwrap();
        std::fs::create_dir(path(".hidden")).unwrap();
        std::fs::write(path(".hidden/c.toml"), "").unwrap();
        std::fs::create_dir(path("sub")).unwrap();
        symlink("me@host.1:2", path(".#a.toml")).unwrap();
        symlink("nowhere", path("gone.toml")).unwrap();
        symlink("nowhere", path("gone.md")).unwrap();
        symlink("self.toml", path("self.toml")).unwrap();
        symlink("..", path("sub/again")).unwrap();
        symlink("a.toml", path("linked.toml")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(path("s.toml")).unwrap();
        let found = find_with_skipped(&[directory.path().to_owned()]).unwrap();
        assert_eq!(found.files, [path("a.toml"), path("linked.toml")]);
        let skipped: Vec<(PathBuf, &str)> = found
            .skipped
            .into_iter()
            .map(|entry| (entry.path, entry.reason))
            .collect();
        assert_eq!(
            skipped,
            [
                (path(".#a.toml"), "a hidden file"),
                (path(".b.toml"), "a hidden file"),
                (path(".hidden"), "a hidden directory"),
                (path("gone.toml"), "a link that leads nowhere"),
                (path("s.toml"), "a pipe, a socket or a device"),
                (path("self.toml"), "a link that leads nowhere"),
                (path("sub/again"), "a link to a directory that it is in"),
            ]
        );
        drop(socket);
        // A given path is never skipped.
        let named = find(&[path(".b.toml")]).unwrap();
        assert_eq!(named, [path(".b.toml")]);
    }

    #[test]
    fn finding_no_scenarios_is_an_error_with_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let error = find(&[directory.path().to_owned()]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&directory.path().display().to_string())
        );
        let absent = find(&[directory.path().join("absent")]).unwrap_err();
        assert!(absent.to_string().contains("absent"), "{absent}");
    }

    #[test]
    fn filter_matches_paths_and_about_texts() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let files = [
            file(
                "one.toml",
                "about = \"A refresh\"\n[[step]]\ncall = \"describe\"\n",
            ),
            file(
                "two.toml",
                "about = \"A delete\"\n[[step]]\ncall = \"describe\"\n",
            ),
            file("refresh.toml", "abuot = 1"),
        ];
        let names = |filter| -> Vec<String> {
            let selected = select(&files, filter);
            let names = selected
                .iter()
                .map(|loaded| loaded.path.file_name().unwrap());
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(names(Some("refresh")), ["one.toml", "refresh.toml"]);
        assert_eq!(names(Some("a DELETE")), ["two.toml"]);
        assert_eq!(names(None).len(), 3);
    }
}
