//! Processes that end with the process of the test.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::programs::Programs;

/// A shell script that starts a program. It stops the program when a line arrives on the standard input or the input
/// ends, at the latest with the test's process.
///
/// The line names the signal for the program. Without a line, the script sends the signal of its first argument, and
/// removes the directory. A shell starts programs in the background with SIGINT and SIGQUIT ignored, so that these
/// signals have no effect on programs without handlers for them.
const SUPERVISOR: &str = r#"
default=$1
directory=$2
shift 2
exec 3<&0 </dev/null
"$@" 3<&- >>"$directory/log" 2>&1 &
program=$!
signal=
read -r signal <&3
kill -s "${signal:-$default}" "$program" 2>/dev/null
wait "$program"
[ -n "$signal" ] || rm -rf "$directory"
"#;

/// A running program.
#[derive(Debug)]
pub(crate) struct Supervised {
    supervisor: Child,
    orders: Option<ChildStdin>,
}

impl Supervised {
    /// Starts a program, whose output goes to the file `log` in its directory.
    pub(crate) fn start(
        programs: &Programs,
        directory: &Path,
        program: &Path,
        arguments: &[&str],
        signal: &str,
    ) -> Result<Self> {
        let mut command: Command = programs.command_outside(Path::new("/bin/sh"));
        let mut supervisor = command
            .args(["-c", SUPERVISOR, "supervisor", signal])
            .arg(directory)
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt in the terminal is for the test alone.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let orders = supervisor.stdin.take();
        Ok(Self { supervisor, orders })
    }

    /// Stops the program with a signal, and keeps its directory.
    pub(crate) fn stop(mut self, signal: &str) -> Result<()> {
        if let Some(mut orders) = self.orders.take() {
            orders.write_all(format!("{signal}\n").as_bytes())?;
        }
        self.supervisor.wait().context("stopping a program")?;
        Ok(())
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.supervisor.wait();
    }
}

/// Waits until a program is ready, and reports its log when that takes too long.
pub(crate) fn wait_until(directory: &Path, ready: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if ready() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let log = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
    bail!("a program has not started: {log}")
}
