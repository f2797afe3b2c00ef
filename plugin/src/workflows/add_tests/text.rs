//! The spelling of names, hierarchies and tokens: spaces, Unicode and invisible characters.

use super::*;

#[test]
fn name_with_hidden_characters_is_refused() {
    let platform = MemoryPlatform::new();
    for (fields, field) in [
        (json!({"name": "Con\u{202e}toso"}), "name"),
        (json!({"name": "Con\u{200b}toso"}), "name"),
        (
            json!({"shadow": [{"name": "Con\u{2066}toso"}]}),
            "shadow[0].name",
        ),
        (
            json!({"email_domain": "con\u{ad}toso.example"}),
            "email_domain",
        ),
    ] {
        assert_eq!(
            field_errors(add(&platform, request(fields)))[0].field,
            field
        );
    }
    let hidden = Request {
        hierarchy: "sys.Pro\u{200b}vider".to_owned(),
        ..request(json!({}))
    };
    assert_eq!(field_errors(add(&platform, hidden))[0].field, "hierarchy");
    assert_eq!(platform.documents(), []);
}

#[test]
fn unicode_spellings_of_one_name_are_duplicates() {
    for (first, second) in [("Caf\u{e9}", "Cafe\u{301}"), ("Cafe\u{301}", "Caf\u{e9}")] {
        let platform = MemoryPlatform::new();
        add(&platform, request(json!({ "name": first }))).unwrap();
        assert_eq!(Record::load(&platform, PKID).unwrap().name(), first);
        let error = &field_errors(add(&platform, other(request(json!({ "name": second })))))[0];
        assert_eq!(error.field, "name");
        assert!(error.message.contains(PKID), "{error:?}");
    }
}

#[test]
fn name_key_of_older_release_matches_any_spelling() {
    for stored in ["Caf\u{e9}", "Cafe\u{301}"] {
        let platform = MemoryPlatform::new();
        add(&platform, request(json!({ "name": stored }))).unwrap();
        let mut document = platform.get(&Reference::record(PKID)).unwrap().unwrap();
        for key in document.keys.iter_mut().filter(|key| key.name == key::NAME) {
            stored.clone_into(&mut key.value);
        }
        platform
            .commit(Vec::new(), vec![Change::Put(document)])
            .unwrap();
        for name in ["Caf\u{e9}", "Cafe\u{301}"] {
            let again = other(request(json!({ "name": name })));
            assert_eq!(field_errors(add(&platform, again))[0].field, "name");
        }
    }
}

#[test]
fn a_hierarchy_is_trimmed() {
    let platform = MemoryPlatform::new();
    let spaced = Request {
        hierarchy: format!(" \u{feff}{}\n", HIERARCHY.replace('.', " . ")),
        ..request(json!({}))
    };
    let added = add(&platform, spaced).unwrap();
    assert_eq!(added.connection.hierarchy, HIERARCHY);
    assert_eq!(added.connection.name, "Acme");
}

#[test]
fn quoted_or_multiline_tokens_are_refused() {
    let platform = MemoryPlatform::new();
    for (token, words) in [
        (format!("\"{ACCESS_TOKEN}\""), "quotes"),
        (format!("{ACCESS_TOKEN}\n{REFRESH_TOKEN}"), "several lines"),
        (format!("Bearer {ACCESS_TOKEN}"), "Bearer"),
    ] {
        let fields = json!({
            "token": token, "token_repeat": token,
            "refresh_token": REFRESH_TOKEN, "refresh_token_repeat": REFRESH_TOKEN,
        });
        let errors = field_errors(add(&platform, request(fields)));
        assert_eq!(errors[0].field, "token");
        assert!(errors[0].message.contains(words), "{errors:?}");
        assert!(!format!("{errors:?}").contains(ACCESS_TOKEN));
    }
}

#[test]
fn a_byte_order_mark_before_any_field_is_dropped() {
    let platform = webex();
    let mark = |text: &str| format!("\u{feff}{text}\r\n");
    let fields = json!({
        "name": mark("Acme"), "account_number": mark(ORGANIZATION),
        "token": mark(ACCESS_TOKEN), "token_repeat": mark(ACCESS_TOKEN),
        "refresh_token": mark(REFRESH_TOKEN), "refresh_token_repeat": REFRESH_TOKEN,
        "https_proxy": mark("http://bob:hunter2@proxy.example:3128"),
    });
    let request = Request {
        fields: Secret::new(mark(&fields.to_string())),
        ..request(json!({}))
    };
    assert_eq!(add(&platform, request).unwrap().connection.name, "Acme");
    let token = platform.secret(&Reference::record(PKID), secret::ACCESS_TOKEN);
    assert_eq!(token.unwrap().expose(), ACCESS_TOKEN);
}
