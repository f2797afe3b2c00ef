//! `cargo xtask`: builds, tests, demonstrates and measures the project, starting from a fresh clone.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

mod component;
mod engine;
mod mutants;
mod peers;
mod setup;
mod step;
mod stores;
mod tasks;
mod toolchain;
mod workspace;

const HELP: &str = "\
Builds, demonstrates, tests and measures the project.

usage: cargo xtask COMMAND [ARGS]

commands; each one runs the ones above that it needs:
  setup            install the WebAssembly target if it is missing
  build            build the plugin, the host that embeds it, and the test components
  demo [ARGS]      take one customer from its first tokens to its deletion
  test [ARGS]      run every test; ARGS go to `cargo test`
  test-stores      run the suites for stores on each kind of store
  fuzz [ARGS]      fuzz the exported functions through the component; ARGS go to the fuzzer
  chaos [ARGS]     run three hosts on PostgreSQL while parts fail, and judge every promise
  engine temporal demo|load|test
                   run a customer's life, a measurement, or the tests, in Temporal's workflow engine
  bench [ARGS]     run the benchmarks; ARGS go to the benchmark program
  bench peers      compare the host with what people run today
  bench table      measure every goal of performance in one run, but those on PostgreSQL
  bench postgres   measure hosts on PostgreSQL

`cargo xtask COMMAND --help` explains each. On a fresh clone, start with `cargo xtask demo`.
Each step prints its purpose and its duration to stderr; stdout has only the output of the demo,
the tests or the benchmarks. Exit code: 0 success, 1 failure, 2 usage error, or the exit code of
the program that was run.";

const SETUP_HELP: &str = "\
Makes sure that the active rustc has the standard library of wasm32-wasip2.

usage: cargo xtask setup

Checks whether a small program can be compiled for the target; if it can, nothing is installed.
Otherwise runs `rustup target add wasm32-wasip2`.";

const BUILD_HELP: &str = "\
Builds the components and the host.

usage: cargo xtask build [--release]

  --release    optimize the host and the emulator too; components are always optimized

Results, under the target directory:
  component/spark-customer.wasm      the plugin, as a component
  component/host-conformance.wasm    the suite that checks hosts
  component/fixtures/                the test plugins
  debug/relation-host                the command, with plugin and suite embedded (or release/)
  debug/webex-emulator               the Webex emulator of tests and demo";

const DEMO_HELP: &str = "\
Builds the plugin and the host, then runs `relation-host demo`: adds a customer, keeps it connected
over simulated months, warns, lets it expire and deletes it, with the real component and the Webex emulator.

usage: cargo xtask demo [ARGS]

ARGS go to `relation-host demo`; `--json` prints one object per step and nothing else on stdout.
With `--serve`, it serves the administrators' page with organizations in every state, until Ctrl-C.
The exit code is the demo's.";

const TEST_HELP: &str = "\
Builds everything, then runs `cargo test --workspace`. Needs no network after the dependencies were
downloaded.

usage: cargo xtask test [ARGS]

ARGS go to `cargo test`: `cargo xtask test refresh` runs the tests with `refresh` in their names,
`cargo xtask test -- --nocapture` shows their output.";

const TEST_STORES_HELP: &str = "\
Builds everything, then runs the suites that hold for every store in memory, on SQLite, on PostgreSQL
and through PgBouncer in transaction mode. Prints a table of suites and stores with results and times.
`cargo xtask test` runs a few of them on PostgreSQL.

usage: cargo xtask test-stores [NAME...]

  suites    store, scenarios, imports, hosts, embed, faults, kills
  stores    memory, sqlite, postgres, pgbouncer

NAMEs select suites and stores: `cargo xtask test-stores kills faults postgres`. The tests start their
own servers; PostgreSQL and PgBouncer must be installed.";

const BENCH_HELP: &str = "\
Builds everything optimized, then runs the benchmark program.

usage: cargo xtask bench [peers|table|postgres] [ARGS]

With `peers`, compares the whole host with the programs of benches/peers/ in one run. Their packages are
installed from PyPI and npm below the target directory; what cannot be installed is skipped.

With `table`, measures every goal in one run, that comparison included, and prints one table in Markdown.
It fills a store with a million customers; `table --scale 100000` takes less time.

With `postgres`, starts a PostgreSQL server of its own and measures hosts on it: against hand-written SQL, two
hosts against one, and costs by the number of customers, of which it stores a million; `postgres --customers
100000` takes less time. Without PostgreSQL, it says SKIPPED.

ARGS go to the program; `cargo xtask bench -- --help` lists the benchmarks. Measure on an idle
machine, and compare figures of the same run only.";

const FUZZ_HELP: &str = "\
Builds the components and an optimized fuzzer, then runs the fuzz targets on all cores.

usage: cargo xtask fuzz [ARGS]

ARGS go to the fuzzer, such as `--executions 1000000`, `--target fields`, `--minutes 10`, `--seed 7`,
or `--target fields --replay INPUT` to run one input again; `cargo xtask fuzz -- --help` lists them.
docs/fuzzing.md describes the targets. Exit code: 0 no findings, 1 findings or a failure.";

const CHAOS_HELP: &str = "\
Builds the plugin and the host, then refreshes the tokens of many customers by three hosts on one PostgreSQL with a
synchronous standby, while hosts, servers and connections fail. Judges every promise at the end.

