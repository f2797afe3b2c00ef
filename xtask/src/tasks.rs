//! The commands, each a few steps on top of the one before it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::step::{run, run_for_code, step};
use crate::workspace::Folders;
use crate::{broken, component, setup as wasm_setup, workspace};

/// How the host and the programs around it are compiled; the component is always optimised.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Our own code compiles fast, dependencies are optimised.
    Dev,
    /// Everything optimised.
    Release,
}

impl Profile {
    /// What to build, as arguments of `cargo build --workspace`.
    ///
    /// Cargo chooses the features of a dependency by what is selected: were it less than the whole
    /// workspace, wasmtime and tokio would be compiled once for the demo and once more, with a
    /// feature on top, for the tests. Features that only tests ask for count as soon as one test is
    /// selected, hence this package's own. The benchmarks are a build of their own either way.
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
    build_all(profile)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the demo; its exit code is ours.
pub fn demo(args: &[OsString]) -> Result<ExitCode> {
    let folders = build_all(Profile::Dev)?;
    step("demo", "one customer's whole life", || {
        let mut host = Command::new(program(&folders.target, Profile::Dev, "relation-host"));
        run_for_code(host.arg("demo").args(args))
    })
}

/// Runs every test; the exit code is cargo's.
pub fn test(args: &[OsString]) -> Result<ExitCode> {
    let folders = build_all(Profile::Dev)?;
    step(
        "broken plugins",
        "compile the faults that the scenarios must catch",
        || broken::build(&folders),
    )?;
    step(
        "test",
        "every test of the workspace, documentation's examples included",
        || run_for_code(workspace::cargo().args(["test", "--workspace"]).args(args)),
    )
}

/// Runs the benchmark program; its exit code is ours.
pub fn bench(args: &[OsString]) -> Result<ExitCode> {
    let folders = build_all(Profile::Release)?;
    let benches = program(&folders.target, Profile::Release, "relation-benches");
    step("bench", "measure; keep the machine idle", || {
        run_for_code(Command::new(benches).args(args))
    })
}

/// Runs the fuzz targets; the fuzzer's exit code is ours.
pub fn fuzz(args: &[OsString]) -> Result<ExitCode> {
    let folders = build_components()?;
    // The selection is that of the tests, so that dependencies are compiled once; they are optimised in any
    // case, and the profile is named for our own crates alone.
    step(
        "fuzzer",
        "compile the fuzzer and the host, optimised",
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

/// Builds every component, where the host's build and the tests look for them.
fn build_components() -> Result<Folders> {
    let folders = workspace::folders()?;
    wasm_setup::ensure(&folders.target)?;
    step(
        "components",
        "compile the plugin and the tests' guests to WebAssembly",
        || component::build(&folders),
    )?;
    Ok(folders)
}

/// Tests, demo and benchmarks run the programs as processes, so these are built each time.
fn build_all(profile: Profile) -> Result<Folders> {
    let folders = build_components()?;
    step(
        "host",
        "compile the host around it, and the emulated Webex",
        || {
            run(workspace::cargo()
                .args(["build", "--workspace"])
                .args(profile.selection()))
        },
    )?;
    Ok(folders)
}
