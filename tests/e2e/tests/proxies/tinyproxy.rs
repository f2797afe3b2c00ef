//! tinyproxy: one request per connection, or one tunnel.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use relation_e2e::process::free_address;

use crate::daemon::{self, Daemon};

pub struct Tinyproxy {
    pub daemon: Daemon,
    pub address: SocketAddr,
}

/// The configuration of the proxy.
#[derive(Default)]
pub struct Options {
    /// User and password, of letters, digits, dots, dashes and underscores: its configuration
    /// allows no others.
    pub account: Option<(&'static str, &'static str)>,
    /// The only port that tunnels may lead to; any if `None`.
    pub tunnels_to: Option<u16>,
}

impl Tinyproxy {
    /// Returns `None` if tinyproxy is not installed.
    pub fn start(host: &str, options: &Options) -> Option<Self> {
        let program = daemon::find_or_skip("tinyproxy")?;
        let address = free_address(host);
        let mut text = format!(
            "Port {}\nListen {host}\nTimeout 60\nMaxClients 100\nLogFile \"log\"\nLogLevel Info\n",
            address.port()
        );
        if let Some((user, password)) = options.account {
            writeln!(text, "BasicAuth {user} {password}").unwrap();
        }
        if let Some(port) = options.tunnels_to {
            writeln!(text, "ConnectPort {port}").unwrap();
        }
        let folder = daemon::folder();
        daemon::write(&folder, "tinyproxy.conf", &text);
        let mut command = Command::new(program);
        command.args(["-d", "-c", "tinyproxy.conf"]);
        let daemon = Daemon::start(command, folder, &[address]);
        Some(Self { daemon, address })
    }

    /// Returns the request lines it has received, in order.
    pub fn requests(&self) -> Vec<String> {
        let log = self.daemon.read("log");
        let lines = log
            .lines()
            .filter_map(|line| line.split_once("Request (file descriptor "));
        lines
            .filter_map(|(_, rest)| rest.split_once("): "))
            .map(|(_, request)| request.to_owned())
            .collect()
    }
}
