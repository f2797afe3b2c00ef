//! The hosts: processes of `relation-host serve`, each with a directory of its own, as on different machines.

use std::fs::{self, File, OpenOptions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use relation_test_postgres::free_address;
use rustix::process::{Pid, Signal, kill_process};
use webex_emulator::Webex;

use crate::ledger::Ledger;
use crate::pair::DATABASE;
use crate::wire::{Servers, Wire};
use crate::{Options, front};

/// The client id and the secret of the integration at Webex.
pub const CLIENT: (&str, &str) = ("C0ffee", "client-secret-of-the-run");

/// How long a lease lasts with the limits of [`configure`].
pub const LEASE: Duration = Duration::from_secs(16);

/// The longest time of a start or an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// One host with its network.
pub struct ChaosHost {
    /// The number, by which the record of requests knows it.
    pub number: usize,
    /// The network between the host and the database.
    pub wire: Wire,
    /// The address of its API.
    pub api: String,
    directory: PathBuf,
    moves: usize,
    child: Option<Child>,
}

impl ChaosHost {
    /// Prepares a host with a directory below `root`.
    pub async fn prepare(
        number: usize,
        root: &Path,
        servers: &Servers,
        webex: &Webex,
        ledger: &Ledger,
        options: &Options,
    ) -> Result<Self> {
        let wire = Wire::start(servers).await?;
        let base_url = front::start(number, webex.clone(), ledger.clone()).await?;
        let directory = root.join(format!("host-{number}"));
        fs::create_dir(&directory)?;
        configure(&directory, &wire.url(DATABASE), &base_url, options)?;
        Ok(Self {
            number,
            wire,
            api: free_address("127.0.0.1")?.to_string(),
            directory,
            moves: 0,
            child: None,
        })
    }

    /// Copies the key of the store, which each host needs.
    pub fn copy_key(&self, key: &Path) -> Result<()> {
        fs::copy(key, self.directory.join("relation.key"))?;
        Ok(())
    }

    /// Starts the process.
    pub fn start(&mut self) -> Result<()> {
        let log = |name: &str| -> Result<File> {
            let file = self.directory.join(name);
            Ok(OpenOptions::new().create(true).append(true).open(file)?)
        };
        let mut command = prepare_command(&self.directory);
        command
            .args(["serve", "--listen", &self.api])
            .stdout(log("stdout")?)
            .stderr(log("stderr")?)
            // An interrupt in the terminal is for this program, which then ends its hosts.
            .process_group(0);
        self.child = Some(command.spawn().context("starting relation-host")?);
        Ok(())
    }

    /// Waits until it serves.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(&self.api).is_err() {
            let ended = self.child.as_mut().map(Child::try_wait).transpose()?;
            if let Some(Some(status)) = ended {
                bail!(
                    "host {} ended with {status}: {}",
                    self.number,
                    self.log_end()
                );
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "host {} does not start",
                self.number
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Kills it: it can do nothing any more.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to end, and waits for that.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let mut child = self.child.take().context("no process")?;
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "host {} ended with {status}", self.number);
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                child.kill()?;
                bail!("host {} does not end", self.number);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Moves its directory to another place, as when its volume is attached to another machine.
    pub fn move_volume(&mut self) -> Result<()> {
        self.moves += 1;
        let name = format!("host-{}-moved-{}", self.number, self.moves);
        let moved = self.directory.with_file_name(name);
        fs::rename(&self.directory, &moved)?;
        self.directory = moved;
        Ok(())
    }

    /// Stops it, as a machine that is paused.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it run again.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("no process")?;
        let pid = Pid::from_raw(i32::try_from(child.id())?).context("no process")?;
        kill_process(pid, signal)?;
        Ok(())
    }

    /// Returns whether its process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        let ended = self.child.as_mut().map(Child::try_wait);
        matches!(ended, Some(Ok(Some(_)) | Err(_)))
    }

    /// Returns the files in its stash: entries that wait, and those that were moved aside.
    pub fn stash(&self) -> Vec<String> {
        let stash = self.directory.join("relation-stash");
        let folders = [stash.clone(), stash.join("quarantine")];
        let files = folders
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok());
        files
            .flatten()
            .flatten()
            .filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()))
            .map(|file| file.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect()
    }

    /// Returns the number of lines of its log that contain a text.
    pub fn count_in_log(&self, text: &str) -> usize {
        let log = fs::read_to_string(self.directory.join("stderr")).unwrap_or_default();
        log.lines().filter(|line| line.contains(text)).count()
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.directory.join("stderr")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for ChaosHost {
    fn drop(&mut self) {
        // Also one that is stopped.
        let _ = self.kill();
    }
}

/// Writes the configuration of a host into its directory.
pub fn configure(directory: &Path, store: &str, base_url: &str, options: &Options) -> Result<()> {
    let origin = base_url.trim_end_matches("/v1");
    let rate = options.customers.max(100);
    let lifetime = options.access_lifetime().as_secs();
    let text = format!(
        "store = {store:?}
key-file = \"relation.key\"
webex.base-url = {base_url:?}
webex.client-id = {:?}
webex.client-secret-file = \"client-secret\"
egress.allow = [{origin:?}]
limits.request-time = \"4s\"
limits.time = \"8s\"
refresh.jitter = 0.5
tokens.assumed-access-lifetime = \"{lifetime}s\"
dispatch.refresh-rate = {rate}
web.requests-per-minute = 1000000
",
        CLIENT.0
    );
    fs::write(directory.join("relation.toml"), text)?;
    let secret = directory.join("client-secret");
    fs::write(&secret, CLIENT.1)?;
    fs::set_permissions(secret, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// Prepares a run of the command in a directory.
pub fn prepare_command(directory: &Path) -> Command {
    let program = std::env::current_exe().unwrap_or_default();
    let caches = program.ancestors().nth(2).unwrap_or(Path::new("/tmp"));
    let mut command = Command::new(program.with_file_name("relation-host"));
    command
        .current_dir(directory)
        // Each component is compiled once for all hosts and runs.
        .env("XDG_CACHE_HOME", caches.join("test-caches"))
        .env_remove("RELATION_CONFIG")
        .env_remove("RELATION_LOG")
        .stdin(Stdio::null());
    command
}
