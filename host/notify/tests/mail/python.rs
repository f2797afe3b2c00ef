//! Python programs: the scripted server, and the parser of messages.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::{HOST, packages, report_skipped};

const PACKAGES: [&str; 3] = ["aiosmtpd==1.4.6", "atpublic==9.0.0", "attrs==26.1.0"];

/// Installs the server, once.
fn install() -> &'static Result<PathBuf, String> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    INSTALLED.get_or_init(|| packages::install("aiosmtpd-1.4.6", &PACKAGES))
}

/// A certificate's name on a scripted server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// No TLS.
    None,
    /// STARTTLS with a certificate for the host.
    Upgrade,
    /// STARTTLS with a certificate for another host.
    OtherName,
    /// TLS from the first byte.
    Implicit,
}

/// A scripted server as a process, killed when dropped.
pub struct ScriptedServer {
    child: Child,
    output: BufReader<ChildStdout>,
    pub port: u16,
    pub authority: Authority,
    _folder: TempDir,
}

impl ScriptedServer {
    /// Starts a server, unless it is missing: then the test is reported as skipped.
    #[track_caller]
    pub fn start(behavior: &str, tls: Tls) -> Option<Self> {
        let packages = match install() {
            Ok(packages) => packages,
            Err(reason) => {
                report_skipped(reason);
                return None;
            }
        };
        let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
        let name = if tls == Tls::OtherName {
            "other.example.test"
        } else {
            HOST
        };
        let (certificate, key) = authority.issue(name, folder.path());
        let mut command = Command::new("python3");
        command
            .env("PYTHONPATH", packages)
            .args(["-W", "ignore"])
            .arg(script("server.py"))
            .arg(behavior);
        if tls != Tls::None {
            command
                .arg("--certificate")
                .arg(certificate)
                .arg("--key")
                .arg(key);
        }
        if tls == Tls::Implicit {
            command.arg("--implicit");
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self {
            child,
            output,
            port: 0,
            authority,
            _folder: folder,
        };
        server.port = u16::try_from(server.read()["port"].as_u64().unwrap()).unwrap();
        Some(server)
    }

    /// Reads the next line that the server prints.
    pub fn read(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Kills the server. Returns the lines that were not read.
    pub fn stop(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let lines = (&mut self.output).lines();
        lines.map(Result::unwrap).collect()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Parses a message with Python's package `email`.
pub fn parse(message: &[u8]) -> Value {
    let mut child = Command::new("python3")
        .arg(script("parse.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/mail")
        .join(name)
}
