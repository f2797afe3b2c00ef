//! A `snmptrapd` as a child process, with a directory for its configuration and log.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Environment variable that makes a missing program an error.
const REQUIRED: &str = "RELATION_REQUIRE_SNMP";
const PID_FILE: &str = "pid";
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Returns a program; without it the test is reported as skipped.
#[track_caller]
pub fn find_program_or_skip(name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian installs daemons in a directory that only root has in PATH.
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        let advice = format!("{name} is not installed (Debian: apt-get install {package})");
        assert!(
            std::env::var_os(REQUIRED).is_none(),
            "{advice}, and {REQUIRED} is set"
        );
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        // Writes to stderr directly: the captured output of a test that passes is hidden.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {advice}");
    }
    found
}

/// A running receiver, which is killed when dropped.
pub struct Trapd {
    program: PathBuf,
    config: String,
    address: SocketAddr,
    folder: TempDir,
    child: Child,
    engine: u32,
}

impl Trapd {
    /// Starts it at 127.0.0.1; without the program the test is reported as skipped.
    #[track_caller]
    pub fn start(config: &str) -> Option<Self> {
        Self::start_on("127.0.0.1", config)
    }

    /// Starts it at an address of this host.
    #[track_caller]
    pub fn start_on(address: &str, config: &str) -> Option<Self> {
        let program = find_program_or_skip("snmptrapd", "snmptrapd")?;
        let ip: IpAddr = address.parse().unwrap();
        let folder = TempDir::new().unwrap();
        // Another process may take the free port before snmptrapd does.
        for _ in 0..5 {
            let free = UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap();
            let mut child = spawn(&program, config, 1, free, &folder);
            if wait_until_listening(&mut child, &folder) {
                return Some(Self {
                    program,
                    config: config.to_owned(),
                    address: free,
                    folder,
                    child,
                    engine: 1,
                });
            }
        }
        panic!("snmptrapd does not start: {}", read_log(&folder));
    }

    /// Stops it and starts it again at the same address, with its engine id or another one. Returns the boots
    /// of the run that has ended; the next run with the same engine id raises them.
    pub fn restart(&mut self, with_other_engine: bool) -> u32 {
        let stopped = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        assert!(stopped.unwrap().success());
        self.child.wait().unwrap();
        let stored = self.folder.path().join("persistent/snmptrapd.conf");
        let stored = std::fs::read_to_string(stored).unwrap();
        let boots = stored
            .lines()
            .find_map(|line| line.strip_prefix("engineBoots "));
        let boots = boots.unwrap().parse().unwrap();
        self.engine += u32::from(with_other_engine);
        self.child = spawn(
            &self.program,
            &self.config,
            self.engine,
            self.address,
            &self.folder,
        );
        let listens = wait_until_listening(&mut self.child, &self.folder);
        assert!(listens, "{}", self.log());
        boots
    }

    /// Kills it.
    pub fn kill(&mut self) {
        // Already ended, perhaps.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Returns the address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns all that it has printed.
    pub fn log(&self) -> String {
        read_log(&self.folder)
    }

    /// Waits for a line that contains `text`, and returns it.
    pub async fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let log = self.log();
            // The last line may not be complete yet.
            let lines = log
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            if let Some(line) = lines.into_iter().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(
                Instant::now() < deadline,
                "no {text} in the log of snmptrapd:\n{log}"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for Trapd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_log(folder: &TempDir) -> String {
    let bytes = std::fs::read(folder.path().join("log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn spawn(
    program: &PathBuf,
    config: &str,
    engine: u32,
    address: SocketAddr,
    folder: &TempDir,
) -> Child {
    let file = folder.path().join("snmptrapd.conf");
    std::fs::write(&file, format!("engineID relation-test-{engine}\n{config}")).unwrap();
    let _ = std::fs::remove_file(folder.path().join(PID_FILE));
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.path().join("log"))
        .unwrap();
    let here = env!("CARGO_MANIFEST_DIR");
    let transport = match address {
        SocketAddr::V4(address) => format!("udp:{address}"),
        SocketAddr::V6(address) => format!("udp6:{address}"),
    };
    let persistent = folder.path().join("persistent");
    let configs = std::env::join_paths([folder.path(), &persistent]).unwrap();
    Command::new(program)
        // In the foreground, logging to stdout, without name lookups.
        .args(["-f", "-Lo", "-n"])
        .args(["-M", &format!("{here}/mibs:{here}/tests/mibs"), "-m", "ALL"])
        .arg("-p")
        .arg(folder.path().join(PID_FILE))
        .arg(transport)
        .current_dir(folder.path())
        // Its boots and the index of MIBs are stored in the second directory.
        .env("SNMPCONFPATH", configs)
        .env("SNMP_PERSISTENT_DIR", persistent)
        .env("HOME", folder.path())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Waits until it has written its process id, after it has bound its socket. Returns false if it has ended.
fn wait_until_listening(child: &mut Child, folder: &TempDir) -> bool {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if folder.path().join(PID_FILE).exists() {
            return true;
        }
        assert!(
            Instant::now() < deadline,
            "snmptrapd does not listen: {}",
            read_log(folder)
        );
        std::thread::sleep(POLL_INTERVAL);
    }
}
