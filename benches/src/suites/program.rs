//! The program and the component as they are shipped: size, time of a command, memory of an idle host.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Plan, note};
use crate::measure::{Measurement, Meter, Percentiles, Series};
use crate::phases::Phases;
use crate::report::{Bound, Bounds, Report, Row, Unit};

pub const TITLE: &str = "the program as it is shipped";

/// The note in place of what needs the program.
pub const MISSING: &str = "relation-host is not beside this program, so its memory and its commands were not measured: \
     `cargo xtask build --release` builds it";

/// The goal for the component, in megabytes.
const COMPONENT: Bounds = Bounds::goal(Bound::AtMost(0.8)).and_limit(Bound::AtMost(2.0));
/// The goal for a command that loads the compiled plugin from the cache, in milliseconds.
const COMMAND: Bounds = Bounds::goal(Bound::AtMost(30.0));
/// The goal for the memory of an idle host, in megabytes.
const MEMORY: Bounds = Bounds::goal(Bound::AtMost(100.0));

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let size = u32::try_from(plan.component.len()).context("the component is too large")?;
    let size = f64::from(size) / 1e6;
    let size = Percentiles::from_values([size]).context("the component has no size")?;
    let mut rows = vec![Row::new("component", size, Unit::Megabytes).bounds(COMPONENT)];
    let mut notes = Vec::new();
    if is_built()? {
        // Creates the store and its key.
        drop(plan.world("program", Phases::off()).await?);
        rows.push(command_row(plan)?);
        notes.push("command: `describe`, from its start to its exit; the plugin is cached".into());
    } else {
        notes.push(MISSING.to_owned());
    }
    Ok(Report {
        bench: "program",
        title: TITLE,
        rows,
        notes,
    })
}

/// Whether the program is beside this one.
pub fn is_built() -> Result<bool> {
    Ok(program()?.is_file())
}

fn command_row(plan: &Plan) -> Result<Row> {
    let config = configure(plan, "program")?;
    let mut describe = command(plan, &config)?;
    describe.args(["--json", "describe"]);
    let mut version = Command::new(program()?);
    version.arg("--version");
    // Fills the cache.
    run_to_exit(&mut describe)?;
    let [mut with_plugin, mut without] = <[Series; 2]>::default();
    for round in 1..=plan.rounds {
        note(&format!("program: command, round {round}/{}", plan.rounds));
        with_plugin.add(repeat(&mut describe, plan.slot)?);
        without.add(repeat(&mut version, plan.slot / 4)?);
    }
    let millis = |slot: &Measurement| slot.each() / 1000.0;
    let row = Row::new(
        "a command that needs the plugin, cached",
        with_plugin.percentiles(millis)?,
        Unit::Millis,
    );
    let to_version = with_plugin.ratio(&without, millis)?;
    Ok(row
        .bounds(COMMAND)
        .ratio("--version", to_version, Bounds::NONE))
}

fn repeat(command: &mut Command, time: Duration) -> Result<Measurement> {
    let meter = Meter::start();
    let begun = std::time::Instant::now();
    let mut done = 0;
    loop {
        run_to_exit(command)?;
        done += 1;
        if begun.elapsed() >= time {
            return Ok(meter.stop(done));
        }
    }
}

fn run_to_exit(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {stderr}");
    Ok(())
}

/// Measures the memory of `relation-host run` on the store `name`, none of whose customers is due.
pub fn idle_memory(plan: &Plan, name: &str, customers: u64) -> Result<Vec<Row>> {
    let config = configure(plan, name)?;
    // Without this, the host might compile the plugin, which needs more memory than running it.
    run_to_exit(command(plan, &config)?.args(["--json", "describe"]))?;
    let [mut resident, mut peak] = <[Vec<f64>; 2]>::default();
    for _ in 0..plan.rounds {
        let mut host = RunningHost::start(plan, &config, &["run"])?;
        std::thread::sleep(plan.slot * 2);
        let status = host.read("status")?;
        resident.push(megabytes(&status, "VmRSS")?);
        peak.push(megabytes(&status, "VmHWM")?);
    }
    let values = |values| Percentiles::from_values(values).context("no host was measured");
    let label = format!("resident memory of an idle host with {customers} customers");
    let at_peak = format!("{label}, peak since its start");
    Ok(vec![
        Row::new(label, values(resident)?, Unit::Megabytes).bounds(MEMORY),
        Row::new(at_peak, values(peak)?, Unit::Megabytes),
    ])
}

/// A running `relation-host`; killed when dropped.
pub(super) struct RunningHost {
    child: Child,
    errors: PathBuf,
}

impl RunningHost {
    pub(super) fn start(plan: &Plan, config: &Path, arguments: &[&str]) -> Result<Self> {
        let errors = plan.directory.join("run.log");
        let child = command(plan, config)?
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&errors)?)
            .spawn()
            .context("starting relation-host")?;
        Ok(Self { child, errors })
    }

    /// Returns what Linux says about the process in a file, such as `status`.
    pub(super) fn read(&mut self, file: &str) -> Result<String> {
        if let Some(status) = self.child.try_wait()? {
            let errors = fs::read_to_string(&self.errors).unwrap_or_default();
            bail!("relation-host ended with {status}: {errors}");
        }
        let file = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&file).with_context(|| format!("reading {file}"))
    }
}

impl Drop for RunningHost {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a field of a process's status.
pub(super) fn megabytes(status: &str, field: &str) -> Result<f64> {
    let kibibytes: Option<f64> = status.lines().find_map(|line| {
        let value = line.strip_prefix(field)?.strip_prefix(':')?;
        value.trim().strip_suffix(" kB")?.parse().ok()
    });
    let value = kibibytes.map(|kibibytes| kibibytes * 1024.0 / 1e6);
    value.with_context(|| format!("the status of a process has no {field}"))
}

/// Writes a configuration for the store `name` in the benchmarks' directory.
pub(super) fn configure(plan: &Plan, name: &str) -> Result<PathBuf> {
    let file = plan.directory.join(format!("{name}.toml"));
    fs::write(plan.directory.join("client-secret"), "bench-client-secret")?;
    let (webex, cache) = (plan.webex(), plan.cache.display());
    let config = format!(
        "store = \"sqlite:{name}.db\"\nkey-file = \"{name}.key\"\nstash-reserve = false\n\
         [component]\ncache = \"{cache}\"\n\
         [webex]\nbase-url = \"http://{webex}/v1\"\nclient-id = \"C0ffee\"\n\
         client-secret-file = \"client-secret\"\n\
         [egress]\nallow = [\"http://{webex}\"]\n\
         [web]\nrequests-per-minute = 4000000000\n"
    );
    fs::write(&file, config).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}

/// Returns the program with the configuration and the plan's plugin.
pub(super) fn command(plan: &Plan, config: &Path) -> Result<Command> {
    let mut command = Command::new(program()?);
    command
        .arg("--config")
        .arg(config)
        .arg("--plugin")
        .arg(&plan.component_file);
    Ok(command)
}

fn program() -> Result<PathBuf> {
    let name = format!("relation-host{}", std::env::consts::EXE_SUFFIX);
    Ok(crate::beside_this_program()?.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status() {
        let status = "Name:\tx\nVmHWM:\t   52000 kB\nVmRSS:\t   51200 kB\n";
        assert_eq!(megabytes(status, "VmRSS").unwrap(), 52.428_8);
        assert!(megabytes(status, "RssAnon").is_err());
    }
}
