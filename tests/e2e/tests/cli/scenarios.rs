//! `relation-host test`: its output, its exit codes, and the files it writes.

use relation_e2e::process::{Workspace, eventually};

const PASSES: &str = "about = \"The model is described\"\n[[step]]\ncall = \"describe\"\nexpect.result.name = \"relation/SparkCustomer\"\n";
const FAILS: &str = "about = \"The model has another name\"\n[[step]]\ncall = \"describe\"\nexpect.result.name = \"relation/Other\"\n";
const BROKEN: &str = "about = \"A typing mistake\"\n[[step]]\ncall = \"descibe\"\n";

fn workspace() -> Workspace {
    let workspace = Workspace::new("http://127.0.0.1:9/v1", "secret");
    std::fs::create_dir(workspace.path("scenarios")).unwrap();
    workspace.write("scenarios/passes.toml", PASSES);
    workspace
}

#[test]
fn passing_scenario_prints_one_line() {
    let workspace = workspace();
    let output = workspace.relation(["test", "scenarios"]).run().succeeds();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", output.stdout);
    assert!(lines[0].contains("PASS") && lines[0].contains("scenarios/passes.toml"));
    assert!(lines[0].ends_with("The model is described"), "{}", lines[0]);
    assert!(lines[1].contains("1 passed"), "{}", lines[1]);
    assert!(
        !output.stdout.contains('\u{1b}'),
        "colors are for terminals"
    );
}

#[test]
fn failing_scenario_shows_the_difference() {
    let workspace = workspace();
    workspace.write("scenarios/fails.toml", FAILS);
    let output = workspace.relation(["test", "scenarios"]).run().exits(1);
    for words in [
        "FAIL",
        "step 1, call describe",
        "result.name",
        "expected \"relation/Other\"",
        "found    \"relation/SparkCustomer\"",
        "scenarios/fails.toml:4:22",
        "1 passed, 1 failed",
    ] {
        assert!(output.stdout.contains(words), "{words}: {}", output.stdout);
    }
    output.reports(&["1 scenario failed"]);
}

#[test]
fn invalid_scenario_exits_with_2_and_a_suggestion() {
    let workspace = workspace();
    workspace.write("scenarios/broken.toml", BROKEN);
    let output = workspace.relation(["test", "scenarios"]).run().exits(2);
    for words in [
        "BROKEN",
        "broken.toml:3:8",
        "there is no call \"descibe\"",
        "did you mean \"describe\"?",
    ] {
        assert!(output.stdout.contains(words), "{words}: {}", output.stdout);
    }
    let none = workspace.relation(["test", "nowhere"]).run();
    none.exits(2).reports(&["nowhere"]);
}

#[test]
fn filter_selects_and_list_does_not_run() {
    let workspace = workspace();
    workspace.write("scenarios/fails.toml", FAILS);
    let output = workspace
        .relation(["test", "scenarios", "--filter", "is described"])
        .run()
        .succeeds();
    assert!(output.stdout.contains("1 scenario"), "{}", output.stdout);
    let listed = workspace.json(["test", "scenarios", "--list"]);
    assert_eq!(listed[0]["path"], "scenarios/fails.toml");
    assert_eq!(listed[1]["about"], "The model is described");
    let none = workspace
        .relation(["test", "scenarios", "--filter", "nothing of it"])
        .run();
    none.exits(2)
        .reports(&["none of 2 scenarios contains \"nothing of it\""]);
}

#[test]
fn update_rewrites_only_the_expectation() {
    let workspace = workspace();
    let before = format!("# what it is called\n{FAILS}");
    let file = workspace.write("scenarios/fails.toml", &before);
    let output = workspace
        .relation(["test", "scenarios", "--update"])
        .run()
        .succeeds();
    assert!(
        output
            .stdout
            .contains("1 step of scenarios/fails.toml rewritten"),
        "{}",
        output.stdout
    );
    let after = std::fs::read_to_string(file).unwrap();
    assert_eq!(
        after,
        before.replace("relation/Other", "relation/SparkCustomer")
    );
    workspace.relation(["test", "scenarios"]).run().succeeds();
}

