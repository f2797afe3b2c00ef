//! A new release or new settings may require more of connections: the service reports that at its
//! start, once.

use relation_e2e::cli_world::{CliWorld, Customer};
use relation_e2e::process::{RunningProgram, eventually};
use relation_e2e::world::SCOPES;

const ALL_CHECKED: &str = "every connection was checked";

fn scopes_line(scopes: &[&str]) -> String {
    format!("webex.scopes = {scopes:?}")
}

fn start_service(world: &CliWorld) -> RunningProgram {
    let service = world.workspace.relation(["run"]).start();
    eventually("the service runs", || {
        let runs = service.stderr().contains("running due wakeups");
        runs.then_some(())
    });
    service
}

fn stop_service(service: RunningProgram) -> String {
    service.terminate();
    service.wait().succeeds().stderr
}

fn count_expiry_checks(world: &CliWorld, customer: &Customer) -> usize {
    let arguments = [
        "transactions",
        "--subject",
        &customer.pkid,
        "--action",
        "check-expiry",
        "--all",
    ];
    let found = world.workspace.json(arguments);
    found["items"].as_array().unwrap().len()
}

#[test]
fn new_required_scope_shows_at_service_start() {
    let world = CliWorld::new().with_config_line(&scopes_line(SCOPES));
    let customer = world.add_customer("Contoso");
    // Pasted tokens are refreshed after a second: that is not to happen between the checks.
    let refresh = ["refresh", &customer.pkid];
    world.workspace.relation(refresh).run().succeeds();
    let first = start_service(&world);
    eventually("the connection is checked", || {
        first.stderr().contains(ALL_CHECKED).then_some(())
    });
    stop_service(first);
    assert_eq!(world.state(&customer), "connected");
    assert_eq!(count_expiry_checks(&world, &customer), 1);

    let mut more = SCOPES.to_vec();
    more.push("spark-admin:wholesale_customers_read");
    let text = std::fs::read_to_string(world.workspace.path("relation.toml")).unwrap();
    let text = text.replace(&scopes_line(SCOPES), &scopes_line(&more));
    world.workspace.write("relation.toml", &text);
    let second = start_service(&world);
    eventually("the connection is checked", || {
        second.stderr().contains(ALL_CHECKED).then_some(())
    });
    stop_service(second);
    assert_eq!(world.state(&customer), "missing-scope");
    let shown = world.workspace.json(["show", &customer.pkid]);
    let notes = shown["fields"]["notes"].as_str().unwrap();
    assert!(
        notes.contains("spark-admin:wholesale_customers_read"),
        "{notes}"
    );
    let requests = world.token_requests();
    assert_eq!(
        requests.len(),
        1,
        "the checks refresh nothing: {requests:?}"
    );

    // A start with the same release and settings checks nothing.
    let third = start_service(&world);
    assert!(!stop_service(third).contains(ALL_CHECKED));
    assert_eq!(count_expiry_checks(&world, &customer), 2);
}
