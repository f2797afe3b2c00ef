//! The demo, which a newcomer runs first.

use relation_e2e::cli_world::CliWorld;

#[test]
fn every_step_of_the_demo_succeeds() {
    let world = CliWorld::new();
    let output = world.workspace.relation(["demo"]).run().succeeds();
    assert!(
        output.stdout.contains("steps, all successful"),
        "{}",
        output.stdout
    );
}