#[cfg(unix)]
#[test]
fn hidden_files_and_dangling_links_are_skipped() {
    let workspace = workspace();
    let lock = workspace.path("scenarios/.#passes.toml");
    std::os::unix::fs::symlink("me@host.1:2", lock).unwrap();
    std::os::unix::fs::symlink("nowhere", workspace.path("scenarios/gone.toml")).unwrap();
    let output = workspace.relation(["test", "scenarios"]).run().succeeds();
    assert!(output.stdout.contains("1 passed"), "{}", output.stdout);
    output.reports(&[
        "note: scenarios/.#passes.toml is passed over: it is a hidden file",
        "scenarios/gone.toml is passed over: it is a link that leads nowhere",
    ]);
}

#[test]
fn global_errors_are_reported_once_before_running() {
    let workspace = workspace();
    workspace.write("scenarios/more.toml", PASSES);
    workspace.write("text.wasm", "hello");
    let output = workspace.relation(["test", "scenarios", "--component", "text.wasm"]);
    let output = output.run().exits(1);
    assert_eq!(output.stdout, "");
    output.reports(&[
        "text.wasm",
        "this is not WebAssembly",
        "relation-host inspect",
    ]);
    let output = workspace.relation(["test", "scenarios", "--junit", "nowhere/junit.xml"]);
    let output = output.run().exits(2);
    assert_eq!(output.stdout, "");
    output.reports(&["nowhere/junit.xml", "there is no such directory"]);
    let output = workspace.relation(["test", "scenarios/more.toml", "--filter", "zzz"]);
    output
        .run()
        .exits(2)
        .reports(&["the only scenario does not contain"]);
}

#[test]
fn watch_reruns_changed_scenarios() {
    let workspace = workspace();
    let running = workspace.relation(["test", "scenarios", "--watch"]).start();
    let reported = |words: &str| {
        let stdout = running.stdout();
        (stdout.matches(words).count() > 0).then_some(())
    };
    eventually("the scenario has passed", || reported("1 passed"));
    workspace.write("scenarios/fails.toml", FAILS);
    eventually("the new one has failed", || reported("1 failed"));
    workspace.write(
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
    let workspace = workspace();
    workspace.write("scenarios/fails.toml", FAILS);
    let output = workspace
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
    let report = output.json();
    assert_eq!(report["failed"], 1);
    assert_eq!(report["scenarios"][0]["verdict"], "failed");
    let xml = std::fs::read_to_string(workspace.path("junit.xml")).unwrap();
    assert!(
        xml.contains("<testcase name=\"scenarios/passes.toml\""),
        "{xml}"
    );
}

#[test]
fn scenarios_run_on_a_given_file() {
    let workspace = workspace();
    let store = format!("sqlite:{}", workspace.path("trial.db").display());
    let run = |arguments: &[&str]| {
        let all = ["test", "scenarios", "--store", store.as_str()];
        workspace.relation(all.iter().chain(arguments)).run()
    };
    let passed = run(&[]).succeeds();
    assert!(passed.stdout.contains("1 passed"), "{}", passed.stdout);
    let beside = std::fs::read_dir(workspace.path("")).unwrap();
    let mut left = beside.map(|entry| entry.unwrap().file_name());
    assert!(!left.any(|name| name.to_string_lossy().starts_with("trial.db")));

    workspace.write("trial.db", "data of somebody");
    run(&[]).exits(2).reports(&["trial.db", "the file exists"]);
    let kept = std::fs::read_to_string(workspace.path("trial.db")).unwrap();
    assert_eq!(kept, "data of somebody");
    // Nothing runs.
    run(&["--list"]).succeeds();
}
