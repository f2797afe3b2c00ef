//! Values compared with expectations as scenarios write them.

use relation_toml::Source;
use serde_json::json;

use super::*;

const NOON: Timestamp = Timestamp(1_767_268_800_000);

fn matcher() -> Matcher {
    Matcher {
        bindings: Bindings::default(),
        now: NOON,
    }
}

fn pattern(toml: &str) -> Pattern {
    let source = Source::new("expected.toml", toml);
    let pattern = source.read(Pattern::read);
    pattern.unwrap_or_else(|errors| panic!("{errors}"))
}

/// Returns the mismatches of `found` with the expectation `toml`.
fn mismatches_with(matcher: &mut Matcher, toml: &str, found: Value) -> Vec<String> {
    let mut mismatches = Vec::new();
    matcher.check_value(
        &pattern(toml),
        Some(&found),
        &mut Vec::new(),
        &mut mismatches,
    );
    mismatches.iter().map(ToString::to_string).collect()
}

fn mismatches_of(toml: &str, found: Value) -> Vec<String> {
    mismatches_with(&mut matcher(), toml, found)
}

#[test]
fn an_object_needs_only_the_entries_that_are_named() {
    assert!(
        mismatches_of(
            "a = 1\nb.c = \"x\"",
            json!({"a": 1, "b": {"c": "x", "d": 0}, "e": 2})
        )
        .is_empty()
    );
    assert_eq!(
        mismatches_of("a = 1\nb.c = \"x\"", json!({"a": 2, "b": {}})),
        [
            "a: expected 1, found 2",
            "b.c: expected \"x\", found nothing (it has no members)"
        ]
    );
}

#[test]
fn a_list_is_whole_unless_it_ends_with_dots() {
    assert_eq!(
        mismatches_of("a = [1]", json!({"a": [1, 2]})),
        ["a[2]: expected nothing, found 2"]
    );
    assert!(mismatches_of("a = [1, \"...\"]", json!({"a": [1, 2]})).is_empty());
    assert_eq!(
        mismatches_of("a = [1, 2, \"...\"]", json!({"a": [1]})),
        ["a[2]: expected 2, found nothing"]
    );
}

#[test]
fn a_name_captures_once_and_is_equal_afterwards() {
    let mut matcher = matcher();
    let first = json!({"pkid": "abc", "link": "https://x/?state=abc.q&n=1"});
    let toml = "pkid = \"{pkid}\"\nlink = \"https://x/?state={state}&n={n}\"";
    // Entries are compared in the order of their names.
    assert!(mismatches_with(&mut matcher, toml, first).is_empty());
    assert_eq!(matcher.bindings.get("state"), Some(&json!("abc.q")));
    assert_eq!(matcher.bindings.get("n"), Some(&json!("1")));
    assert_eq!(
        mismatches_with(&mut matcher, "pkid = \"{pkid}\"", json!({"pkid": "xyz"})),
        ["pkid: expected \"abc\" ({pkid}), found \"xyz\""]
    );
}

#[test]
fn mismatch_captures_nothing() {
    let mut matcher = matcher();
    let expected = pattern("a = \"{name}\"\nb = 1");
    assert!(!matcher.accepts(&expected, Some(&json!({"a": "x", "b": 2}))));
    assert_eq!(matcher.bindings.get("name"), None);
}

