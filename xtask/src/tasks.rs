//! The commands of xtask.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::component::{self, Selection};
use crate::step::{run, run_for_code, step};
use crate::workspace::Folders;
use crate::{engine, mutants, peers, setup as wasm_setup, stores, workspace};

/// The profile by which the host and its programs are compiled. The component is always optimized.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Compiles quickly; selected dependencies are optimized.
    Dev,
    /// Optimizes everything.
    Release,
}

impl Profile {
    /// Returns the targets to build, as arguments of `cargo build --workspace`.
    ///
    /// Cargo unifies the features of a dependency over the selected packages. With less than the whole
    /// workspace, wasmtime and tokio would be compiled once for the demo and again for the tests.
    /// Features of dev-dependencies count once a test is selected: therefore `--test=xtask`.
    fn selection(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &[
                "--bin=relation-host",
                "--bin=webex-emulator",
                "--test=xtask",
            ],
            Self::Release => &[
                "--release",
                "--bin=relation-host",
                "--bin=webex-emulator",
                "--bin=relation-benches",
            ],
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Makes sure that components can be compiled here.
pub fn setup() -> Result<ExitCode> {
    wasm_setup::ensure(&workspace::folders()?.target)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the component and the programs.
pub fn build(profile: Profile) -> Result<ExitCode> {
    build_programs(profile, Selection::All)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the demo and returns its exit code.
pub fn demo(args: &[OsString]) -> Result<ExitCode> {
    build_libraries_beside_components(Selection::Plugin)?;
    let folders = build_programs(Profile::Dev, Selection::Plugin)?;
    step(
        "demo",
        "run one customer through its whole lifecycle",
        || {
            let mut host = Command::new(program(&folders.target, Profile::Dev, "relation-host"));
            run_for_code(host.arg("demo").args(args))
        },
    )
}

/// Runs every test and returns cargo's exit code.
pub fn test(args: &[OsString]) -> Result<ExitCode> {
    build_libraries_beside_components(Selection::All)?;
    let folders = build_programs(Profile::Dev, Selection::All)?;
    step(
        "mutants",
        "compile plugins with seeded faults, which the scenarios must catch",
        || mutants::build(&folders),
    )?;
    let tested = step(
        "test",
        "run every test of the workspace and the examples in its documentation",
        || {
            let mut tests = workspace::cargo();
            tests.args(["test", "--workspace"]).args(args);
            run_for_code(tests.env(TEST_THREADS, test_threads()))
        },
    )?;
    match tested == ExitCode::SUCCESS && args.is_empty() {
        true => stores::test_sample(),
        false => Ok(tested),
    }
}

/// Runs the suites that hold for every store on each store, and returns failure if one failed.
pub fn test_stores(args: &[OsString]) -> Result<ExitCode> {
    stores::require_known(args)?;
    build_libraries_beside_components(Selection::All)?;
    build_programs(Profile::Dev, Selection::All)?;
    stores::test_all(args)
}

/// The environment variable with the number of tests that run at the same time.
pub(crate) const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// Returns the number of tests to run at the same time: three per processor, since many tests wait for processes and
/// deadlines. A value that is set counts.
pub(crate) fn test_threads() -> OsString {
    std::env::var_os(TEST_THREADS).unwrap_or_else(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        (3 * processors).to_string().into()
    })
}

/// Runs the benchmark program and returns its exit code. With `peers` as the first argument, it compares the
/// whole host with what people run today; with `table`, it measures that and every other goal. With `postgres`, it
/// measures hosts on PostgreSQL.
pub fn bench(args: &[OsString]) -> Result<ExitCode> {
    let folders = build_programs(Profile::Release, Selection::Plugin)?;
    let mut benches = Command::new(program(
        &folders.target,
        Profile::Release,
        "relation-benches",
    ));
    let args = match args {
        [first, rest @ ..] if first == "peers" || first == "table" => {
            let programs = step("peers", "install the programs to compare with", || {
                peers::set_up(&folders)
            })?;
            benches.arg("--peers").arg(programs);
            if first == "table" {
                benches.arg("--table");
            }
            rest
        }
        [first, rest @ ..] if first == "postgres" => {
            benches.args(["--filter", "postgres"]);
            rest
        }
        all => all,
    };
    step("bench", "run the benchmarks; keep the machine idle", || {
        run_for_code(benches.args(args))
    })
}

/// Runs three hosts on one PostgreSQL while parts of them fail, and returns the exit code of the judgment.
pub fn chaos(args: &[OsString]) -> Result<ExitCode> {
    let folders = build_programs(Profile::Dev, Selection::Plugin)?;
    step(
        "chaos program",
        "compile the program with the faults",
        || {
            // The same selection as for the tests, so that dependencies are compiled once.
            run(workspace::cargo().args(["build", "--workspace", "--bin=chaos", "--test=xtask"]))
        },
    )?;
    step("chaos", "run three hosts while parts fail", || {
        run_for_code(Command::new(program(&folders.target, Profile::Dev, "chaos")).args(args))
    })
}

/// Runs an example of the worker for Temporal and returns the exit code.
pub fn engine_example(name: &str, args: &[OsString]) -> Result<ExitCode> {
    engine::example(&build_components(Selection::Plugin)?, name, args)
}

/// Runs the tests of the worker for Temporal and returns cargo's exit code.
pub fn engine_test(args: &[OsString]) -> Result<ExitCode> {
    engine::test(&build_components(Selection::Plugin)?, args)
}

/// Runs the fuzz targets and returns the fuzzer's exit code.
pub fn fuzz(args: &[OsString]) -> Result<ExitCode> {
    let folders = build_components(Selection::All)?;
    // The same selection as for the tests, so that dependencies are compiled once.
    step(
        "fuzzer",
        "compile the fuzzer and the host, optimized",
        || {
            run(workspace::cargo()
                .args([
                    "build",
                    "--workspace",
                    "--bin=relation-fuzz",
                    "--test=xtask",
                ])
                .env("CARGO_PROFILE_DEV_OPT_LEVEL", "3"))
        },
    )?;
    step("fuzz", "run the targets", || {
        run_for_code(
            Command::new(program(&folders.target, Profile::Dev, "relation-fuzz")).args(args),
        )
    })
}

fn program(target: &Path, profile: Profile, name: &str) -> PathBuf {
    target
        .join(profile.folder())
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Builds the selected components, and at the same time the host's libraries: the end of a component's compilation uses
/// one core. `--example=embed` needs the libraries but no component.
fn build_libraries_beside_components(selection: Selection) -> Result<()> {
    std::thread::scope(|scope| {
        let libraries = scope.spawn(|| {
            let targets = ["--workspace", "--example=embed", "--test=xtask"];
            step("libraries", "compile the host's libraries", || {
                run(workspace::cargo().arg("build").args(targets))
            })
        });
        build_components(selection)?;
        match libraries.join() {
            Ok(built) => built,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Builds the selected components, after the setup of the toolchain.
fn build_components(selection: Selection) -> Result<Folders> {
    let folders = workspace::folders()?;
    wasm_setup::ensure(&folders.target)?;
    step(
        "components",
        match selection {
            Selection::Plugin => "compile the plugin to WebAssembly",
            Selection::All => "compile the plugin and the test plugins to WebAssembly",
        },
        || component::build(&folders, selection),
    )?;
    Ok(folders)
}

/// Builds the selected components, then the programs, which tests, demo and benchmarks run as processes.
fn build_programs(profile: Profile, selection: Selection) -> Result<Folders> {
    let folders = build_components(selection)?;
    step(
        "host",
        "compile the host, which embeds the plugin, and the Webex emulator",
        || {
            run(workspace::cargo()
                .args(["build", "--workspace"])
                .args(profile.selection()))
        },
    )?;
    Ok(folders)
}
