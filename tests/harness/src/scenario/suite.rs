//! Many scenarios: which there are, which of them are run, and several at once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::component::Component;
use super::format::{LoadError, load};
use super::model::Scenario;
use super::outcome::{Ran, Verdict};
use super::run::run;
use super::update;

/// A file, read.
#[derive(Debug)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub scenario: Result<Scenario, LoadError>,
}

/// Why no scenarios are found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// A path cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// There are none.
    #[error("there are no scenarios (*.toml) in {0}")]
    None(String),
}

/// The scenarios at and below some paths.
#[derive(Debug, Default)]
pub struct Found {
    /// The files that are named, and those that end in `.toml` below directories that are named, each once,
    /// in the order of their names.
    pub files: Vec<PathBuf>,
    /// The entries of directories that were passed over.
    pub passed_over: Vec<PassedOver>,
}

/// An entry of a directory that is not taken for a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// The entry.
    pub path: PathBuf,
    /// The kind of the entry, such as `a hidden file`.
    pub why: &'static str,
}

/// The files of [`survey`].
///
/// # Errors
/// If a path cannot be read, or there are no files.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FindError> {
    survey(paths).map(|found| found.files)
}

/// Looks for scenarios at and below `paths`. Hidden files, such as an editor's lock, links that lead nowhere,
/// pipes, sockets and devices are passed over below a directory; a path that is named is taken as it is.
///
/// # Errors
/// If a path cannot be read, or there are no files.
pub fn survey(paths: &[PathBuf]) -> Result<Found, FindError> {
    let mut found = Found::default();
    for path in paths {
        let mut below = Found::default();
        match std::fs::metadata(path) {
            Err(cause) => {
                let path = path.clone();
                return Err(FindError::Unreadable { path, cause });
            }
            Ok(there) if there.is_dir() => walk(path, &mut Vec::new(), &mut below)?,
            Ok(_) => below.files.push(path.clone()),
        }
        below.files.sort();
        below.passed_over.sort_by(|a, b| a.path.cmp(&b.path));
        for file in below.files {
            if !found.files.contains(&file) {
                found.files.push(file);
            }
        }
        for entry in below.passed_over {
            if !found.passed_over.contains(&entry) {
                found.passed_over.push(entry);
            }
        }
    }
    if found.files.is_empty() {
        let paths: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(FindError::None(paths.join(", ")));
    }
    Ok(found)
}

/// Walks a directory; `above` are those that lead to it, by their real paths.
fn walk(directory: &Path, above: &mut Vec<PathBuf>, found: &mut Found) -> Result<(), FindError> {
    let unreadable = |cause| FindError::Unreadable {
        path: directory.to_owned(),
        cause,
    };
    let real = std::fs::canonicalize(directory).map_err(unreadable)?;
    if above.contains(&real) {
        found.passed_over.push(PassedOver {
            path: directory.to_owned(),
            why: "a link to a directory that it is in",
        });
        return Ok(());
    }
    above.push(real);
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default();
        let is_hidden = name.to_string_lossy().starts_with('.');
        let is_scenario = path
            .extension()
            .is_some_and(|extension| extension == "toml");
        let why = match std::fs::metadata(&path) {
            Ok(there) if there.is_dir() && is_hidden => {
                found.passed_over.push(PassedOver {
                    path,
                    why: "a hidden directory",
                });
                continue;
            }
            Ok(there) if there.is_dir() => {
                walk(&path, above, found)?;
                continue;
            }
            _ if !is_scenario => continue,
            _ if is_hidden => "a hidden file",
            Ok(there) if there.is_file() => {
                found.files.push(path);
                continue;
            }
            Ok(_) => "a pipe, a socket or a device",
            Err(_) if path.is_symlink() => "a link that leads nowhere",
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => "gone",
            Err(cause) => return Err(FindError::Unreadable { path, cause }),
        };
        found.passed_over.push(PassedOver { path, why });
    }
    above.pop();
    Ok(())
}

/// Reads files, and keeps those whose path or sentence contains `filter`, whichever letters are capital. Of
/// a broken file only the path counts, since nobody can know what it is about.
pub fn select(files: &[PathBuf], filter: Option<&str>) -> Vec<Loaded> {
    let loaded = files.iter().map(|path| Loaded {
        path: path.clone(),
        scenario: load(path),
    });
    let filter = filter.map(str::to_lowercase);
    let wanted = |loaded: &Loaded| {
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

/// Runs scenarios, `jobs` at once, and tells of each when it and all before it have ended.
pub fn run_all(
    loaded: &[Loaded],
    component: &Component,
    jobs: NonZeroUsize,
    mut ended: impl FnMut(&Ran),
) -> Vec<Ran> {
    let next = AtomicUsize::new(0);
    let (told, hear) = mpsc::channel();
    let mut waiting = BTreeMap::new();
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(loaded.len()) {
            let (told, next) = (told.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(loaded) = loaded.get(index) else {
                        return;
                    };
                    if told.send((index, run_one(loaded, component))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(told);
        for (index, ran) in hear {
            waiting.insert(index, ran);
            while let Some(ran) = waiting.remove(&all.len()) {
                ended(&ran);
                all.push(ran);
            }
        }
    });
    all
}

/// Runs a scenario and accepts what it sees, step by step, until it passes or there is nothing that can be
/// accepted. Says how it ended, and how many steps were rewritten.
///
/// # Errors
/// If the file cannot be written.
pub fn accept(loaded: &Loaded, component: &Component) -> std::io::Result<(Ran, usize)> {
    let mut ran = run_one(loaded, component);
    let mut text = std::fs::read_to_string(&loaded.path)?;
    let mut rewritten = 0;
    // Each turn settles what can be settled of one step; what is told again is not settled.
    let most = loaded
        .scenario
        .as_ref()
        .map_or(0, |scenario| scenario.steps.len());
    while rewritten < most {
        let Verdict::Failed { failures } = &ran.verdict else {
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
        let again = Loaded {
            path: loaded.path.clone(),
            scenario: load(&loaded.path),
        };
        ran = run_one(&again, component);
    }
    Ok((ran, rewritten))
}

fn run_one(loaded: &Loaded, component: &Component) -> Ran {
    let scenario = match &loaded.scenario {
        Ok(scenario) => scenario,
        Err(error) => return Ran::broken(&loaded.path, error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(scenario, component)),
        Err(error) => Ran::not_begun(scenario, &format!("cannot start the runtime: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_found_below_directories_in_the_order_of_their_names() {
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
    fn what_is_no_scenario_below_a_directory_is_passed_over() {
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
        let found = survey(&[directory.path().to_owned()]).unwrap();
        assert_eq!(found.files, [path("a.toml"), path("linked.toml")]);
        let passed_over: Vec<(PathBuf, &str)> = found
            .passed_over
            .into_iter()
            .map(|entry| (entry.path, entry.why))
            .collect();
        assert_eq!(
            passed_over,
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
        // A path that is named is meant.
        let named = find(&[path(".b.toml")]).unwrap();
        assert_eq!(named, [path(".b.toml")]);
    }

    #[test]
    fn no_scenarios_at_all_are_an_error_that_names_the_place() {
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
    fn a_filter_looks_at_paths_and_sentences_and_keeps_broken_files_it_names() {
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
