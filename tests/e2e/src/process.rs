//! The programs under test as processes: where they run, what they are told, what they say, how
//! they end.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::artifacts;
use crate::time::Time;

/// The client id of every place.
pub const CLIENT_ID: &str = "C0ffee";

/// No command of a test takes anywhere near as long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait before looking again.
const LOOK: Duration = Duration::from_millis(10);

/// Looks until there is something, and fails the test when there is nothing in time.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(LOOK);
    }
}

/// A directory with a configuration, in which `relation-host` runs.
pub struct Place {
    directory: TempDir,
    /// Apart from the directory, which tests search for what must not be in it.
    outputs: TempDir,
    started: AtomicUsize,
    time: Time,
}

impl Place {
    /// A directory whose configuration names the Webex at `base_url` and nothing else that may be
    /// reached.
    pub fn of(base_url: &str, client_secret: &str) -> Self {
        let place = Self {
            directory: TempDir::new().expect("a temporary directory"),
            outputs: TempDir::new().expect("a temporary directory"),
            started: AtomicUsize::new(0),
            time: Time::default(),
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
        place.write("relation.toml", &text);
        place.write("client-secret", client_secret);
        place
    }

    /// Adds a line to the configuration.
    pub fn configured(self, line: &str) -> Self {
        let text = std::fs::read_to_string(self.path("relation.toml")).expect("it was written");
        self.write("relation.toml", &format!("{text}{line}\n"));
        self
    }

    /// Its programs go by this time.
    pub fn at(mut self, time: Time) -> Self {
        self.time = time;
        self
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file in it.
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

    /// `relation-host` with these arguments, in the directory.
    pub fn relation<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.program("relation-host", arguments)
    }

    /// Another of our programs.
    pub fn program<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Program {
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

    /// Runs `relation-host` to a good end and reads its JSON.
    #[track_caller]
    pub fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Value {
        self.relation(arguments).arg("--json").run().done().json()
    }

    /// Everything that programs have said here so far, on stdout and stderr.
    pub fn said(&self) -> String {
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
    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What it reads on stdin; nothing by default.
    pub fn stdin(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Runs it to its end by a shell that redirects its outputs, such as `2>/dev/full`. What it writes
    /// elsewhere is kept as ever.
    #[track_caller]
    pub fn redirected(mut self, redirection: &str) -> Ran {
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
    pub fn start(self) -> Running {
        let input = self.input.clone();
        let (running, stdin) = self.spawn(input.is_some());
        if let (Some(text), Some(mut stdin)) = (input, stdin) {
            // A program that refuses its arguments reads nothing.
            let _ = stdin.write_all(text.as_bytes());
        }
        running
    }

    /// Writes its stderr there; the test's own record of it stays empty.
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.other_stderr = Some(to.into());
        self
    }

    /// As [`Program::stderr`], of stdout.
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.other_stdout = Some(to.into());
        self
    }

    /// Starts it with a stdin that the test writes to, and ends by dropping it.
    pub fn start_with_stdin(self) -> (Running, ChildStdin) {
        let (running, stdin) = self.spawn(true);
        (running, stdin.expect("a pipe was asked for"))
    }

    fn spawn(mut self, reads: bool) -> (Running, Option<ChildStdin>) {
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
        let running = Running {
            command: arguments.collect::<Vec<_>>().join(" "),
            child,
            stdout: self.stdout,
            stderr: self.stderr,
        };
        (running, stdin)
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Ran {
        self.start().end()
    }
}

/// A program that runs. It is killed when it is dropped.
pub struct Running {
    command: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        let what = format!("`{}` has ended", self.command);
        let status = eventually(&what, || self.child.try_wait().expect("it is our child"));
        self.ran(status)
    }

    /// Asks it to stop, as a service manager does.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Asks it to stop, as a terminal does that is closed.
    pub fn hang_up(&self) {
        self.signal("HUP");
    }

    /// Asks it to stop, as Ctrl-C at a terminal does.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    fn signal(&self, name: &str) {
        let signal = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &signal]).status();
        assert!(sent.expect("there is a shell").success(), "{signal}");
    }

    /// Kills it: it can do nothing any more (SIGKILL).
    pub fn kill(mut self) -> Ran {
        self.child.kill().expect("it is our child");
        let status = self.child.wait().expect("it is our child");
        self.ran(status)
    }

    fn ran(&self, status: ExitStatus) -> Ran {
        Ran {
            command: self.command.clone(),
            code: status.code(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Its arguments.
    pub command: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Ran {
    /// It did what it was asked.
    #[track_caller]
    pub fn done(self) -> Self {
        self.exits(0)
    }

    /// It ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        let Self {
            command,
            stdout,
            stderr,
            ..
        } = &self;
        assert_eq!(
            self.code,
            Some(code),
            "`{command}`\n--- stdout\n{stdout}--- stderr\n{stderr}"
        );
        self
    }

    /// Each of these texts stands in stderr.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            let Self {
                command, stderr, ..
            } = &self;
            assert!(
                stderr.contains(text),
                "`{command}` does not say {text:?}:\n{stderr}"
            );
        }
        self
    }

    /// What stdout holds, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let Self {
            command, stdout, ..
        } = self;
        serde_json::from_str(stdout)
            .unwrap_or_else(|error| panic!("`{command}` wrote no JSON: {error}\n{stdout}"))
    }

    /// The error that `--json` writes to stderr.
    #[track_caller]
    pub fn error(&self) -> Value {
        let Self {
            command, stderr, ..
        } = self;
        let last = stderr.lines().last().unwrap_or_default();
        let mut object: Value = serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("`{command}` wrote no JSON error: {error}\n{stderr}"));
        object["error"].take()
    }
}

fn text(file: &Path) -> String {
    let bytes = std::fs::read(file).expect("the file is there");
    String::from_utf8_lossy(&bytes).into_owned()
}
