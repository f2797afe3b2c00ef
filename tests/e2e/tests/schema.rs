//! schemathesis over the served OpenAPI document, as each role: all checks of all routes, without a failure.
//!
//! `tests/e2e/clients/run_schemathesis.py` has the list of exclusions with their reasons. The requests are the same
//! each time; only the provider administrator goes through all boundary values. `RELATION_SCHEMATHESIS_SECONDS` runs
//! more of them, for that long for each role; with `RELATION_SCHEMATHESIS_SEED`, they are others.

use std::path::Path;
use std::process::Command;

use relation_e2e::api_client::ApiClient;
use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::optional_programs::report_skipped;
use relation_e2e::packages::{Package, REQUIRED, Registry};
use relation_web::access::ROLES;

const SCHEMATHESIS: Package = Package {
    registry: Registry::PyPi,
    name: "schemathesis",
    version: "4.32.5",
    others: &[],
};

/// The roles of the tests below.
const TESTED: [&str; 6] = [
    "provider-administrator",
    "reseller-administrator",
    "customer-administrator",
    "operator",
    "auditor",
    "machine",
];

#[test]
fn provider_administrator() {
    check(Some(TESTED[0]));
}

#[test]
fn reseller_administrator() {
    check(Some(TESTED[1]));
}

#[test]
fn customer_administrator() {
    check(Some(TESTED[2]));
}

#[test]
fn operator() {
    check(Some(TESTED[3]));
}

#[test]
fn auditor() {
    check(Some(TESTED[4]));
}

#[test]
fn machine() {
    check(Some(TESTED[5]));
}

#[test]
fn nobody() {
    check(None);
}

#[test]
fn every_role_has_a_test() {
    let roles: Vec<&str> = ROLES.iter().map(|role| role.name).collect();
    assert_eq!(roles, TESTED);
}

#[track_caller]
fn check(role: Option<&str>) {
    let packages = match SCHEMATHESIS.install() {
        Ok(packages) => packages,
        Err(reason) => return report_skipped(&reason, REQUIRED),
    };
    let world = CliWorld::new().with_config_line("web.requests-per-minute = 1000000");
    world.add_customer("Connected");
    let root = world.add_key("root", "provider-administrator", "sys");
    let key = role.map(|role| world.add_key("tested", role, NODE));
    let (server, address) = world.serve(&[]);
    let directory = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/run_schemathesis.py");
    let mut python = Command::new("python3");
    python
        .arg(program)
        .current_dir(directory.path())
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("RELATION_URL", format!("http://{address}"))
        .env("RELATION_NODE", NODE)
        .env("RELATION_REPORTS", directory.path())
        .env("RELATION_ROOT_KEY", root)
        .env("RELATION_KEY", key.as_deref().unwrap_or_default())
        .env("RELATION_ROLE", role.unwrap_or_default());
    for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        python.env_remove(proxy);
    }
    let output = python.output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}\n{errors}");
    assert!(report.contains("Operations:"), "{report}\n{errors}");
    // Otherwise the later requests would have had no permission.
    if let Some(key) = key {
        ApiClient::new(&address, &key).get("/api/session/");
    }
    server.terminate();
    let output = server.wait().succeeds();
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}
