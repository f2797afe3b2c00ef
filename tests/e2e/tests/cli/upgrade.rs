//! What a new release or new settings ask of connections shows when the service starts, once.

use relation_e2e::process::{Running, eventually};
use relation_e2e::scene::{Customer, Scene};
use relation_e2e::world::SCOPES;

const LOOKED: &str = "every connection was looked at";

fn required(scopes: &[&str]) -> String {
    format!("webex.scopes = {scopes:?}")
}

fn service(scene: &Scene) -> Running {
    let service = scene.place.relation(["run"]).start();
    eventually("the service runs", || {
        let runs = service.stderr().contains("running due wakeups");
        runs.then_some(())
    });
    service
}

fn stop(service: Running) -> String {
    service.terminate();
    service.end().done().stderr
}

fn checks(scene: &Scene, customer: &Customer) -> usize {
    let arguments = [
        "transactions",
        "--subject",
        &customer.pkid,
        "--action",
        "check-expiry",
        "--all",
    ];
    let found = scene.place.json(arguments);
    found["items"].as_array().unwrap().len()
}

#[test]
fn a_scope_that_is_required_from_now_on_shows_when_the_service_starts() {
    let scene = Scene::new().configured(&required(SCOPES));
    let customer = scene.customer("Contoso");
    let first = service(&scene);
    eventually("it was looked at", || {
        first.stderr().contains(LOOKED).then_some(())
    });
    stop(first);
    assert_eq!(scene.state(&customer), "connected");
    assert_eq!(checks(&scene, &customer), 1);

    let mut more = SCOPES.to_vec();
    more.push("spark-admin:wholesale_customers_read");
    let text = std::fs::read_to_string(scene.place.path("relation.toml")).unwrap();
    let text = text.replace(&required(SCOPES), &required(&more));
    scene.place.write("relation.toml", &text);
    let second = service(&scene);
    eventually("it was looked at", || {
        second.stderr().contains(LOOKED).then_some(())
    });
    stop(second);
    assert_eq!(scene.state(&customer), "missing-scope");
    let shown = scene.place.json(["show", &customer.pkid]);
    let notes = shown["fields"]["notes"].as_str().unwrap();
    assert!(
        notes.contains("spark-admin:wholesale_customers_read"),
        "{notes}"
    );
    assert_eq!(scene.token_requests().len(), 0, "nothing breaks meanwhile");

    // A start with the same release and settings looks at nothing.
    let third = service(&scene);
    assert!(!stop(third).contains(LOOKED));
    assert_eq!(checks(&scene, &customer), 2);
}
