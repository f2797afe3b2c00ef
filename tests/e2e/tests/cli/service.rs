//! Tests of the service `run`: warnings at its start, and a client secret that changes while the service runs.

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::{RunningProgram, eventually};
use relation_e2e::world::CLIENT_SECRET;

fn start(world: &CliWorld) -> RunningProgram {
    start_with(world, "relation.toml")
}

fn start_with(world: &CliWorld, config: &str) -> RunningProgram {
    let service = world.workspace.relation(["run", "--config", config]);
    let service = service.start();
    wait_for(&service, "running due wakeups");
    service
}

/// Starts a service whose client secret is in the file `service-secret`. Other commands use another file.
fn start_with_own_secret(world: &CliWorld) -> RunningProgram {
    let config = std::fs::read_to_string(world.workspace.path("relation.toml")).unwrap();
    let config = config.replace("\"client-secret\"", "\"service-secret\"");
    world.workspace.write("service.toml", &config);
    start_with(world, "service.toml")
}

fn stop(service: RunningProgram) -> String {
    service.terminate();
    service.wait().succeeds().stderr
}

fn wait_for(service: &RunningProgram, line: &str) {
    eventually(line, || service.stderr().contains(line).then_some(()));
}

/// Adds a customer with pasted tokens, and waits until the service has refreshed the tokens.
fn add_and_wait_for_refresh(world: &CliWorld, name: &str) {
    let customer = world.add_customer(name);
    let refreshes = [
        "transactions",
        "--subject",
        &customer.pkid,
        "--action",
        "refresh",
    ];
    let status = eventually("the refresh has ended", || {
        let found = world.workspace.json(refreshes);
        let status = found["items"][0]["status"].as_str()?;
        (status != "Processing").then(|| status.to_owned())
    });
    assert_eq!(status, "Success", "{name}");
}

#[test]
fn changed_client_secret_is_used_by_the_service() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    workspace.write("service-secret", "the-secret-before-the-change");
    let service = start_with_own_secret(&world);
    workspace.write("service-secret", CLIENT_SECRET);
    add_and_wait_for_refresh(&world, "Contoso");

    // An unusable file leaves the last secret in use.
    workspace.write("service-secret", "");
    add_and_wait_for_refresh(&world, "Fabrikam");
    add_and_wait_for_refresh(&world, "Tailspin");
    let log = stop(service);
    assert_eq!(log.matches("was read again").count(), 1, "{log}");
    let kept = log.matches("service-secret is empty; the last one that was read stays in use");
    assert_eq!(kept.count(), 1, "{log}");
    assert!(log.contains("write the secret of the integration"), "{log}");
    assert!(!log.contains(CLIENT_SECRET), "{log}");
}

#[test]
fn client_secret_can_come_after_the_start() {
    let world = CliWorld::new();
    let service = start_with_own_secret(&world);
    wait_for(&service, "cannot read the client secret");
    world.workspace.write("service-secret", CLIENT_SECRET);
    add_and_wait_for_refresh(&world, "Contoso");
    stop(service);
}

#[test]
fn start_names_what_is_missing() {
    let world = CliWorld::new();
    let complete = stop(start(&world));
    assert!(!complete.contains("WARN"), "{complete}");
    let toml = "store = \"sqlite:relation.db\"\nkey-file = \"relation.key\"\n\
                webex.base-url = \"https://webexapis.com\"\n";
    world.workspace.write("relation.toml", toml);
    let incomplete = stop(start(&world));
    for text in [
        "webex.client-id is not configured",
        "webex.client-secret-file is not configured",
        "https://webexapis.com, which does not end with /v1",
        "egress.allow is empty",
        "add \"https://webexapis.com\" to egress.allow",
    ] {
        assert!(incomplete.contains(text), "{text}:\n{incomplete}");
    }
}
