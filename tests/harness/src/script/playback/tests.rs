//! Order, matching, and the reported differences.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::redaction::digest;
use crate::script::RequestPattern;

fn sent(method: &str, url: &str, content_type: &str, body: &str) -> Request {
    let request = http::Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", content_type);
    Request::from_http(&request.body(Bytes::from(body.to_owned())).unwrap())
}

fn get(path: &str) -> Request {
    sent("GET", &format!("https://host{path}"), "", "")
}

fn posted(body: &Value) -> Request {
    sent(
        "POST",
        "https://host/a",
        "application/json",
        &body.to_string(),
    )
}

fn step(path: &str, status: u16) -> Step {
    let request = RequestPattern::get(format!("https://host{path}"));
    Step::new(request, ScriptedResponse::status(status)).named(path)
}

/// Returns the status of the response, or the error as text.
fn play(playback: &mut Playback, request: &Request) -> Result<u16, String> {
    let response = playback.respond(request, &Redactor::default());
    response
        .map(|response| response.status)
        .map_err(|unexpected| unexpected.to_string())
}

/// Returns the differences of a request from a pattern.
fn differs(pattern: &RequestPattern, request: &Request) -> Vec<String> {
    let mismatches = pattern.mismatches(request, &Redactor::default());
    mismatches.iter().map(ToString::to_string).collect()
}

#[test]
fn steps_are_ordered_and_groups_unordered() {
    let script = Script::default()
        .then(step("/first", 201))
        .then_in_any_order([step("/a", 202), step("/b", 203)])
        .then(step("/last", 204));
    let mut playback = Playback::new(script);
    let early = play(&mut playback, &get("/b")).unwrap_err();
    let expected = "the script expects no GET https://host/b\n  \
                    nearest: /b, whose turn comes after steps that were not used yet";
    assert_eq!(early, expected);
    let statuses = ["/first", "/b", "/a", "/last"].map(|path| play(&mut playback, &get(path)));
    assert_eq!(statuses, [201, 203, 202, 204].map(Ok));
    let again = play(&mut playback, &get("/last")).unwrap_err();
    assert!(
        again.ends_with("nearest: /last, which was used 1 of 1 times already"),
        "{again}"
    );
}

#[test]
fn current_step_takes_precedence_over_always() {
    let any_time = RequestPattern::get("https://host/a");
    let script = Script::default()
        .then(step("/a", 500))
        .always(any_time, ScriptedResponse::status(200));
    let mut playback = Playback::new(script);
    let statuses = [(); 3].map(|()| play(&mut playback, &get("/a")));
    assert_eq!(statuses, [500, 200, 200].map(Ok));
    assert!(playback.verify().is_ok());
}

#[test]
fn a_script_without_steps_says_so() {
    let mut playback = Playback::new(Script::default());
    let text = play(&mut playback, &get("/a?x=1")).unwrap_err();
    assert_eq!(
        text,
        "the script expects no GET https://host/a\n    query x: 1\n  it has no steps"
    );
    assert_eq!(playback.verify().unwrap_err().unexpected.len(), 1);
}

#[test]
fn json_is_compared_down_to_the_field() {
    let pattern = RequestPattern::post("https://host/a").json(json!({
        "name": "Acme", "id": "*", "items": [{ "n": 1 }],
    }));
    assert!(
        differs(
            &pattern,
            &posted(&json!({ "name": "Acme", "id": 7, "items": [{ "n": 1 }] }))
        )
        .is_empty()
    );
    assert_eq!(
        differs(
            &pattern,
            &posted(&json!({ "name": "Acme", "items": [{ "n": 2 }], "more": true }))
        ),
        [
            "    json.id\n      - \"*\"\n",
            "    json.items[0].n\n      - 1\n      + 2\n",
            "    json.more\n      + true\n",
        ]
    );
    let open = RequestPattern::post("https://host/a").json(json!({ "name": "Acme", "*": "*" }));
    assert!(differs(&open, &posted(&json!({ "name": "Acme", "more": true }))).is_empty());
    assert_eq!(
        differs(&open, &get("/a")),
        [
            "    method\n      - POST\n      + GET\n",
            "    body\n      - JSON\n      + none\n",
        ]
    );
}

#[test]
fn extra_missing_and_duplicate_form_fields_differ() {
    let form = |body: &str| {
        sent(
            "POST",
            "https://host/a",
            "application/x-www-form-urlencoded",
            body,
        )
    };
    let pattern = RequestPattern::post("https://host/a")
        .form("a", "1")
        .form("b", "*");
    assert!(differs(&pattern, &form("b=x&a=1")).is_empty());
    assert_eq!(
        differs(&pattern, &form("a=1&a=1&c=3")),
        [
            "    form b\n      - *\n",
            "    form a\n      + 1\n",
            "    form c\n      + 3\n"
        ]
    );
}

#[test]
fn secret_matches_as_clear_text_or_digest() {
    let token = posted(&json!({ "access_token": "clear-token-1" }));
    let pattern =
        |value: &str| RequestPattern::post("https://host/a").json(json!({ "access_token": value }));
    assert!(differs(&pattern("clear-token-1"), &token).is_empty());
    assert!(differs(&pattern(&digest("clear-token-1")), &token).is_empty());
    let text = differs(&pattern("clear-token-2"), &token).concat();
    assert!(!text.contains("clear-token"), "{text}");
    assert!(text.contains(&digest("clear-token-2")), "{text}");
}
