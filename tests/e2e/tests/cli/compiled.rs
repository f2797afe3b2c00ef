//! The cache of compiled components: kept for the next process, trusted only when this user owns
//! it, and never an obstacle to a command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use relation_e2e::artifacts;
use relation_e2e::process::{Program, Workspace};

const LOADED: &str = "origin=Cache";
const COMPILED: &str = "origin=Compiler";

/// Creates a workspace whose commands have their own cache in its directory.
fn workspace() -> Workspace {
    Workspace::new("http://127.0.0.1:9/v1", "secret")
        .with_config_line("component.cache = \"compiled\"")
}

/// Returns a command with a plugin that is compiled in a moment.
fn command(workspace: &Workspace, arguments: &[&str]) -> Program {
    let plugin = artifacts::fixture("keeps_state").display().to_string();
    workspace.relation(arguments).args(["--plugin", &plugin])
}

/// Returns the shortest command that calls the plugin; it reports where it found the component.
fn describe(workspace: &Workspace) -> Program {
    let log = "relation_host::component=debug";
    command(workspace, &["describe", "--log", log])
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// Returns the only file in the cache.
fn file(workspace: &Workspace) -> PathBuf {
    let files = files(&workspace.path("compiled"));
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

#[test]
fn second_command_loads_the_compiled_component() {
    let workspace = workspace();
    let first = describe(&workspace).run().succeeds().reports(&[COMPILED]);
    let second = describe(&workspace).run().succeeds().reports(&[LOADED]);
    assert_eq!(first.stdout, second.stdout);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&workspace.path("compiled")), 0o700);
    assert_eq!(mode(&file(&workspace)), 0o600);
}

#[test]
fn cache_defaults_to_the_user_folder_or_is_disabled() {
    let caches = |workspace: &Workspace| workspace.path("caches").display().to_string();
    let workspace = Workspace::new("http://127.0.0.1:9/v1", "secret");
    let own = caches(&workspace);
    describe(&workspace)
        .env("XDG_CACHE_HOME", &own)
        .run()
        .succeeds();
    let directory = workspace.path("caches/relation-host/components");
    assert_eq!(files(&directory).len(), 1);

    let workspace = Workspace::new("http://127.0.0.1:9/v1", "secret")
        .with_config_line("component.cache = false");
    let own = caches(&workspace);
    describe(&workspace)
        .env("XDG_CACHE_HOME", &own)
        .run()
        .succeeds();
    assert!(!workspace.path("caches").exists());
}

#[test]
fn commands_without_configuration_share_the_cache() {
    let workspace = workspace();
    let scenario = "about = \"It describes itself\"\n[[step]]\ncall = \"describe\"\n";
    workspace.write("scenario.toml", scenario);
    let log = ["--log", "relation_host::component=debug"];
    let run = |arguments: &[&str]| command(&workspace, arguments).args(log).run().succeeds();
    run(&["inspect"]).reports(&[COMPILED]);
    run(&["inspect"]).reports(&[LOADED]);
    run(&["test", "scenario.toml"]).reports(&[LOADED]);
    run(&["describe"]).reports(&[LOADED]);
    file(&workspace);
}

#[test]
fn broken_configuration_disables_the_cache() {
    let workspace =
        Workspace::new("http://127.0.0.1:9/v1", "secret").with_config_line("component.cache = 7");
    let own = workspace.path("caches").display().to_string();
    let inspect = command(&workspace, &["inspect"]).env("XDG_CACHE_HOME", &own);
    inspect.run().succeeds();
    assert!(!workspace.path("caches").exists());
}

#[test]
fn damaged_cache_file_is_reported_and_rebuilt() {
    let workspace = workspace();
    let first = describe(&workspace).run().succeeds();
    let file = file(&workspace);
    let whole = fs::read(&file).unwrap();
    let middle = whole.len() / 2;
    let mut garbled = whole.clone();
    garbled[middle..middle + 4096].fill(0xCC);
    for damaged in [&whole[..middle], b"", &garbled] {
        fs::write(&file, damaged).unwrap();
        let output = describe(&workspace).run().succeeds();
        let output = output.reports(&["WARN", "is damaged and is created again", COMPILED]);
        assert_eq!(output.stdout, first.stdout);
        describe(&workspace).run().succeeds().reports(&[LOADED]);
    }
}

#[test]
fn cache_writable_by_others_is_not_used() {
    let workspace = workspace();
    describe(&workspace).run().succeeds();
    let directory = workspace.path("compiled");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let output = describe(&workspace).run().succeeds();
    output.reports(&["WARN", "is not used", "chmod go-w", COMPILED]);
}

#[test]
fn commands_work_without_a_writable_cache() {
    let workspace = workspace();
    workspace.write("compiled", "a file where the directory should be");
    let output = command(&workspace, &["describe", "--json"])
        .run()
        .succeeds();
    assert_eq!(output.stderr, "");
    let reported = command(&workspace, &["describe", "--log", "info"])
        .run()
        .succeeds();
    reported.reports(&["INFO", "the cache of compiled components: cannot make"]);
}

#[test]
fn concurrent_commands_create_one_cache_file() {
    let workspace = workspace();
    let running: Vec<_> = (0..4).map(|_| describe(&workspace).start()).collect();
    let mut outputs = running.into_iter().map(|one| one.wait().succeeds().stdout);
    let first = outputs.next().unwrap();
    assert!(outputs.all(|response| response == first));
    file(&workspace);
    describe(&workspace).run().succeeds().reports(&[LOADED]);
}
