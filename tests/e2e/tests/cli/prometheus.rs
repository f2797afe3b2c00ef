//! Prometheus with the rules of `deploy/` beside a host: an alert fires, and its runbook ends it.
//!
//! Without `prometheus`, the test reports that it was skipped; with `RELATION_REQUIRE_PROMTOOL` set it fails instead.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use relation_e2e::cli_world::{CliWorld, browse};
use relation_e2e::optional_programs::{find_program, report_skipped};
use relation_e2e::process::{eventually, free_address};
use serde_json::Value;
use tempfile::TempDir;
use webex_emulator::{Consent, Emulator, Mode};

const RULES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/prometheus/relation.rules.yml"
));
/// The documentation of the alerts.
const OPERATIONS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/operations.md"
));

const ALERT: &str = "RelationConnectionExpiring";

/// A Prometheus that scrapes one host each second.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts it; reports that the test is skipped if it is not installed.
    fn start(host: SocketAddr) -> Option<Self> {
        let Some(program) = find_program("prometheus") else {
            let advice = "prometheus is not installed (apt-get install prometheus)";
            report_skipped(advice, "RELATION_REQUIRE_PROMTOOL");
            return None;
        };
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        // The shipped rules, but for the time for which a condition must hold: a test does not wait for minutes.
        let rules: Vec<&str> = RULES
            .lines()
            .map(|line| match line.trim_start().starts_with("for: ") {
                true => "        for: 1s",
                false => line,
            })
            .collect();
        std::fs::write(path("relation.rules.yml"), rules.join("\n")).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [relation.rules.yml]\n\
             scrape_configs:\n  - job_name: relation\n    static_configs: [{{ targets: [\"{host}\"] }}]\n"
        );
        std::fs::write(path("prometheus.yml"), config).unwrap();
        let address = free_address("127.0.0.1");
        let argument = |name: &str, value: &str| format!("--{name}={value}");
        let process = Command::new(program)
            .current_dir(directory.path())
            .arg("--config.file=prometheus.yml")
            .arg(argument("storage.tsdb.path", "data"))
            .arg(argument("web.listen-address", &address.to_string()))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self {
            process,
            address,
            _directory: directory,
        })
    }

    /// Returns whether an alert fires; `None` if Prometheus does not respond yet.
    fn is_firing(&self, alert: &str) -> Option<bool> {
        std::net::TcpStream::connect(self.address).ok()?;
        let query = format!("ALERTS%7Balertname%3D%22{alert}%22%2Calertstate%3D%22firing%22%7D");
        let (status, response) = browse(&format!(
            "http://{}/api/v1/query?query={query}",
            self.address
        ));
        (status == 200).then(|| response.contains(alert))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the section of an alert in the documentation.
fn runbook(alert: &str) -> &'static str {
    let (_, section) = OPERATIONS.split_once(&format!("\n### {alert}\n")).unwrap();
    section.split("\n##").next().unwrap()
}

#[test]
fn runbook_of_an_expiring_connection_ends_its_alert() {
    let host = free_address("127.0.0.1");
    // A refresh of this Webex issues no later expiry, so that the connection ends unless a person acts.
    let world = CliWorld::with(Emulator::builder().mode(Mode::FrozenClock));
    let world = world.with_config_line(&format!("metrics.listen = \"{host}\""));
    let (world, _) = world.with_redirect();
    let Some(prometheus) = Prometheus::start(host) else {
        return;
    };
    let customer = world.add_customer("Contoso");
    world.time.advance(Duration::from_secs(89 * 86_400));
    let running = world.workspace.relation(["run"]).start();
    eventually("the alert fires", || {
        prometheus.is_firing(ALERT).filter(|is_firing| *is_firing)
    });
    eventually("the customer is expiring", || {
        (world.state(&customer) == "expiring").then_some(())
    });

    // The steps, as they are written.
    let runbook = runbook(ALERT);
    for step in [
        "`relation-host list --sort expiry`",
        "`relation-host show CUSTOMER`",
        "`relation-host connect CUSTOMER`",
    ] {
        assert!(runbook.contains(step), "{step} is not in the runbook");
    }
    let listed = world.workspace.relation(["list", "--sort", "expiry"]);
    let listed = listed.run().succeeds();
    assert!(listed.stdout.contains("Contoso"), "{listed:?}");
    let shown = world.workspace.json(["show", "Contoso"]);
    assert_eq!(shown["connection"]["state"], "expiring");
    let connect = world.workspace.relation(["connect", "Contoso", "--json"]);
    let connecting = connect.start();
    let link = eventually("the command prints the link", || {
        let stdout = connecting.stdout();
        let event: Value = serde_json::from_str(stdout.lines().next()?).ok()?;
        event["url"].as_str().map(str::to_owned)
    });
    let consent = Consent::accept(&customer.organization);
    let back = world.emulator.authorize(&link, &consent).unwrap();
    assert_eq!(browse(&back).0, 200);
    connecting.wait().succeeds();
    assert_eq!(world.state(&customer), "connected");

    eventually("the alert ends", || {
        prometheus.is_firing(ALERT).filter(|is_firing| !*is_firing)
    });
    running.terminate();
    running.wait().succeeds();
}
