//! A machine whose clock was ahead for a while.

use relation_e2e::scene::Scene;

/// Runs what is due by a clock that is so far ahead; what it warns of.
#[track_caller]
fn run(scene: &Scene, ahead: &str) -> String {
    let run = ["run", "--until-idle", "--log", "warn"];
    let run = scene.place.relation(run);
    let ran = run.env("RELATION_TEST_CLOCK_AHEAD", ahead).run();
    ran.done().stderr
}

#[test]
fn clock_ahead_for_one_start_is_made_good_by_the_next() {
    for ahead in ["10days", "60days", "365days", "9000days"] {
        let scene = Scene::new();
        scene.customer("Contoso");
        run(&scene, ahead);
        assert_eq!(scene.token_requests().len(), 1, "{ahead}");

        // The clock is right again, and Webex never had another one.
        let warned = run(&scene, "0ms");
        assert!(
            warned.contains("the wall clock was ahead by up to"),
            "{warned}"
        );
        assert_eq!(scene.token_requests().len(), 2, "{ahead}");
        let listed = scene.place.relation(["list"]).run().done().stdout;
        for text in ["connected", "13 d 23 h", "89 d 23 h"] {
            assert!(listed.contains(text), "{ahead}: {text}\n{listed}");
        }

        let silent = run(&scene, "0ms");
        assert!(!silent.contains("ahead"), "{silent}");
        assert_eq!(scene.token_requests().len(), 2, "{ahead}");
    }
}
