//! Compiled components: kept for the next process, trusted only when they are this user's own, and
//! never in the way of a command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use relation_e2e::process::{Place, Program};

const LOADED: &str = "origin=Cache";
const COMPILED: &str = "origin=Compiler";

/// A place whose commands have a cache of their own, in its directory.
fn place() -> Place {
    Place::of("http://127.0.0.1:9/v1", "secret").configured("component.cache = \"compiled\"")
}

/// The shortest command that calls the plugin; it tells where it has the component from.
fn describe(place: &Place) -> Program {
    let log = "relation_host::component=debug";
    place.relation(["describe", "--log", log])
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// The only file in the cache.
fn file(place: &Place) -> PathBuf {
    let files = files(&place.path("compiled"));
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

#[test]
fn the_second_command_loads_what_the_first_has_compiled() {
    let place = place();
    let first = describe(&place).run().done().says(&[COMPILED]);
    let second = describe(&place).run().done().says(&[LOADED]);
    assert_eq!(first.stdout, second.stdout);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.path("compiled")), 0o700);
    assert_eq!(mode(&file(&place)), 0o600);
}

#[test]
fn without_a_word_it_is_in_the_users_folder_of_caches_and_false_turns_it_off() {
    let caches = |place: &Place| place.path("caches").display().to_string();
    let place = Place::of("http://127.0.0.1:9/v1", "secret");
    let own = caches(&place);
    describe(&place).env("XDG_CACHE_HOME", &own).run().done();
    let directory = place.path("caches/relation-host/components");
    assert_eq!(files(&directory).len(), 1);

    let place = Place::of("http://127.0.0.1:9/v1", "secret").configured("component.cache = false");
    let own = caches(&place);
    describe(&place).env("XDG_CACHE_HOME", &own).run().done();
    assert!(!place.path("caches").exists());
}

#[test]
fn commands_that_need_no_configuration_share_it_too() {
    let place = place();
    let scenario = "about = \"It describes itself\"\n[[step]]\ncall = \"describe\"\n";
    place.write("scenario.toml", scenario);
    let log = ["--log", "relation_host::component=debug"];
    let run = |arguments: &[&str]| place.relation(arguments).args(log).run().done();
    run(&["inspect"]).says(&[COMPILED]);
    run(&["inspect"]).says(&[LOADED]);
    run(&["test", "scenario.toml"]).says(&[LOADED]);
    run(&["describe"]).says(&[LOADED]);
    file(&place);
}

#[test]
fn beside_a_broken_configuration_nothing_is_kept() {
    let place = Place::of("http://127.0.0.1:9/v1", "secret").configured("component.cache = 7");
    let own = place.path("caches").display().to_string();
    let inspect = place.relation(["inspect"]).env("XDG_CACHE_HOME", &own);
    inspect.run().done();
    assert!(!place.path("caches").exists());
}

#[test]
fn a_damaged_file_is_told_and_made_anew() {
    let place = place();
    let first = describe(&place).run().done();
    let file = file(&place);
    let whole = fs::read(&file).unwrap();
    let middle = whole.len() / 2;
    let mut garbled = whole.clone();
    garbled[middle..middle + 4096].fill(0xCC);
    for damaged in [&whole[..middle], b"", &garbled] {
        fs::write(&file, damaged).unwrap();
        let ran = describe(&place).run().done();
        let ran = ran.says(&["WARN", "is damaged, and is made anew", COMPILED]);
        assert_eq!(ran.stdout, first.stdout);
        describe(&place).run().done().says(&[LOADED]);
    }
}

#[test]
fn what_others_could_have_written_is_told_and_not_used() {
    let place = place();
    describe(&place).run().done();
    let directory = place.path("compiled");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let ran = describe(&place).run().done();
    ran.says(&["WARN", "is not used", "chmod go-w", COMPILED]);
}

#[test]
fn without_a_place_to_write_commands_work_and_say_nothing_of_it() {
    let place = place();
    place.write("compiled", "a file where the directory should be");
    let ran = place.relation(["describe", "--json"]).run().done();
    assert_eq!(ran.stderr, "");
    let told = place.relation(["describe", "--log", "info"]).run().done();
    told.says(&["INFO", "the cache of compiled components: cannot make"]);
}

#[test]
fn several_commands_at_once_on_an_empty_cache_leave_one_file() {
    let place = place();
    let running: Vec<_> = (0..4).map(|_| describe(&place).start()).collect();
    let mut answers = running.into_iter().map(|one| one.end().done().stdout);
    let first = answers.next().unwrap();
    assert!(answers.all(|answer| answer == first));
    file(&place);
    describe(&place).run().done().says(&[LOADED]);
}