usage: cargo xtask chaos [ARGS]

ARGS go to the program, such as `--minutes 1`, `--customers 200`, `--seed 7` or `--json`;
`cargo xtask chaos -- --help` lists them. It needs PostgreSQL 15 or later on this machine.
Exit code: 0 no promise was broken, 1 broken promises or a failure.";

const ENGINE_HELP: &str = "\
Builds the plugin and the worker `relation-temporal`, and runs it against a development server of Temporal.

usage: cargo xtask engine temporal demo
       cargo xtask engine temporal load [ARGS]
       cargo xtask engine temporal test [ARGS]

The server comes from PyPI, into an environment below the target directory; that needs python3 with venv. The worker
is a workspace of its own with about 430 crates: the first build takes about 25 minutes of processor time.

`load` compares the worker with the host's dispatcher on one PostgreSQL, and needs PostgreSQL 15 or later on this
machine. It is optimized, which is another build of all crates. ARGS of `load` are `--customers 2000`, `--server-file`
and `--json`; those of `test` go to `cargo test`. `test` also runs the lints. docs/temporal.md describes the worker.";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let command = args.next();
    let rest: Vec<OsString> = args.collect();
    let wants_help = rest
        .first()
        .is_some_and(|arg| arg == "--help" || arg == "-h");
    let result = match command.as_deref().and_then(|command| command.to_str()) {
        None => return usage("no command given", HELP),
        Some("help" | "--help" | "-h") => return help(HELP),
        Some("setup") if wants_help => return help(SETUP_HELP),
        Some("build") if wants_help => return help(BUILD_HELP),
        Some("demo") if wants_help => return help(DEMO_HELP),
        Some("test") if wants_help => return help(TEST_HELP),
        Some("test-stores") if wants_help => return help(TEST_STORES_HELP),
        Some("bench") if wants_help => return help(BENCH_HELP),
        Some("fuzz") if wants_help => return help(FUZZ_HELP),
        Some("engine") if wants_help => return help(ENGINE_HELP),
        Some("chaos") if wants_help => return help(CHAOS_HELP),
        Some("setup") => match rest.first() {
            None => tasks::setup(),
            Some(other) => return usage(&unexpected("setup", other), SETUP_HELP),
        },
        Some("build") => match rest.as_slice() {
            [] => tasks::build(tasks::Profile::Dev),
            [flag] if flag == "--release" => tasks::build(tasks::Profile::Release),
            [flag, other, ..] if flag == "--release" => {
                return usage(&unexpected("build --release", other), BUILD_HELP);
            }
            [other, ..] => return usage(&unexpected("build", other), BUILD_HELP),
        },
        Some("demo") => tasks::demo(without_separator(&rest)),
        Some("test") => tasks::test(&rest),
        Some("test-stores") => tasks::test_stores(&rest),
        Some("bench") => tasks::bench(without_separator(&rest)),
        Some("fuzz") => tasks::fuzz(without_separator(&rest)),
        Some("engine") => {
            let words: Vec<_> = rest.iter().map(|word| word.to_str()).collect();
            match words.as_slice() {
                [Some("temporal"), Some(name @ ("demo" | "load")), ..] => {
                    tasks::engine_example(name, args_after(&rest, 2))
                }
                [Some("temporal"), Some("test"), ..] => tasks::engine_test(args_after(&rest, 2)),
                _ => {
                    return usage(
                        "`engine` needs `temporal demo`, `temporal load` or `temporal test`",
                        ENGINE_HELP,
                    );
                }
            }
        }
        Some("chaos") => tasks::chaos(without_separator(&rest)),
        Some(other) => return usage(&format!("no command is called {other:?}"), HELP),
    };
    finish(result)
}

/// Drops a leading `--`, so that `cargo xtask demo -- --json` equals `cargo xtask demo --json`.
fn without_separator(args: &[OsString]) -> &[OsString] {
    match args {
        [first, rest @ ..] if first == "--" => rest,
        _ => args,
    }
}

/// Returns the arguments after the first ones, which name a command.
fn args_after(args: &[OsString], count: usize) -> &[OsString] {
    args.get(count..).unwrap_or_default()
}

fn unexpected(command: &str, arg: &std::ffi::OsStr) -> String {
    format!("`{command}` takes no argument {arg:?}")
}

fn help(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

fn usage(problem: &str, text: &str) -> ExitCode {
    eprintln!("error: {problem}\n\n{text}");
    ExitCode::from(2)
}

fn finish(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(list: &[&str]) -> Vec<OsString> {
        list.iter().map(OsString::from).collect()
    }

    #[test]
    fn only_a_leading_separator_is_dropped() {
        assert_eq!(
            without_separator(&args(&["--", "--json"])),
            args(&["--json"])
        );
        assert_eq!(without_separator(&args(&["--json"])), args(&["--json"]));
        assert_eq!(
            without_separator(&args(&["x", "--", "y"])),
            args(&["x", "--", "y"])
        );
        assert!(without_separator(&[]).is_empty());
    }

    #[test]
    fn every_command_is_in_the_help() {
        for command in ["setup", "build", "demo", "test", "fuzz", "chaos", "bench"] {
            assert!(HELP.contains(&format!("\n  {command} ")), "{command}");
        }
    }
}
