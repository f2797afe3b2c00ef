//! `cargo xtask`: what one does with this repository, from a fresh clone on.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

mod broken;
mod component;
#[cfg(unix)]
mod debian;
mod setup;
mod step;
mod tasks;
mod toolchain;
mod workspace;

const HELP: &str = "\
Builds, shows, tests and measures the project.

usage: cargo xtask COMMAND [ARGS]

commands, each does what it needs of those above it:
  setup            make sure this machine's Rust can build WebAssembly components
  build            build the component (the plugin) and the host that carries it
  demo [ARGS]      take one customer through its whole life, on real components
  test [ARGS]      run every test; ARGS go to `cargo test`
  fuzz [ARGS]      fuzz the exported functions through the component; ARGS go to the fuzzer
  bench [ARGS]     measure; ARGS go to the benchmark program

`cargo xtask COMMAND --help` tells more. On a fresh clone, start with `cargo xtask demo`.
Every step is announced on stderr with what it does and how long it took; stdout carries only
the output of the demo, the tests or the benchmarks. Exit code: 0 done, 1 failed, 2 usage, else
that of the program that was run.";

const SETUP_HELP: &str = "\
Makes sure that the active rustc has the standard library of wasm32-wasip2.

usage: cargo xtask setup

Looks whether a small component can be compiled; if so, that is all. Else, in this order:
  1. `rustup target add wasm32-wasip2`
  2. where rustup is missing or fails, from Debian's packages, downloaded and verified by a private
     apt configuration and unpacked beside the build, never installed: the compiler's own sources
     (rust-src, of exactly rustc's version) and a C library (wasi-libc). The standard library is
     built once, in about a minute, and put into the toolchain's own folder, which must be writable.
     rust-src and wasi-libc that are installed already are used as they are.

environment:
  RELATION_SETUP_NO_RUSTUP=1    go straight to 2
  RELATION_DEBIAN_MIRROR=URI    the mirror to use for 2; default: the one in this machine's apt
                                sources";

const BUILD_HELP: &str = "\
Builds the components and the host.

usage: cargo xtask build [--release]

  --release    optimise the host and the emulator too (the components always are)

Leaves, under the target directory:
  component/spark-customer.wasm      the plugin, as a component
  component/host-conformance.wasm    the suite that checks hosts
  component/fixtures/                the tests' own guests
  debug/relation-host                the host's command line, plugin and suite inside (or release/)
  debug/webex-emulator               the emulated Webex that tests and demo talk to";

const DEMO_HELP: &str = "\
Builds, then runs `relation-host demo`: a customer is added, kept connected over simulated
months, warned, expired and deleted, on the real component and an emulated Webex.

usage: cargo xtask demo [ARGS]

ARGS go to `relation-host demo`; `--json` prints one object per step and nothing else on stdout.
The exit code is the demo's.";

const TEST_HELP: &str = "\
Builds, then runs every test of the workspace: `cargo test --workspace`. Needs no network once the
dependencies are there.

usage: cargo xtask test [ARGS]

ARGS go to `cargo test`: `cargo xtask test refresh` runs the tests with that in their name,
`cargo xtask test -- --nocapture` shows their output.";

const BENCH_HELP: &str = "\
Builds everything optimised, then runs the benchmark program.

usage: cargo xtask bench [ARGS]

ARGS go to the program; `cargo xtask bench -- --help` lists what it measures. The figures mean
something on an otherwise idle machine only; the ratios of one run are the steadier part.";

const FUZZ_HELP: &str = "\
Builds the component, then runs the fuzz targets on all cores; our own code is optimised.

usage: cargo xtask fuzz [ARGS]

ARGS go to the fuzzer, such as `--executions 1000000`, `--target fields`, `--minutes 10`, `--seed 7`,
or `--target fields --replay INPUT` to run one input again; `cargo xtask fuzz -- --help` lists them.
docs/fuzzing.md tells what the targets are. Exit code: 0 nothing found, 1 findings or a failure.";

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
        Some("bench") if wants_help => return help(BENCH_HELP),
        Some("fuzz") if wants_help => return help(FUZZ_HELP),
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
        Some("bench") => tasks::bench(without_separator(&rest)),
        Some("fuzz") => tasks::fuzz(without_separator(&rest)),
        Some(other) => return usage(&format!("no command is called {other:?}"), HELP),
    };
    finish(result)
}

/// `cargo xtask demo -- --json` and `cargo xtask demo --json` mean the same.
fn without_separator(args: &[OsString]) -> &[OsString] {
    match args {
        [first, rest @ ..] if first == "--" => rest,
        _ => args,
    }
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
    fn a_separator_in_front_is_dropped_and_later_ones_are_kept() {
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
        for command in ["setup", "build", "demo", "test", "fuzz", "bench"] {
            assert!(HELP.contains(&format!("\n  {command} ")), "{command}");
        }
    }
}
