//! A machine whose clock was ahead for a while.

use relation_e2e::cli_world::CliWorld;

/// Runs what is due with a clock that is this far ahead; returns the warnings.
#[track_caller]
fn run(world: &CliWorld, ahead: &str) -> String {
    let run = ["run", "--until-idle", "--log", "warn"];
    let run = world.workspace.relation(run);
    let output = run.env("RELATION_TEST_CLOCK_AHEAD", ahead).run();
    output.succeeds().stderr
}

#[test]
fn clock_ahead_once_is_corrected_at_the_next_start() {
    for ahead in ["10days", "60days", "365days", "9000days"] {
        let world = CliWorld::new();
        world.add_customer("Contoso");
        run(&world, ahead);
        assert_eq!(world.token_requests().len(), 1, "{ahead}");

        // The clock is right again, and Webex's was never wrong.
        let warned = run(&world, "0ms");
        assert!(
            warned.contains("the wall clock was ahead by up to"),
            "{warned}"
        );
        assert_eq!(world.token_requests().len(), 2, "{ahead}");
        let listed = world.workspace.relation(["list"]).run().succeeds().stdout;
        for text in ["connected", "13 d 23 h", "89 d 23 h"] {
            assert!(listed.contains(text), "{ahead}: {text}\n{listed}");
        }

        let silent = run(&world, "0ms");
        assert!(!silent.contains("ahead"), "{silent}");
        assert_eq!(world.token_requests().len(), 2, "{ahead}");
    }
}
