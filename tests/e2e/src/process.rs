//! The programs under test as processes: their directory, arguments, output and exit.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use relation_app::config::Config;
use relation_app::{Installation, PluginFile};
use relation_host::clock::SystemClock;
use serde_json::Value;
use tempfile::TempDir;

use crate::artifacts;
use crate::time::Time;

mod output;

pub use output::ProgramOutput;

/// The client id in every workspace.
pub const CLIENT_ID: &str = "C0ffee";

/// A timeout far longer than any command of a test takes.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Interval between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Returns an address of this machine at which no program listens.
pub fn free_address(host: &str) -> SocketAddr {
    relation_test_postgres::free_address(host).expect("a port is free")
}

/// Polls until there is a value, and fails the test after the timeout.
#[track_caller]
pub fn eventually<T>(what: &str, poll: impl FnMut() -> Option<T>) -> T {
    eventually_within(TIMEOUT, what, poll)
}

/// Polls until there is a value, and fails the test after `timeout`.
#[track_caller]
pub fn eventually_within<T>(
    timeout: Duration,
    what: &str,
    mut poll: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// A directory with a configuration for `relation-host`.
pub struct Workspace {
    directory: TempDir,
    /// Apart from the directory, which tests search for things that must not be in it.
    outputs: TempDir,
    started: AtomicUsize,
    time: Time,
    /// Whether no store is made before the first program is started.
    without_store: AtomicBool,
}

impl Workspace {
    /// Creates a directory with a configuration that names the Webex at `base_url` and allows no
    /// other host.
    pub fn new(base_url: &str, client_secret: &str) -> Self {
        let workspace = Self {
            directory: TempDir::new().expect("a temporary directory"),
            outputs: TempDir::new().expect("a temporary directory"),
            started: AtomicUsize::new(0),
            time: Time::default(),
            without_store: AtomicBool::new(false),
        };
        let origin = base_url.strip_suffix("/v1").unwrap_or(base_url);
        // Dotted keys, so that tests can add others to the same section.
        let mut text = String::new();
        for line in [
            "store = \"sqlite:relation.db\"",
            "key-file = \"relation.key\"",
            &format!("webex.base-url = \"{base_url}\""),
            &format!("webex.client-id = \"{CLIENT_ID}\""),
            "webex.client-secret-file = \"client-secret\"",
            &format!("egress.allow = [\"{origin}\"]"),
        ] {
            writeln!(text, "{line}").expect("a text grows");
        }
        workspace.write("relation.toml", &text);
        workspace.write("client-secret", client_secret);
        workspace
    }

    /// Adds a line to the configuration.
    pub fn with_config_line(self, line: &str) -> Self {
        let text = std::fs::read_to_string(self.path("relation.toml")).expect("it was written");
        self.write("relation.toml", &format!("{text}{line}\n"));
        self
    }

    /// Leaves the store and the key to the test, which runs `init` itself or needs none.
    #[must_use]
    pub fn without_store(self) -> Self {
        self.without_store.store(true, Ordering::Relaxed);
        self
    }

    /// Makes the store and the key that the configuration names, once, as `init` does; the first program does so
    /// too. A configuration that cannot be used is left to the program.
    pub fn create_store(&self) {
        if self.without_store.load(Ordering::Relaxed) {
            return;
        }
        let Ok(config) = Config::load(Some(&self.path("relation.toml"))) else {
            return;
        };
        self.without_store.store(true, Ordering::Relaxed);
        if config.store.file().is_some_and(Path::exists) {
            return;
        }
        let installation = Installation {
            config,
            clock: Arc::new(SystemClock::new()),
            plugin: PluginFile {
                file: None,
                embedded: None,
            },
        };
        // On a thread of its own, since the test may run on a runtime.
        let creation = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let runtime = runtime.expect("a runtime");
            // A key that only the program has, or an unusable path, is left to the program.
            let _ = runtime.block_on(installation.create_store());
        });
        creation.join().expect("it does not panic");
    }

    /// Sets the time of its programs.
    pub fn with_time(mut self, time: Time) -> Self {
        self.time = time;
        self
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in it that only its owner can read.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("the directory can be written");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let owner_alone = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, owner_alone).expect("it is ours");
        }
        path
    }

    /// Returns `relation-host` with these arguments, in the directory.
    pub fn relation<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.program("relation-host", arguments)
    }

    /// Returns another of our programs.
    pub fn program<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Program {
        self.create_store();
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(artifacts::program(name));
        command
            .args(arguments)
            .current_dir(self.directory())
            .env("XDG_CACHE_HOME", artifacts::caches())
            .env_remove("RELATION_CONFIG")
            .env_remove("RELATION_LOG")
            .env("RELATION_TEST_CLOCK_AHEAD", self.time.ahead());
        Program {
            command,
            input: None,
            stdout: self.outputs.path().join(format!("{number}.stdout")),
            stderr: self.outputs.path().join(format!("{number}.stderr")),
            other_stdout: None,
            other_stderr: None,
        }
    }

    /// Runs `relation-host` successfully and parses its JSON.
    #[track_caller]
    pub fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Value {
        self.relation(arguments)
            .arg("--json")
            .run()
            .succeeds()
            .json()
    }

    /// Returns everything that programs have written here so far, on stdout and stderr.
    pub fn all_output(&self) -> String {
        let files = std::fs::read_dir(self.outputs.path()).expect("the directory is there");
        files
            .map(|file| text(&file.expect("a file").path()))
            .collect()
    }
}

