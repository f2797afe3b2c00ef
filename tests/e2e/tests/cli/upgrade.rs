//! A new release or new settings may require more of connections: the service reports that at its
//! start, once.

use relation_e2e::cli_world::{CliWorld, Customer};
use relation_e2e::process::{RunningProgram, eventually};
use relation_e2e::world::SCOPES;

const LOOKED: &str = "every connection was looked at";

fn required(scopes: &[&str]) -> String {
    format!("webex.scopes = {scopes:?}")
}

fn service(world: &CliWorld) -> RunningProgram {
    let service = world.workspace.relation(["run"]).start();
    eventually("the service runs", || {
        let runs = service.stderr().contains("running due wakeups");
        runs.then_some(())
    });
    service
}

fn stop(service: RunningProgram) -> String {
    service.terminate();
    service.wait().succeeds().stderr
}

fn checks(world: &CliWorld, customer: &Customer) -> usize {
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
    let world = CliWorld::new().with_config_line(&required(SCOPES));
    let customer = world.add_customer("Contoso");
    let first = service(&world);
    eventually("it was looked at", || {
        first.stderr().contains(LOOKED).then_some(())
    });
    stop(first);
    assert_eq!(world.state(&customer), "connected");
    assert_eq!(checks(&world, &customer), 1);

    let mut more = SCOPES.to_vec();
    more.push("spark-admin:wholesale_customers_read");
    let text = std::fs::read_to_string(world.workspace.path("relation.toml")).unwrap();
    let text = text.replace(&required(SCOPES), &required(&more));
    world.workspace.write("relation.toml", &text);
    let second = service(&world);
    eventually("it was looked at", || {
        second.stderr().contains(LOOKED).then_some(())
    });
    stop(second);
    assert_eq!(world.state(&customer), "missing-scope");
    let shown = world.workspace.json(["show", &customer.pkid]);
    let notes = shown["fields"]["notes"].as_str().unwrap();
    assert!(
        notes.contains("spark-admin:wholesale_customers_read"),
        "{notes}"
    );
    assert_eq!(world.token_requests().len(), 0, "nothing breaks meanwhile");

    // A start with the same release and settings checks nothing.
    let third = service(&world);
    assert!(!stop(third).contains(LOOKED));
    assert_eq!(checks(&world, &customer), 2);
}
