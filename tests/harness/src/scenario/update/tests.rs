//! Expectations before and after an update.

use serde_json::json;

use super::*;
use crate::scenario::observation::Observation;
use crate::scenario::template::Bindings;
use relation_toml::SourcePosition;

const NOW: Timestamp = Timestamp(1_767_225_600_000);

/// Creates a failure of the first step, from paths, whether a value was expected, and found values.
fn failure(mismatches: &[(&str, bool, Option<Json>)]) -> StepFailure {
    let mut bindings = Bindings::default();
    bindings.set("pkid", "0123456789abcdef01234567");
    let mismatches = mismatches.iter().map(|(path, expected, found)| Mismatch {
        path: (*path).to_owned(),
        position: None,
        expected: expected.then(|| "something".to_owned()),
        found: found.clone(),
        note: None,
        segments: path
            .split('/')
            .map(|part| match part.parse() {
                Ok(index) => Segment::Index(index),
                Err(_) => Segment::Key(part.replace('|', "/")),
            })
            .collect(),
    });
    StepFailure {
        step: 1,
        position: SourcePosition::default(),
        action: "call refresh".to_owned(),
        about: None,
        mismatches: mismatches.collect(),
        problem: None,
        notes: Vec::new(),
        bindings,
        now: NOW,
        observation: Observation {
            http: vec![json!({ "method": "GET", "path": "/a", "status": 503 })],
            ..Observation::default()
        },
    }
}

#[track_caller]
fn accepted(text: &str, mismatches: &[(&str, bool, Option<Json>)]) -> String {
    accept(text, &failure(mismatches)).expect("something is accepted")
}

#[test]
fn a_value_changes_and_its_comment_stays() {
    let text = "[[step]]\ncall = \"refresh\" # now\n\n[step.expect]\nresult = { outcome = \"old\", n = 1 } # why\n";
    assert_eq!(
        accepted(text, &[("result/outcome", true, Some(json!("new")))]),
        text.replace("\"old\"", "\"new\"")
    );
}

#[test]
fn concurrent_calls_are_updated_separately() {
    let text = "[[step]]\n[[step.concurrently]]\ncall = \"refresh\"\n[[step.concurrently]]\ncall = \"delete\"\nexpect.result.a = 1\n";
    assert_eq!(
        accepted(
            text,
            &[
                (
                    "concurrently/0/error",
                    false,
                    Some(json!({ "case": "not-found" }))
                ),
                ("concurrently/1/result/a", true, Some(json!(2))),
                ("http", true, Some(json!([]))),
            ]
        ),
        "[[step]]\n[[step.concurrently]]\ncall = \"refresh\"\n\n[step.concurrently.expect]\nerror = \"not-found\"\n[[step.concurrently]]\ncall = \"delete\"\nexpect.result.a = 2\n"
    );
    let inline = "[[step]]\nconcurrently = [{ call = \"refresh\" }, { call = \"delete\", expect = { result.a = 1 } }]\n";
    assert_eq!(
        accepted(inline, &[("concurrently/1/result/a", true, Some(json!(2)))]),
        inline.replace("a = 1", "a = 2")
    );
}

#[test]
fn generated_values_become_placeholders() {
    let text = "[[step]]\n[step.expect.result]\na = 1\nb = 1\nc = 1\nd = 1\ne = 1\n";
    let found = accepted(
        text,
        &[
            ("result/a", true, Some(json!("0123456789abcdef01234567"))),
            ("result/b", true, Some(json!(NOW.0 + 86_400_000))),
            ("result/c", true, Some(json!("2025-12-31T23:00:00Z"))),
            ("result/d", true, Some(json!("<odd> {name}"))),
            ("result/e", true, None),
        ],
    );
    assert_eq!(
        found,
        "[[step]]\n[step.expect.result]\na = \"{pkid}\"\nb = \"<in 1 day>\"\nc = \"<1 hour ago>\"\nd = \"<<odd> {{name}\"\ne = \"<absent>\"\n"
    );
}

#[test]
fn list_items_are_removed_and_added() {
    let text = "[[step]]\nexpect.http = [\"GET /a\", \"GET /b\"]\n";
    assert_eq!(
        accepted(
            text,
            &[
                ("http/0/status", true, Some(json!(503))),
                ("http/1", true, None)
            ]
        ),
        "[[step]]\nexpect.http = [\"GET /a -> 503\"]\n"
    );
    let more = json!({ "method": "POST", "path": "/c", "fault": "reset" });
    assert_eq!(
        accepted(
            "[[step]]\nexpect.http = []\n",
            &[("http/0", false, Some(more))]
        ),
        "[[step]]\nexpect.http = [\"POST /c -> reset\"]\n"
    );
    let document = json!({ "name": "SyncSparkContoso", "@version": 1 });
    assert_eq!(
        accepted(
            "[[step]]\nexpect.storage.added.\"data/DataSync\" = []\n",
            &[("storage/added/data|DataSync", false, Some(document))]
        ),
        "[[step]]\nexpect.storage.added.\"data/DataSync\" = [{ name = \"SyncSparkContoso\" }]\n"
    );
}

#[test]
fn failing_call_gets_an_error_expectation() {
    let error = json!({ "case": "not-found", "text": "…" });
    let text = "[[step]]\ncall = \"refresh\"\n[step.expect]\nresult = {}\n";
    assert_eq!(
        accepted(text, &[("error", false, Some(error))]),
        "[[step]]\ncall = \"refresh\"\n[step.expect]\nerror = \"not-found\"\n"
    );
}

#[test]
fn nowhere_and_problems_are_not_accepted() {
    let text = "[[step]]\n[step.expect]\nnowhere = [\"x\"]\n";
    assert_eq!(
        accept(text, &failure(&[("nowhere", false, Some(json!("x")))])),
        None
    );
    let mut problem = failure(&[]);
    problem.problem = Some("it could not be done".to_owned());
    assert_eq!(accept(text, &problem), None);
}

#[test]
fn line_ends_and_byte_order_mark_are_kept() {
    let text = "\u{feff}# one\r\n[[step]]\r\ncall = \"refresh\"\r\n\r\n[step.expect]\r\nresult = { n = 1 }\r\n";
    let mismatches = [("result/n", true, Some(json!(2)))];
    let expected = text.replace("n = 1", "n = 2");
    assert_eq!(accepted(text, &mismatches), expected);
    // Additions have the line ends of the other lines.
    let error = json!({ "case": "unavailable" });
    let added = accepted(text, &[("error", false, Some(error))]);
    assert!(added.contains("error = \"unavailable\"\r\n"), "{added:?}");
    assert_eq!(added.matches('\n').count(), added.matches("\r\n").count());
    // Unchanged lines keep their line ends.
    let mixed = "# one\n[[step]]\r\ncall = \"refresh\"\n[step.expect]\nresult = { n = 1 }\n# end\r\n# without";
    assert_eq!(
        accepted(mixed, &mismatches),
        mixed.replace("n = 1", "n = 2")
    );
}