/// A program that is not started yet.
pub struct Program {
    command: Command,
    input: Option<String>,
    stdout: PathBuf,
    stderr: PathBuf,
    other_stdout: Option<Stdio>,
    other_stderr: Option<Stdio>,
}

impl Program {
    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs the program in this directory below the workspace's.
    pub fn in_directory(mut self, name: &str) -> Self {
        if let Some(directory) = self.command.get_current_dir() {
            let directory = directory.join(name);
            self.command.current_dir(directory);
        }
        self
    }

    /// Sets its stdin; empty by default.
    pub fn stdin(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Runs it to its end in a shell that redirects its outputs, such as `2>/dev/full`. Other
    /// outputs are recorded as usual.
    #[track_caller]
    pub fn run_redirected(mut self, redirection: &str) -> ProgramOutput {
        let mut shell = Command::new("bash");
        let script = format!("\"$0\" \"$@\" {redirection}");
        shell.arg("-c").arg(script).arg(self.command.get_program());
        shell.args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(directory) = self.command.get_current_dir() {
            shell.current_dir(directory);
        }
        self.command = shell;
        self.run()
    }

    /// Starts it.
    pub fn start(self) -> RunningProgram {
        let input = self.input.clone();
        let (running, stdin) = self.spawn(input.is_some());
        if let (Some(text), Some(mut stdin)) = (input, stdin) {
            // A program that rejects its arguments reads nothing.
            let _ = stdin.write_all(text.as_bytes());
        }
        running
    }

    /// Redirects its stderr; the test's own record of it stays empty.
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.other_stderr = Some(to.into());
        self
    }

    /// Redirects its stdout, like [`Program::stderr`].
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.other_stdout = Some(to.into());
        self
    }

    /// Starts it with a stdin that the test writes to and closes by dropping it.
    pub fn start_with_stdin(self) -> (RunningProgram, ChildStdin) {
        let (running, stdin) = self.spawn(true);
        (running, stdin.expect("a pipe was requested"))
    }

    fn spawn(mut self, reads: bool) -> (RunningProgram, Option<ChildStdin>) {
        let create = |path: &Path| File::create(path).expect("the directory can be written");
        let input = match reads {
            true => Stdio::piped(),
            false => Stdio::null(),
        };
        let stdout = Stdio::from(create(&self.stdout));
        let stderr = Stdio::from(create(&self.stderr));
        let mut child = self
            .command
            .stdin(input)
            .stdout(self.other_stdout.take().unwrap_or(stdout))
            .stderr(self.other_stderr.take().unwrap_or(stderr))
            .spawn()
            .expect("the program starts");
        let stdin = child.stdin.take();
        let arguments = self.command.get_args().map(OsStr::to_string_lossy);
        let running = RunningProgram {
            command: arguments.collect::<Vec<_>>().join(" "),
            child,
            stdout: self.stdout,
            stderr: self.stderr,
        };
        (running, stdin)
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> ProgramOutput {
        self.start().wait()
    }
}

/// A running program. It is killed when dropped.
pub struct RunningProgram {
    command: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl RunningProgram {
    /// Returns its stdout so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// Returns its stderr so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Returns whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Waits until the server accepts requests, and fails the test with its output if it ends.
    #[track_caller]
    pub fn wait_until_serving(&mut self) {
        eventually("the server listens", || {
            let serving = self.stdout().contains("serving ");
            assert!(
                serving || self.is_running(),
                "`{}` has ended:\n{}\n{}",
                self.command,
                self.stdout(),
                self.stderr()
            );
            serving.then_some(())
        });
    }

    /// Waits for its exit.
    #[track_caller]
    pub fn wait(mut self) -> ProgramOutput {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return self.output(status);
            }
            assert!(
                Instant::now() < deadline,
                "`{}` does not end:\n{}\n{}",
                self.command,
                self.stdout(),
                self.stderr()
            );
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Sends SIGTERM, as a service manager does.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends SIGHUP, as a terminal does when it is closed.
    pub fn send_sighup(&self) {
        self.signal("HUP");
    }

    /// Sends SIGINT, as a terminal does at Ctrl-C.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    fn signal(&self, name: &str) {
        let signal = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &signal]).status();
        assert!(sent.expect("there is a shell").success(), "{signal}");
    }

    /// Sends SIGKILL: it can do nothing any more.
    pub fn kill(mut self) -> ProgramOutput {
        self.child.kill().expect("it is our child");
        let status = self.child.wait().expect("it is our child");
        self.output(status)
    }

    fn output(&self, status: ExitStatus) -> ProgramOutput {
        ProgramOutput {
            command: self.command.clone(),
            code: status.code(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        // Already ended, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(file: &Path) -> String {
    let bytes = std::fs::read(file).expect("the file is there");
    String::from_utf8_lossy(&bytes).into_owned()
}
