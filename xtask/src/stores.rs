//! The suites that hold for every store, on each store: `cargo xtask test-stores`.

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::step::{note, run_for_code, step};
use crate::{tasks, workspace};

/// The environment variable that selects the store of tests.
const TEST_STORE: &str = "RELATION_TEST_STORE";

/// The stores, as values of [`TEST_STORE`]. In memory, it is not set.
const STORES: [&str; 4] = ["memory", "sqlite", "postgres", "pgbouncer"];

/// A suite, and its arguments for `cargo test`.
struct Suite {
    name: &'static str,
    about: &'static str,
    /// The arguments on each store of [`STORES`]; none where the suite does not run.
    arguments: [&'static [&'static str]; 4],
}

const SCENARIOS: &[&str] = &[
    "--test=scenarios",
    "every_scenario_of_the_repository_passes",
];
const IMPORTS: &[&str] = &["--test=robustness", "sweep::"];
const HOSTS: &[&str] = &["--test=hosts"];
const EMBED: &[&str] = &["--test=embed"];
const FAULTS: &[&str] = &["--test=faults"];
const KILLS: &[&str] = &["--test=sweep"];

const SUITES: [Suite; 7] = [
    Suite {
        name: "store",
        about: "the suite for stores",
        arguments: [
            &["--lib", "memory_store_passes"],
            &["--lib", "file_database_passes"],
            &["--test=postgres", "passes_the_suite_for_stores"],
            &["--test=postgres", "passes_the_suite_through_a_pooler"],
        ],
    },
    Suite {
        name: "scenarios",
        about: "every scenario",
        arguments: [SCENARIOS; 4],
    },
    Suite {
        name: "imports",
        about: "the sweep over every import",
        arguments: [IMPORTS; 4],
    },
    Suite {
        name: "hosts",
        about: "several hosts",
        arguments: [&[], HOSTS, HOSTS, HOSTS],
    },
    Suite {
        name: "embed",
        about: "the library",
        arguments: [&[], EMBED, EMBED, EMBED],
    },
    Suite {
        name: "faults",
        about: "faults of a refresh",
        arguments: [&[], FAULTS, FAULTS, FAULTS],
    },
    Suite {
        name: "kills",
        about: "the sweep of kill -9",
        arguments: [&[], KILLS, KILLS, KILLS],
    },
];

/// The pairs of suite and store that `cargo xtask test` runs after all tests, which have run in memory and on SQLite.
/// Others would cost minutes each time.
const SAMPLE: [(&str, &str); 1] = [("hosts", "postgres")];

/// The result of a suite on a store.
#[derive(Clone, Copy)]
struct Outcome {
    passed: bool,
    took: Duration,
}

/// Runs a few suites on PostgreSQL, and skips them if it is not installed.
pub fn test_sample() -> Result<ExitCode> {
    if !has_postgres() {
        note(
            "SKIPPED: suites on PostgreSQL, which is not installed (apt-get install postgresql pgbouncer)",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let is_chosen = |suite: &str, store: &str| SAMPLE.contains(&(suite, store));
    run(is_chosen)
}

/// Refuses names that are not known, and a machine without PostgreSQL.
pub fn require_known(names: &[OsString]) -> Result<()> {
    for name in names {
        let is_known = STORES.iter().any(|store| name == store)
            || SUITES.iter().any(|suite| name == suite.name);
        if !is_known {
            bail!("{name:?} is neither a suite nor a store");
        }
    }
    if !has_postgres() {
        bail!("PostgreSQL is not installed (apt-get install postgresql pgbouncer)");
    }
    Ok(())
}

/// Runs every suite on every store, or those whose names are given.
pub fn test_all(names: &[OsString]) -> Result<ExitCode> {
    let is_given = |name: &str| names.iter().any(|given| given == name);
    let any_store = !STORES.iter().any(|store| is_given(store));
    let any_suite = !SUITES.iter().any(|suite| is_given(suite.name));
    run(|suite, store| (any_suite || is_given(suite)) && (any_store || is_given(store)))
}

/// Runs the chosen suites, and prints their results.
fn run(is_chosen: impl Fn(&str, &str) -> bool) -> Result<ExitCode> {
    let mut rows = Vec::new();
    for suite in &SUITES {
        let mut row = [None; STORES.len()];
        for ((cell, store), arguments) in row.iter_mut().zip(STORES).zip(suite.arguments) {
            if !arguments.is_empty() && is_chosen(suite.name, store) {
                *cell = Some(run_suite(suite, store, arguments)?);
            }
        }
        if row.iter().any(Option::is_some) {
            rows.push((suite, row));
        }
    }
    print!("{}", format_table(&rows));
    let passed = rows
        .iter()
        .flat_map(|(_, row)| row)
        .flatten()
        .all(|cell| cell.passed);
    Ok(match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn run_suite(suite: &Suite, store: &str, arguments: &[&str]) -> Result<Outcome> {
    let mut tests = workspace::cargo();
    tests.args(["test", "--workspace"]).args(arguments);
    tests.env(tasks::TEST_THREADS, tasks::test_threads());
    // A suite that was chosen is not skipped.
    tests.env("RELATION_REQUIRE_POSTGRES", "1");
    match store {
        "memory" => tests.env_remove(TEST_STORE),
        store => tests.env(TEST_STORE, store),
    };
    let begun = Instant::now();
    let about = format!("run {} on {store}", suite.about);
    let code = step(suite.name, &about, || run_for_code(&mut tests))?;
    Ok(Outcome {
        passed: code == ExitCode::SUCCESS,
        took: begun.elapsed(),
    })
}

/// Formats the results as a table in Markdown.
fn format_table(rows: &[(&Suite, [Option<Outcome>; STORES.len()])]) -> String {
    let mut table = format!(
        "| suite | {} |\n|---|---|---|---|---|\n",
        STORES.join(" | ")
    );
    for (suite, row) in rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| match cell {
                None => "–".to_owned(),
                Some(Outcome { passed, took }) => {
                    let result = if *passed { "ok" } else { "FAILED" };
                    format!("{result}, {} s", took.as_secs())
                }
            })
            .collect();
        let (name, about) = (suite.name, suite.about);
        table.push_str(&format!("| {name}: {about} | {} |\n", cells.join(" | ")));
    }
    table
}

/// Returns whether PostgreSQL is installed. Debian installs the programs of the server outside of PATH.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    versions.is_ok_and(|mut versions| versions.next().is_some())
        || Command::new("initdb").arg("--version").output().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_names_suites_that_run_on_its_stores() {
        for (name, store) in SAMPLE {
            let suite = SUITES.iter().find(|suite| suite.name == name).unwrap();
            let column = STORES.iter().position(|known| *known == store).unwrap();
            assert!(!suite.arguments[column].is_empty(), "{name} on {store}");
        }
    }

    #[test]
    fn table_has_a_cell_for_each_store() {
        let ran = |passed| {
            Some(Outcome {
                passed,
                took: Duration::from_millis(2500),
            })
        };
        let rows = [(&SUITES[3], [None, ran(true), ran(false), None])];
        assert_eq!(
            format_table(&rows),
            "| suite | memory | sqlite | postgres | pgbouncer |\n|---|---|---|---|---|\n\
             | hosts: several hosts | – | ok, 2 s | FAILED, 2 s | – |\n"
        );
    }
}
