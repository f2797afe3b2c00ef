//! `relation-host test`: what it prints, how it ends, what it writes.

use relation_e2e::process::{Place, eventually};

const PASSES: &str = "about = \"The model is described\"\n[[step]]\ncall = \"describe\"\nexpect.result.name = \"relation/SparkCustomer\"\n";
const FAILS: &str = "about = \"The model has another name\"\n[[step]]\ncall = \"describe\"\nexpect.result.name = \"relation/Other\"\n";
const BROKEN: &str = "about = \"A typing mistake\"\n[[step]]\ncall = \"descibe\"\n";

fn place() -> Place {
    let place = Place::of("http://127.0.0.1:9/v1", "secret");
    std::fs::create_dir(place.path("scenarios")).unwrap();
    place.write("scenarios/passes.toml", PASSES);
    place
}

#[test]
fn a_scenario_that_passes_is_one_line_and_a_good_end() {
    let place = place();
    let ran = place.relation(["test", "scenarios"]).run().done();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.stdout);
    assert!(lines[0].contains("PASS") && lines[0].contains("scenarios/passes.toml"));
    assert!(lines[0].ends_with("The model is described"), "{}", lines[0]);
    assert!(lines[1].contains("1 passed"), "{}", lines[1]);
    assert!(!ran.stdout.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn a_scenario_that_fails_shows_the_difference_and_ends_with_1() {
    let place = place();
    place.write("scenarios/fails.toml", FAILS);
    let ran = place.relation(["test", "scenarios"]).run().exits(1);
    for words in [
        "FAIL",
        "step 1, call describe",
        "result.name",
        "expected \"relation/Other\"",
        "found    \"relation/SparkCustomer\"",
        "scenarios/fails.toml:4:22",
        "1 passed, 1 failed",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    ran.says(&["1 scenario failed"]);
}

#[test]
fn a_file_that_is_no_scenario_ends_with_2_and_says_where_and_what_was_meant() {
    let place = place();
    place.write("scenarios/broken.toml", BROKEN);
    let ran = place.relation(["test", "scenarios"]).run().exits(2);
    for words in [
        "BROKEN",
        "broken.toml:3:8",
        "there is no call \"descibe\"",
        "did you mean \"describe\"?",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    let none = place.relation(["test", "nowhere"]).run();
    none.exits(2).says(&["nowhere"]);
}

#[test]
fn a_filter_picks_and_a_list_names_without_running() {
    let place = place();
    place.write("scenarios/fails.toml", FAILS);
    let ran = place
        .relation(["test", "scenarios", "--filter", "is described"])
        .run()
        .done();
    assert!(ran.stdout.contains("1 scenario"), "{}", ran.stdout);
    let listed = place.json(["test", "scenarios", "--list"]);
    assert_eq!(listed[0]["path"], "scenarios/fails.toml");
    assert_eq!(listed[1]["about"], "The model is described");
    let none = place
        .relation(["test", "scenarios", "--filter", "nothing of it"])
        .run();
    none.exits(2)
        .says(&["none of 2 scenarios contains \"nothing of it\""]);
}

#[test]
fn an_update_accepts_what_is_seen_and_keeps_the_rest_of_the_file() {
    let place = place();
    let before = format!("# what it is called\n{FAILS}");
    let file = place.write("scenarios/fails.toml", &before);
    let ran = place
        .relation(["test", "scenarios", "--update"])
        .run()
        .done();
    assert!(
        ran.stdout
            .contains("1 step of scenarios/fails.toml rewritten"),
        "{}",
        ran.stdout
    );
    let after = std::fs::read_to_string(file).unwrap();
    assert_eq!(
        after,
        before.replace("relation/Other", "relation/SparkCustomer")
    );
    place.relation(["test", "scenarios"]).run().done();
}

#[cfg(unix)]
#[test]
fn hidden_files_and_dangling_links_are_passed_over_with_a_note() {
    let place = place();
    let lock = place.path("scenarios/.#passes.toml");
    std::os::unix::fs::symlink("me@host.1:2", lock).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("scenarios/gone.toml")).unwrap();
    let ran = place.relation(["test", "scenarios"]).run().done();
    assert!(ran.stdout.contains("1 passed"), "{}", ran.stdout);
    ran.says(&[
        "note: scenarios/.#passes.toml is passed over: it is a hidden file",
        "scenarios/gone.toml is passed over: it is a link that leads nowhere",
    ]);
}

#[test]
fn what_keeps_everything_from_running_is_told_once_and_first() {
    let place = place();
    place.write("scenarios/more.toml", PASSES);
    place.write("text.wasm", "hello");
    let ran = place.relation(["test", "scenarios", "--component", "text.wasm"]);
    let ran = ran.run().exits(1);
    assert_eq!(ran.stdout, "");
    ran.says(&[
        "text.wasm",
        "no WebAssembly at all",
        "relation-host inspect",
    ]);
    let ran = place.relation(["test", "scenarios", "--junit", "nowhere/junit.xml"]);
    let ran = ran.run().exits(2);
    assert_eq!(ran.stdout, "");
    ran.says(&["nowhere/junit.xml", "there is no such directory"]);
    let ran = place.relation(["test", "scenarios/more.toml", "--filter", "zzz"]);
    ran.run()
        .exits(2)
        .says(&["the only scenario does not contain"]);
}

#[test]
fn a_watch_runs_again_what_was_written() {
    let place = place();
    let running = place.relation(["test", "scenarios", "--watch"]).start();
    let told = |words: &str| {
        let stdout = running.stdout();
        (stdout.matches(words).count() > 0).then_some(())
    };
    eventually("the scenario has passed", || told("1 passed"));
    place.write("scenarios/fails.toml", FAILS);
    eventually("the new one has failed", || told("1 failed"));
    place.write(
        "scenarios/fails.toml",
        &FAILS.replace("Other", "SparkCustomer"),
    );
    eventually("it passes", || {
        (running.stdout().matches("1 passed").count() == 2).then_some(())
    });
    running.kill();
}

#[test]
fn reports_are_for_programs_too() {
    let place = place();
    place.write("scenarios/fails.toml", FAILS);
    let ran = place
        .relation([
            "test",
            "scenarios",
            "--json",
            "--junit",
            "junit.xml",
            "--jobs",
            "1",
        ])
        .run()
        .exits(1);
    let report = ran.json();
    assert_eq!(report["failed"], 1);
    assert_eq!(report["scenarios"][0]["verdict"], "failed");
    let xml = std::fs::read_to_string(place.path("junit.xml")).unwrap();
    assert!(
        xml.contains("<testcase name=\"scenarios/passes.toml\""),
        "{xml}"
    );
}
