//! A proxy from Debian's packages as a child process, with a directory for its configuration and logs.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use relation_e2e::optional_programs::report_skipped;
use relation_e2e::process::eventually;
use tempfile::TempDir;

/// Environment variable that makes a missing proxy an error.
const REQUIRED: &str = "RELATION_REQUIRE_PROXIES";

/// Returns the program; without it the test is reported as skipped.
#[track_caller]
pub fn find_or_skip(name: &str) -> Option<PathBuf> {
    let found = relation_e2e::optional_programs::find_program(name);
    if found.is_none() {
        let advice = format!("{name} is not installed (Debian: apt-get install {name})");
        report_skipped(&advice, REQUIRED);
    }
    found
}

/// Creates a directory that a daemon can use even after it has dropped root.
pub fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    open_to_all(folder.path(), 0o777);
    folder
}

/// Writes a file that the daemon can read, and run if it is a program.
pub fn write(folder: &TempDir, name: &str, content: &str) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, content).unwrap();
    open_to_all(&file, 0o755);
    file
}

fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A process that is killed when dropped.
pub struct Daemon {
    child: Child,
    folder: TempDir,
}

impl Daemon {
    /// Starts it and waits until it listens at every address.
    pub fn start(mut command: Command, folder: TempDir, listens: &[SocketAddr]) -> Self {
        let printed = std::fs::File::create(folder.path().join("said")).unwrap();
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(printed.try_clone().unwrap())
            .stderr(printed)
            .spawn()
            .unwrap();
        let mut daemon = Self { child, folder };
        for address in listens {
            eventually("the proxy listens", || {
                if let Some(status) = daemon.child.try_wait().unwrap() {
                    panic!("{command:?} ended with {status}:\n{}", daemon.read("said"));
                }
                TcpStream::connect(address).ok()
            });
        }
        daemon
    }

    /// Returns the current contents of one of its files.
    pub fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended, perhaps.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
