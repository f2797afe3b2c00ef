//! The log: levels, filters, and what an operator reads about customers in trouble.

use std::time::Duration;

use relation_e2e::cli_world::{CliWorld, Customer};
use webex_emulator::Fault;

const WEEK: Duration = Duration::from_secs(8 * 86_400);

fn revoke_customers(world: &CliWorld) -> Vec<Customer> {
    let customers: Vec<_> = ["One", "Two", "Three"]
        .map(|name| world.add_customer(name))
        .into();
    for customer in &customers {
        world.emulator.revoke(&customer.grant);
    }
    world.time.advance(WEEK);
    customers
}

#[test]
fn customer_needing_a_person_is_logged_as_error() {
    let world = CliWorld::new();
    let customers = revoke_customers(&world);
    let output = world
        .workspace
        .relation(["run", "--until-idle", "--log", "warn"])
        .run()
        .exits(4);
    for (customer, name) in customers.iter().zip(["One", "Two", "Three"]) {
        let line = output
            .stderr
            .lines()
            .find(|line| line.contains(&customer.pkid));
        let line = line.unwrap_or_else(|| panic!("no line names {name}:\n{}", output.stderr));
        assert!(
            line.contains("ERROR") && line.contains(&format!("{name:?}")),
            "{line}"
        );
    }
    assert!(output.stdout.contains("0 refreshed"), "{}", output.stdout);
    assert!(
        output.stdout.contains("3 need a person"),
        "{}",
        output.stdout
    );
    output.reports(&["error: ", "3 customers need a person", "\nhint: "]);
}

#[test]
fn summary_counts_outcomes() {
    let world = CliWorld::new();
    let refused = world.add_customer("Refused");
    world.add_customer("Well");
    world.emulator.revoke(&refused.grant);
    world.time.advance(WEEK);
    let run = ["run", "--until-idle", "--json"];
    let output = world.workspace.relation(run).run().exits(4);
    let summary = output.json();
    assert_eq!(summary["refreshed"], 1, "{summary}");
    assert_eq!(summary["need_person"], 1, "{summary}");
    assert_eq!(summary["retrying"], 0, "{summary}");
    assert_eq!(summary["failed_imports"], 0, "{summary}");
    let error = output.error();
    assert_eq!(error["kind"], "reauthorize");
    let warnings = error["warnings"].to_string();
    assert!(warnings.contains(&refused.pkid), "{warnings}");
}

#[test]
fn transient_error_is_a_warning_and_exits_with_5() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    world
        .emulator
        .inject(Fault::status("/v1/access_token", 503));
    world.time.advance(WEEK);
    let run = ["run", "--until-idle"];
    let output = world.workspace.relation(run).run().exits(5);
    let line = output.stderr.lines().find(|line| line.contains("WARN"));
    let line = line.unwrap_or_else(|| panic!("no warning:\n{}", output.stderr));
    assert!(
        line.contains(&customer.pkid) && line.contains("\"Contoso\""),
        "{line}"
    );
    assert!(output.stdout.contains("1 retrying"), "{}", output.stdout);
    // Messages for the command itself are not logged as well.
    world
        .emulator
        .inject(Fault::status("/v1/access_token", 503));
    let refresh = ["refresh", &customer.pkid];
    let output = world.workspace.relation(refresh).run().exits(5);
    assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
}

#[test]
fn unknown_log_level_is_rejected() {
    let world = CliWorld::new();
    for level in [
        "verbose",
        "loud",
        "relation_host",
        "relation_host=loud",
        "relation_host:debug",
        "warn,loud",
    ] {
        let argument = world.workspace.relation(["list", "--log", level]).run();
        argument.exits(2).reports(&["is not a level"]);
        let variable = world
            .workspace
            .relation(["list"])
            .env("RELATION_LOG", level);
        variable.run().exits(2).reports(&["is not a level"]);
    }
    let customers = revoke_customers(&world);
    for level in [
        "warning",
        "err",
        "WARN",
        "hyper=off",
        "error,hyper=trace",
        "",
    ] {
        let run = world.workspace.relation(["run", "--until-idle"]);
        let output = run.env("RELATION_LOG", level).run();
        let code = output.code;
        world.time.advance(WEEK);
        if code == Some(4) {
            assert!(
                output.stderr.contains("ERROR"),
                "{level}: {}",
                output.stderr
            );
        }
    }
    assert_eq!(customers.len(), 3);
}
