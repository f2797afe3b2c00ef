//! `cargo xtask engine`: the plugin inside a workflow engine that others have written. There is one: Temporal.
//!
//! Its package is a workspace of its own, with a target directory of its own, since nothing else needs its dependencies.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::step::{note, run, run_for_code, step};
use crate::workspace::{self, Folders};

/// The package, below the root.
const PACKAGE: &str = "host/temporal";
/// The Python packages that are installed, below the root.
const REQUIREMENTS: &str = "host/temporal/requirements.txt";

/// Runs an example: `demo` shows a customer's life in Temporal, `load` measures refreshes and is optimized.
pub fn example(folders: &Folders, name: &str, args: &[OsString]) -> Result<ExitCode> {
    let engine = Engine::set_up(folders)?;
    let profile: &[&str] = match name {
        "load" => &["--release"],
        _ => &[],
    };
    step("temporal", "compile the worker and the example", || {
        run(engine
            .cargo("build")
            .args(profile)
            .args(["--bin=relation-temporal", "--example"])
            .arg(name))
    })?;
    step(name, "run it against a development server", || {
        let directory = match name {
            "load" => "release/examples",
            _ => "debug/examples",
        };
        let program = engine.target.join(directory).join(name);
        run_for_code(Command::new(program).args(args).envs(engine.variables()))
    })
}

/// Runs the tests against a development server. Clippy's driver compiles the package for them, so that lints do not
/// compile everything once more.
pub fn test(folders: &Folders, args: &[OsString]) -> Result<ExitCode> {
    let engine = Engine::set_up(folders)?;
    let lints: &[(&str, &str)] = if has_clippy() {
        &[
            ("RUSTC_WORKSPACE_WRAPPER", "clippy-driver"),
            ("CLIPPY_ARGS", "-Dwarnings"),
        ]
    } else {
        note("SKIPPED: lints: this toolchain has no clippy");
        &[]
    };
    step(
        "temporal",
        "run the tests of the worker, with lints",
        || {
            let lints = lints.iter().copied();
            run_for_code(engine.cargo("test").envs(lints).args(args))
        },
    )
}

/// Returns whether the toolchain has clippy.
fn has_clippy() -> bool {
    let asked = workspace::cargo().args(["clippy", "--version"]).output();
    asked.is_ok_and(|asked| asked.status.success())
}

/// The parts that are set up.
struct Engine {
    root: PathBuf,
    /// The target directory of the package.
    target: PathBuf,
    /// The directory of the installed programs, if they could be installed.
    programs: Option<PathBuf>,
    component: PathBuf,
}

impl Engine {
    /// Sets up what is missing, and says what cannot be.
    fn set_up(folders: &Folders) -> Result<Self> {
        let target = folders.target.join("temporal");
        let programs = step(
            "server",
            "install Temporal's development server",
            || match install(&folders.root.join(REQUIREMENTS), &target.join("python")) {
                Ok(programs) => Ok(Some(programs)),
                Err(reason) => {
                    note(&format!(
                        "not installed: {reason:#}; tests against a server are skipped, unless `temporal` is in PATH"
                    ));
                    Ok(None)
                }
            },
        )?;
        Ok(Self {
            root: folders.root.clone(),
            target,
            programs,
            component: folders.target.join("component/spark-customer.wasm"),
        })
    }

    fn cargo(&self, command: &str) -> Command {
        let mut cargo = workspace::cargo();
        cargo
            .arg(command)
            .arg("--locked")
            .arg("--manifest-path")
            .arg(self.root.join(PACKAGE).join("Cargo.toml"))
            .env("CARGO_TARGET_DIR", &self.target)
            .envs(self.variables());
        cargo
    }

    /// Returns the environment variables of tests and demo.
    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![("RELATION_COMPONENT", self.component.clone().into())];
        if let Some(programs) = &self.programs {
            variables.push(("RELATION_TEMPORAL_PROGRAMS", programs.clone().into()));
            variables.push(("RELATION_REQUIRE_TEMPORAL", "1".into()));
        }
        variables
    }
}

/// Installs Python packages in an environment of their own, unless the same ones are installed. Returns the directory
/// of their programs.
fn install(requirements: &Path, environment: &Path) -> Result<PathBuf> {
    let programs = environment.join("bin");
    let wanted = std::fs::read_to_string(requirements)
        .with_context(|| format!("reading {}", requirements.display()))?;
    let stamp = environment.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(environment))?;
    run(Command::new(programs.join("python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(requirements))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))?;
    Ok(programs)
}
