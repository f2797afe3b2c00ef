//! The key-encryption key from a command's output, so that any vault with a client program can be used.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use relation_types::text::format_span;
use zeroize::Zeroizing;

use super::key_text::{KEY_FORMATS, MAX_KEY_TEXT_BYTES, decode, parse_bare};
use super::keys::{KeyEncryptionKey, KeyError, KeyProvider};

/// The default time limit of a command.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How often a command that has closed its output is checked for its end.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A command, run without a shell, that writes the key to stdout. The key is 64 hexadecimal digits, 32 bytes in
/// base64, or the content of a key file.
///
/// The command gets an empty stdin. Its stderr is discarded, since that may contain secrets; a failure
/// is reported by exit code.
#[derive(Clone)]
pub struct KeyCommand {
    program: PathBuf,
    arguments: Vec<String>,
    directory: Option<PathBuf>,
    time_limit: Duration,
}

/// Omits the arguments, which may contain secrets.
impl std::fmt::Debug for KeyCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyCommand")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl KeyCommand {
    /// Takes the key from the output of `program` with `arguments`. A name without a directory is
    /// searched for in `PATH`.
    pub fn new(program: impl Into<PathBuf>, arguments: Vec<String>) -> Self {
        Self {
            program: program.into(),
            arguments,
            directory: None,
            time_limit: TIME_LIMIT,
        }
    }

    /// Runs the command in `directory`. A relative path of the program is relative to `directory` too.
    #[must_use]
    pub fn in_directory(mut self, directory: &Path) -> Self {
        if directory != Path::new("") {
            if self.program.components().count() > 1 {
                self.program = directory.join(&self.program);
            }
            self.directory = Some(directory.to_owned());
        }
        self
    }

    /// Stops the command after this time; 30 seconds by default.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    fn failed(&self, reason: impl Into<String>) -> KeyError {
        KeyError::Command {
            program: self.program.clone(),
            reason: reason.into(),
        }
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.spawn()
    }

    /// Reads the output of the command and its exit status.
    fn output(&self, child: &mut Child) -> Result<(Zeroizing<Vec<u8>>, ExitStatus), KeyError> {
        let deadline = Instant::now() + self.time_limit;
        let broken = |error: io::Error| self.failed(format!("its output cannot be read: {error}"));
        let stdout = child.stdout.take();
        let stdout = stdout.ok_or_else(|| broken(io::ErrorKind::BrokenPipe.into()))?;
        let (sender, output) = mpsc::channel();
        // The thread is not joined after the time limit: a child of the command may keep the pipe open.
        thread::Builder::new()
            .name("key-command".to_owned())
            .spawn(move || {
                let most = MAX_KEY_TEXT_BYTES + 1;
                let mut bytes = Zeroizing::new(Vec::with_capacity(8192));
                let read = stdout.take(most).read_to_end(&mut bytes);
                let _ = sender.send(read.map(|_| bytes));
            })
            .map_err(broken)?;
        let late = || {
            let limit = format_span(self.time_limit);
            self.failed(format!("it did not end within {limit} and was stopped"))
        };
        let bytes = output
            .recv_timeout(self.time_limit)
            .map_err(|_| late())?
            .map_err(broken)?;
        if bytes.len() as u64 > MAX_KEY_TEXT_BYTES {
            return Err(self.failed(format!("it wrote more than {MAX_KEY_TEXT_BYTES} bytes")));
        }
        loop {
            if let Some(status) = child.try_wait().map_err(broken)? {
                return Ok((bytes, status));
            }
            if Instant::now() >= deadline {
                return Err(late());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn key(&self, output: &[u8], status: ExitStatus) -> Result<KeyEncryptionKey, KeyError> {
        const BY_HAND: &str = "run it manually to see why";
        if !status.success() {
            return Err(match status.code() {
                Some(code) => self.failed(format!("it ended with exit code {code}: {BY_HAND}")),
                None => self.failed(format!("it was ended by a signal: {BY_HAND}")),
            });
        }
        decode(output).and_then(parse_bare).map_err(|reason| {
            self.failed(format!("its output is not a key, {reason}: {KEY_FORMATS}"))
        })
    }
}

impl KeyProvider for KeyCommand {
    fn load(&self) -> Result<Option<KeyEncryptionKey>, KeyError> {
        let child = self.start();
        let mut child =
            child.map_err(|error| self.failed(format!("it cannot be started: {error}")))?;
        let output = self.output(&mut child);
        if output.is_err() {
            // The command has ended already, or its output is no longer needed.
            let _ = child.kill();
            let _ = child.wait();
        }
        let (bytes, status) = output?;
        self.key(&bytes, status).map(Some)
    }

    fn create(&self) -> Result<KeyEncryptionKey, KeyError> {
        Err(self.failed("a key cannot be stored there"))
    }

    fn describe(&self) -> String {
        format!("the key command {}", self.program.display())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    const DIGITS: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn shell(script: &str) -> KeyCommand {
        KeyCommand::new("sh", vec!["-c".to_owned(), script.to_owned()])
    }

    fn refusal(command: &KeyCommand) -> String {
        let error = command.load().unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains(&DIGITS[..8]), "{text}");
        text
    }

    #[test]
    fn key_is_read_from_the_command_output() {
        let command = shell(&format!("echo noise >&2; echo {DIGITS}"));
        let key = command.load().unwrap().unwrap();
        assert_eq!(hex::encode(key.bytes()), DIGITS);
    }

    #[test]
    fn arguments_reach_the_command_as_they_are() {
        let command = KeyCommand::new("printf", vec!["%s".to_owned(), DIGITS.to_owned()]);
        assert!(command.load().is_ok());
        let unexpanded = KeyCommand::new("echo", vec!["$(echo hi); *".to_owned()]);
        assert!(refusal(&unexpanded).contains("not a key"));
    }

    #[test]
    fn a_relative_program_is_relative_to_its_directory() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("key.sh");
        std::fs::write(directory.path().join("key"), DIGITS).unwrap();
        std::fs::write(&script, "#!/bin/sh\ncat key\n").unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o700)).unwrap();
        let command = KeyCommand::new("./key.sh", Vec::new()).in_directory(directory.path());
        assert!(command.load().is_ok(), "{:?}", command.load());
    }

    #[test]
    fn failure_reports_the_exit_code_and_no_output() {
        let command = shell(&format!("echo {DIGITS}; echo {DIGITS} >&2; exit 3"));
        let text = refusal(&command);
        assert!(
            text.contains("command sh: it ended with exit code 3"),
            "{text}"
        );
        assert!(refusal(&shell("kill -9 $$")).contains("by a signal"));
    }

    #[test]
    fn output_that_is_not_a_key_is_not_shown() {
        for output in [
            format!("echo {}", &DIGITS[1..]),
            format!("echo {DIGITS}; echo {DIGITS}"),
            "true".to_owned(),
            "printf '\\377\\376'".to_owned(),
        ] {
            let text = refusal(&shell(&output));
            assert!(text.contains("its output is not a key"), "{text}");
        }
        let endless = shell(&format!("while :; do echo {DIGITS}; done"));
        assert!(refusal(&endless).contains("more than 4096 bytes"));
    }

    #[test]
    fn a_command_that_does_not_end_is_stopped() {
        let limit = Duration::from_millis(50);
        for script in [
            "exec sleep 600".to_owned(),
            format!("echo {DIGITS}; exec >&-; exec sleep 600"),
        ] {
            let text = refusal(&shell(&script).time_limit(limit));
            assert!(text.contains("within 50 ms"), "{text}");
        }
    }

    #[test]
    fn missing_command_is_named() {
        let text = refusal(&KeyCommand::new("/absent/vault", Vec::new()));
        assert!(
            text.contains("/absent/vault: it cannot be started"),
            "{text}"
        );
    }
}
