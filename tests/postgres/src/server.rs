//! The process of a server, which ends with the process of the test.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::programs::Programs;

/// Starts the server, and stops it when the standard input ends: when the test says so, and when the test's process has
/// ended in any way. `read` fails then, and the directory is removed.
const SUPERVISOR: &str = r#"
exec 3<&0 </dev/null
"$1" -D "$2/data" 3<&- >>"$2/log" 2>&1 &
server=$!
how=
read -r how <&3
kill -s QUIT "$server" 2>/dev/null
wait "$server"
[ "$how" = keep ] || rm -rf "$2"
"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    supervisor: Child,
    orders: Option<ChildStdin>,
}

impl Server {
    /// Starts the server of a prepared directory, and waits until it accepts connections.
    pub(crate) fn start(programs: &Programs, directory: &Path) -> Result<Self> {
        let mut command: Command = programs.command_outside(Path::new("/bin/sh"));
        let mut supervisor = command
            .arg("-c")
            .arg(SUPERVISOR)
            .arg("supervisor")
            .arg(programs.path("postgres"))
            .arg(directory)
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt in the terminal is for the test alone.
            .process_group(0)
            .spawn()
            .context("starting a server")?;
        let orders = supervisor.stdin.take();
        let server = Self { supervisor, orders };
        server.wait_until_ready(directory)?;
        Ok(server)
    }

    fn wait_until_ready(&self, directory: &Path) -> Result<()> {
        let begun = Instant::now();
        let file = directory.join("data/postmaster.pid");
        while begun.elapsed() < Duration::from_secs(60) {
            let ready = std::fs::File::open(&file)
                .map(BufReader::new)
                .ok()
                .and_then(|lines| lines.lines().nth(7)?.ok())
                .is_some_and(|state| state.trim() == "ready");
            if ready {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
        bail!("the server has not started: {log}")
    }

    /// Stops the server at once, and keeps its directory.
    pub(crate) fn crash(mut self) -> Result<()> {
        if let Some(mut orders) = self.orders.take() {
            std::io::Write::write_all(&mut orders, b"keep\n")?;
        }
        self.supervisor.wait().context("stopping a server")?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.supervisor.wait();
    }
}
