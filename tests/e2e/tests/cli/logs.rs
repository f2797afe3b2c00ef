//! The log: levels, filters, and what an operator reads when customers are not well.

use std::time::Duration;

use relation_e2e::scene::{Customer, Scene};
use webex_emulator::Fault;

const WEEK: Duration = Duration::from_secs(8 * 86_400);

fn revoked(scene: &Scene) -> Vec<Customer> {
    let customers: Vec<_> = ["One", "Two", "Three"]
        .map(|name| scene.customer(name))
        .into();
    for customer in &customers {
        scene.emulator.revoke(&customer.grant);
    }
    scene.time.pass(WEEK);
    customers
}

#[test]
fn a_customer_that_needs_a_person_is_an_error_with_its_name() {
    let scene = Scene::new();
    let customers = revoked(&scene);
    let ran = scene
        .place
        .relation(["run", "--until-idle", "--log", "warn"])
        .run()
        .exits(4);
    for (customer, name) in customers.iter().zip(["One", "Two", "Three"]) {
        let line = ran
            .stderr
            .lines()
            .find(|line| line.contains(&customer.pkid));
        let line = line.unwrap_or_else(|| panic!("no line names {name}:\n{}", ran.stderr));
        assert!(
            line.contains("ERROR") && line.contains(&format!("{name:?}")),
            "{line}"
        );
    }
    assert!(ran.stdout.contains("0 refreshed"), "{}", ran.stdout);
    assert!(ran.stdout.contains("3 need a person"), "{}", ran.stdout);
    ran.says(&["error: ", "3 customers need a person", "\nhint: "]);
}

#[test]
fn the_summary_counts_what_became_of_customers() {
    let scene = Scene::new();
    let refused = scene.customer("Refused");
    scene.customer("Well");
    scene.emulator.revoke(&refused.grant);
    scene.time.pass(WEEK);
    let run = ["run", "--until-idle", "--json"];
    let ran = scene.place.relation(run).run().exits(4);
    let summary = ran.json();
    assert_eq!(summary["refreshed"], 1, "{summary}");
    assert_eq!(summary["need_person"], 1, "{summary}");
    assert_eq!(summary["retrying"], 0, "{summary}");
    assert_eq!(summary["failed_imports"], 0, "{summary}");
    let error = ran.error();
    assert_eq!(error["kind"], "reauthorize");
    let warnings = error["warnings"].to_string();
    assert!(warnings.contains(&refused.pkid), "{warnings}");
}

#[test]
fn a_passing_fault_is_a_warning_and_ends_with_five() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    scene
        .emulator
        .inject(Fault::status("/v1/access_token", 503));
    scene.time.pass(WEEK);
    let run = ["run", "--until-idle"];
    let ran = scene.place.relation(run).run().exits(5);
    let line = ran.stderr.lines().find(|line| line.contains("WARN"));
    let line = line.unwrap_or_else(|| panic!("no warning:\n{}", ran.stderr));
    assert!(
        line.contains(&customer.pkid) && line.contains("\"Contoso\""),
        "{line}"
    );
    assert!(ran.stdout.contains("1 retrying"), "{}", ran.stdout);
    // What a command tells itself is not logged besides.
    scene
        .emulator
        .inject(Fault::status("/v1/access_token", 503));
    let refresh = ["refresh", &customer.pkid];
    let ran = scene.place.relation(refresh).run().exits(5);
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
}

#[test]
fn a_level_that_means_nothing_is_refused() {
    let scene = Scene::new();
    for level in [
        "verbose",
        "loud",
        "relation_host",
        "relation_host=loud",
        "relation_host:debug",
        "warn,loud",
    ] {
        let argument = scene.place.relation(["list", "--log", level]).run();
        argument.exits(2).says(&["is no level"]);
        let variable = scene.place.relation(["list"]).env("RELATION_LOG", level);
        variable.run().exits(2).says(&["is no level"]);
    }
    let customers = revoked(&scene);
    for level in [
        "warning",
        "err",
        "WARN",
        "hyper=off",
        "error,hyper=trace",
        "",
    ] {
        let run = scene.place.relation(["run", "--until-idle"]);
        let ran = run.env("RELATION_LOG", level).run();
        let code = ran.code;
        scene.time.pass(WEEK);
        if code == Some(4) {
            assert!(ran.stderr.contains("ERROR"), "{level}: {}", ran.stderr);
        }
    }
    assert_eq!(customers.len(), 3);
}