#[test]
fn placeholders_accept_what_they_say_and_nothing_else() {
    let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let cases = [
        ("<any>", json!(null), json!(null)),
        ("<null>", json!(null), json!(0)),
        ("<text>", json!(""), json!(1)),
        ("<number>", json!(1.5), json!("1.5")),
        ("<uuid>", json!(uuid), json!("0f8fad5b")),
        (
            "<pkid>",
            json!("0123456789abcdef01234567"),
            json!("0123456789ABCDEF01234567"),
        ),
        ("<timestamp>", json!("2026-01-01T12:00:00Z"), json!("noon")),
        ("<contains cde>", json!("abcdef"), json!("abc")),
        ("<lacks cde>", json!("abc"), json!("abcdef")),
        ("<starts with ab>", json!("abc"), json!("bc")),
        ("<ends with bc>", json!("abc"), json!("ab")),
        ("<matches ^a[0-9]+$>", json!("a12"), json!("b12")),
        ("<one of a | b>", json!("b"), json!("c")),
        ("<at least 2>", json!(2), json!(1)),
        ("<at most 2>", json!(2), json!(3)),
        ("<2 to 4>", json!(3), json!(5)),
        ("<now>", json!(NOON.0), json!(NOON.0 + 2000)),
        (
            "<in 7 days>",
            json!(NOON.0 + 604_800_000),
            json!(NOON.0 + 604_802_000),
        ),
        (
            "<in 6 days to 7 days>",
            json!(NOON.0 + 600_000_000),
            json!(NOON.0 + 700_000_000),
        ),
        (
            "<90 seconds ago>",
            json!("2026-01-01T11:58:30Z"),
            json!("2026-01-01T12:00:00Z"),
        ),
        (
            "<digest of abc>",
            json!("sha256:ba7816bf8f01cfea"),
            json!("abc"),
        ),
        ("<<in>", json!("<in>"), json!("in")),
    ];
    for (written, right, wrong) in cases {
        let toml = format!("a = {written:?}");
        assert_eq!(
            mismatches_of(&toml, json!({"a": right})),
            [""; 0],
            "{written}"
        );
        if written != "<any>" {
            assert_eq!(
                mismatches_of(&toml, json!({"a": wrong})).len(),
                1,
                "{written}"
            );
        }
    }
    assert_eq!(
        mismatches_of("a = \"<absent>\"", json!({"a": null})),
        ["a: expected nothing, found null"]
    );
    assert!(mismatches_of("a = \"<absent>\"", json!({})).is_empty());
}

#[test]
fn toml_date_matches_both_forms_of_a_moment() {
    let toml = "a = 2026-01-01T12:00:00Z";
    assert!(mismatches_of(toml, json!({"a": NOON.0})).is_empty());
    assert!(mismatches_of(toml, json!({"a": "2026-01-01T12:00:00.000Z"})).is_empty());
    assert_eq!(
        mismatches_of(toml, json!({"a": 0})),
        ["a: expected 2026-01-01T12:00:00.000Z, found 0"]
    );
}

#[test]
fn unordered_mismatch_reports_the_nearest_item() {
    let patterns = [
        pattern("name = \"a\"\nn = 1"),
        pattern("name = \"b\"\nn = 2"),
    ];
    let found = [json!({"name": "b", "n": 3}), json!({"name": "a", "n": 1})];
    let mut mismatches = Vec::new();
    let position = SourcePosition::default();
    matcher().check_unordered(
        &patterns,
        false,
        position,
        &found,
        &mut Vec::new(),
        &mut mismatches,
    );
    let texts: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["[2].n: expected 2, found 3"]);
}

#[test]
fn unordered_items_left_over_are_unexpected() {
    let found = [json!(1), json!(2)];
    let patterns = [pattern("x = 1")];
    let mut mismatches = Vec::new();
    let position = SourcePosition::default();
    matcher().check_unordered(
        &patterns[..0],
        false,
        position,
        &found,
        &mut Vec::new(),
        &mut mismatches,
    );
    assert_eq!(mismatches.len(), 2);
    mismatches.clear();
    matcher().check_unordered(
        &patterns[..0],
        true,
        position,
        &found,
        &mut Vec::new(),
        &mut mismatches,
    );
    assert!(mismatches.is_empty());
}

#[test]
fn a_moment_may_be_within_a_range_in_either_form() {
    let range = "a = \"<2026-01-05T08:00:00Z to 2026-01-05T08:00:02Z>\"";
    let begins = 1_767_600_000_000_u64;
    for within in [
        json!(begins),
        json!(begins + 2000),
        json!("2026-01-05T08:00:01.5Z"),
    ] {
        assert!(
            mismatches_of(range, json!({ "a": within })).is_empty(),
            "{within}"
        );
    }
    for outside in [json!(begins - 1), json!(begins + 2001), json!("soon")] {
        let mismatches = mismatches_of(range, json!({ "a": outside }));
        assert!(
            mismatches[0].contains("from 2026-01-05T08:00:00.000Z to 2026-01-05T08:00:02.000Z"),
            "{mismatches:?}"
        );
    }
}
