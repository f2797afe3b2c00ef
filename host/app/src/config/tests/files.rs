//! The file of the configuration, and the files, keys and stores that it names.

use super::*;

#[test]
fn named_configuration_file_must_exist() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent.toml");
    let error = Config::load(Some(&absent)).unwrap_err();
    assert!(error.to_string().contains("absent.toml"), "{error}");
}

#[test]
fn configuration_is_utf_8_with_optional_bom() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("relation.toml");
    std::fs::write(&file, "\u{feff}[limits]\r\ncalls = 3\r\n").unwrap();
    assert_eq!(Config::load(Some(&file)).unwrap().limits.calls, 3);
    let utf16: Vec<u8> = "\u{feff}[limits]"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (content, found) in [
        (
            utf16.as_slice(),
            "relation.toml is UTF-16; save it as UTF-8",
        ),
        (
            b"[limits]\n# f\xfcr alle\n",
            "is not UTF-8 in line 2, but probably Latin-1",
        ),
    ] {
        std::fs::write(&file, content).unwrap();
        let error = Config::load(Some(&file)).unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
}

#[test]
fn paths_are_relative_to_the_configuration_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("relation.toml");
    std::fs::write(&file, "key-file = \"keys/a\"").unwrap();
    let config = Config::load(Some(&file)).unwrap();
    assert_eq!(config.key, KeySource::File(directory.path().join("keys/a")));
    assert_eq!(
        config.store,
        StoreUrl::sqlite(directory.path().join("relation.db"))
    );
}

#[test]
fn stash_is_beside_the_store_by_default() {
    let config = parse("store = \"sqlite:data/a.db\"");
    let beside = Path::new("/etc/relation/data/a.db-stash");
    assert_eq!(config.stash_directory(), beside);
    let config = parse("stash = \"/mnt/other\"");
    assert_eq!(config.stash_directory(), Path::new("/mnt/other"));
}

#[test]
fn key_has_exactly_one_source() {
    let env = parse("key-env = \"RELATION_KEY\"");
    assert_eq!(env.key, KeySource::Env("RELATION_KEY".to_owned()));
    let command = parse(r#"key-command = ["vault", "read", ""]"#);
    let expected = KeySource::Command {
        program: "vault".to_owned(),
        arguments: vec!["read".to_owned(), String::new()],
        directory: "/etc/relation".into(),
    };
    assert_eq!(command.key, expected);

    let both =
        errors("key-env = \"K\"\nstore = \"sqlite:a.db\"\nkey-file = \"a\"\nkey-command = [\"x\"]");
    let one = "at most one of `key-file`, `key-env`, `key-command` can be given, and `key-env` is given already";
    assert_eq!(
        both,
        [
            format!("line 3: key-file: {one}"),
            format!("line 4: key-command: {one}")
        ]
    );
}

#[test]
fn invalid_key_source_is_refused_without_quoting() {
    for wrong in [
        "key-command = []",
        "key-command = [\"\"]",
        "key-command = \"cat s3cret\"",
        "key-command = [\"cat\", 7]",
        "key-env = \"s3cret=\"",
        "key-env = \"\"",
    ] {
        let found = errors(wrong);
        assert_eq!(found.len(), 1, "{wrong}: {found:?}");
        assert!(!found[0].contains("s3cret"), "{found:?}");
    }
}

#[test]
fn arguments_of_a_key_command_are_not_printed() {
    let config = parse(r#"key-command = ["vault", "s3cret"]"#);
    assert!(!format!("{config:?} {}", config.key).contains("s3cret"));
}

#[test]
fn component_cache_is_a_directory_or_false() {
    let cache = |value: &str| parse(&format!("[component]\ncache = {value}")).component_cache;
    assert_eq!(parse("").component_cache, CacheLocation::User);
    assert_eq!(cache("false"), CacheLocation::Disabled);
    assert_eq!(cache("false").open_cache(), None);
    let directory = cache("\"/var/cache/relation\"").open_cache().unwrap();
    assert_eq!(directory.directory(), Path::new("/var/cache/relation"));
    assert_eq!(
        errors("component.cache = true\n"),
        [
            "line 1: component.cache: expected a directory or false; without this key there is a cache in the user's own folder"
        ]
    );
    assert_eq!(
        errors("component.cache = 3\n"),
        ["line 1: component.cache: expected a directory or false, found a number without quotes"]
    );
    assert_eq!(
        errors("component.cache = \"\"\n"),
        ["line 1: component.cache: must not be empty; false turns the cache off"]
    );
}

#[cfg(feature = "postgres")]
#[test]
fn stash_of_a_database_is_beside_the_configuration() {
    let text = "store = \"postgres://relation:canary@db/relation?password-file=p&nonsense=1\"";
    let found = errors(text).join("\n");
    assert!(found.starts_with("line 1: store: "), "{found}");
    assert!(found.contains("name the password once"), "{found}");
    assert!(found.contains("`nonsense`"), "{found}");
    assert!(!found.contains("canary"), "{found}");

    let text = "store = \"postgres://relation@db/relation?password-file=p\"";
    let config = Config::parse_file(Path::new("etc/r.toml"), text).unwrap();
    assert_eq!(
        config.store.to_string(),
        "postgres://relation@db/relation?password-file=etc/p"
    );
    assert_eq!(config.stash_directory(), Path::new("etc/relation-stash"));
}

#[cfg(feature = "postgres")]
#[test]
fn example_of_deploy_is_a_valid_configuration() {
    let text = include_str!("../../../../../deploy/relation.example.toml");
    let text = text.replace("C0123…", "C0123");
    let config = Config::parse_file(Path::new("r.toml"), &text).unwrap();
    assert_eq!(
        config.stash_directory(),
        Path::new("/var/lib/relation/stash")
    );
    assert!(!config.store.has_password());
}
