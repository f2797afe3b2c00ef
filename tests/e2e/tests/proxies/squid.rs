//! squid: over IPv4, over IPv6 and over TLS, with accounts whose passwords may contain any
//! character.

use std::net::SocketAddr;
use std::process::Command;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use relation_e2e::process::free_address;
use relation_e2e::tls::Authority;

use crate::daemon::{self, Daemon};

/// The characters that squid escapes in its helper's input.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'\'')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'~');

/// A script that checks whether a line of its input is one of the accounts.
const HELPER: &str = "#!/bin/sh\n\
    while IFS= read -r line; do\n\
    grep -Fxq -e \"$line\" accounts && echo OK || echo ERR\n\
    done\n";

pub struct Squid {
    daemon: Daemon,
    /// The address on IPv4.
    pub http: SocketAddr,
    /// The address on IPv6.
    pub http6: SocketAddr,
    /// The address on IPv4 with a certificate.
    pub https: SocketAddr,
}

/// An entry of its access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogEntry {
    /// Distinguishes connections.
    pub client_port: u16,
    pub user: String,
    pub status: u16,
    pub method: String,
    pub target: String,
}

impl Squid {
    /// Returns `None` if squid is not installed. Without accounts everybody may use it.
    pub fn start(authority: &Authority, accounts: &[(&str, &str)]) -> Option<Self> {
        let program = daemon::find_or_skip("squid")?;
        let [http, https] = ["127.0.0.1"; 2].map(free_address);
        let http6 = free_address("::1");
        let folder = daemon::folder();
        let (certificate, key) = authority.issue("127.0.0.1", 2999);
        daemon::write(&folder, "certificate.pem", &certificate.pem());
        daemon::write(&folder, "key.pem", &key.serialize_pem());
        let helper = daemon::write(&folder, "helper", HELPER);
        let lines: Vec<String> = accounts
            .iter()
            .map(|(user, password)| format!("{user} {}\n", utf8_percent_encode(password, ESCAPED)))
            .collect();
        daemon::write(&folder, "accounts", &lines.concat());
        let path = folder.path().display();
        let who = if accounts.is_empty() {
            "http_access allow all".to_owned()
        } else {
            format!(
                "auth_param basic program {}\n\
                 auth_param basic children 1 startup=1\n\
                 acl known proxy_auth REQUIRED\n\
                 http_access allow known\n\
                 http_access deny all",
                helper.display()
            )
        };
        let text = format!(
            "http_port {http}\n\
             http_port {http6}\n\
             https_port {https} tls-cert={path}/certificate.pem tls-key={path}/key.pem\n\
             {who}\n\
             logformat test %>p %[un %03>Hs %rm %ru\n\
             strip_query_terms off\n\
             access_log stdio:{path}/access test\n\
             cache_log {path}/log\n\
             pid_filename {path}/pid\n\
             coredump_dir {path}\n\
             cache deny all\n\
             pinger_enable off\n\
             netdb_filename none\n\
             visible_hostname test\n"
        );
        daemon::write(&folder, "squid.conf", &text);
        let mut command = Command::new(program);
        // In the foreground, under a name of its own.
        let name = format!("test{}", http.port());
        command
            .args(["-N", "-n", &name, "-f"])
            .arg(folder.path().join("squid.conf"));
        let daemon = Daemon::start(command, folder, &[http, http6, https]);
        Some(Self {
            daemon,
            http,
            http6,
            https,
        })
    }

    /// Returns the served requests. A tunnel is listed once it has ended.
    pub fn access_log(&self) -> Vec<AccessLogEntry> {
        let log = self.daemon.read("access");
        let lines = log.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let mut next = || words.next().map(str::to_owned);
            Some(AccessLogEntry {
                client_port: next()?.parse().ok()?,
                user: next()?,
                status: next()?.parse().ok()?,
                method: next()?,
                target: next()?,
            })
        });
        // A connection without a request is the test's own check whether squid listens.
        lines.filter(|one| one.method != "-").collect()
    }
}
