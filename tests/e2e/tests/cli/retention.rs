//! How long transactions are kept, and who removes them.

use std::time::Duration;

use relation_e2e::scene::{NODE, Scene};
use relation_e2e::world::DAY;

fn actions(scene: &Scene) -> Vec<String> {
    let listed = scene.place.json(["transactions", "--all"]);
    let items = listed["items"].as_array().unwrap().iter().rev();
    items
        .map(|item| format!("{} {}", item["action"], item["status"]).replace('"', ""))
        .collect()
}

/// A customer, and another one of which every refresh fails.
fn scene() -> Scene {
    let scene = Scene::new();
    let add = ["add", "--hierarchy", NODE, "--name", "Fabrikam"];
    scene.place.relation(add).run().done();
    scene.place.relation(["refresh", "Fabrikam"]).run().exits(4);
    scene
}

fn run(scene: &Scene) {
    let run = ["run", "--until-idle"];
    scene.place.relation(run).run().done();
}

#[test]
fn old_transactions_are_removed_and_failures_later() {
    let scene = scene();
    let whole = ["add Success", "refresh Fail"];
    assert_eq!(actions(&scene), whole);
    scene.time.pass(89 * DAY);
    run(&scene);
    assert_eq!(actions(&scene), whole);
    scene.time.pass(2 * DAY);
    // Only a dispatcher removes anything.
    scene.place.relation(["show", "Fabrikam"]).run().done();
    assert_eq!(actions(&scene), whole);
    run(&scene);
    assert_eq!(actions(&scene), ["refresh Fail"]);
    scene.time.pass(275 * DAY);
    run(&scene);
    assert!(actions(&scene).is_empty());
    scene.place.relation(["show", "Fabrikam"]).run().done();
}

#[test]
fn the_times_are_configured() {
    let scene = scene()
        .configured("transactions.keep = \"2h\"")
        .configured("transactions.keep-failures = \"1h\"");
    scene.time.pass(Duration::from_secs(5_400));
    run(&scene);
    assert_eq!(actions(&scene), ["add Success"]);
    scene.time.pass(Duration::from_secs(5_400));
    run(&scene);
    assert!(actions(&scene).is_empty());
}
