//! Counts the processor instructions of one refresh, which do not depend on the machine's load.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::refresh::{CustomerRotation, refresh_natively, refresh_through_component};
use super::{Plan, note};
use crate::measure::Percentiles;
use crate::phases::Phases;
use crate::report::{Bound, Bounds, Report, Row, Unit};

pub const TITLE: &str = "instructions of one refresh, one after the other";

/// Refreshes of the two runs of each side. Their difference leaves out the start.
const REFRESHES: [u32; 2] = [8, 40];

/// Customers of each run.
const CUSTOMERS: u64 = 48;

/// The bounds of the component's instructions to the native ones.
const TO_NATIVE: Bounds = Bounds::limit(Bound::AtMost(3.5));

/// The argument that selects the native side in a worker.
pub const NATIVE: &str = "--native";

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    if is_installed() {
        // Compiles the component into the cache: under valgrind, this would take minutes.
        drop(plan.world("instructions", Phases::off()).await?);
        let component = instructions(plan, &[])?;
        let native = instructions(plan, &[NATIVE])?;
        let value = |value| Percentiles::from_values([value]).context("nothing was counted");
        let row = |label: &str, count: f64| {
            anyhow::Ok(Row::new(
                label,
                value(count / 1000.0)?,
                Unit::KiloInstructions,
            ))
        };
        rows.push(row("component", component)?.ratio(
            "native",
            value(component / native)?,
            TO_NATIVE,
        ));
        rows.push(row("native", native)?);
        notes.push(
            "counted by callgrind for all threads of the process, without the kernel and without \
             the token endpoint; a compiler or a library of another version changes the counts"
                .to_owned(),
        );
    } else {
        notes.push("valgrind is not installed: no instructions were counted".to_owned());
    }
    Ok(Report {
        bench: "instructions",
        title: TITLE,
        rows,
        notes,
    })
}

fn is_installed() -> bool {
    let version = Command::new("valgrind").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// Returns the instructions of one refresh.
fn instructions(plan: &Plan, side: &[&str]) -> Result<f64> {
    let [few, many] = REFRESHES;
    let (fewer, more) = (count(plan, side, few)?, count(plan, side, many)?);
    ensure!(
        more > fewer,
        "{many} refreshes took no more instructions than {few}"
    );
    Ok((more - fewer) / f64::from(many - few))
}

/// Returns the instructions of a worker that starts and makes this many refreshes.
fn count(plan: &Plan, side: &[&str], refreshes: u32) -> Result<f64> {
    note(&format!(
        "instructions: {refreshes} refreshes {}",
        side.concat()
    ));
    let program = std::env::current_exe().context("finding this program's own file")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--worker", &plan.webex().to_string()])
        .args(["--refreshes", &refreshes.to_string()])
        .args(side)
        .arg("--component")
        .arg(&plan.component_file)
        .arg("--directory")
        .arg(&plan.directory)
        .arg("--cache")
        .arg(&plan.cache)
        .output()
        .context("starting valgrind")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {stderr}");
    parse_count(&stderr).with_context(|| format!("valgrind printed no count: {stderr}"))
}

/// Reads the count from callgrind's last lines, such as `==12== Collected : 345`.
fn parse_count(stderr: &str) -> Option<f64> {
    let mut counts = stderr.lines().filter_map(|line| {
        let (_, count) = line.split_once("Collected : ")?;
        count.trim().parse().ok()
    });
    counts.next_back()
}

/// Makes this many refreshes in this process, one after the other.
pub async fn work(
    plan: &Plan,
    webex: std::net::SocketAddr,
    refreshes: u32,
    native: bool,
) -> Result<()> {
    let world = plan.world_at("counted", webex).await?;
    let rotation = CustomerRotation::with_customers(&world, CUSTOMERS).await?;
    for _ in 0..refreshes {
        if native {
            refresh_natively(&world, &rotation).await?;
        } else {
            refresh_through_component(&world, &rotation).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_is_read_from_the_last_lines() {
        let stderr =
            "==7== Events    : Ir\n==7== Collected : 1234\n==7== \n==7== I   refs:      1,234\n";
        assert_eq!(parse_count(stderr), Some(1234.0));
        assert_eq!(parse_count("==7== Events    : Ir\n"), None);
    }
}
