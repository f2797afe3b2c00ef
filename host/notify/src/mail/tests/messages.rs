//! The headers and parts of messages.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::Attempt;
use crate::mail::message::build_message;

/// Builds a message of an attempt with the delivery's id `delivery-1`.
fn build(message: &Message, options: MailOptions, now: DateTime<Utc>) -> Vec<u8> {
    let recipient = recipient(Language::English);
    let text = write_mail(message, &recipient, now).unwrap();
    let attempt = Attempt {
        id: "delivery-1",
        message,
        now,
    };
    build_message(
        &server(options).options,
        &recipient.address,
        &text,
        &attempt,
    )
    .unwrap()
}

/// Returns the unfolded headers.
fn headers(message: &[u8]) -> BTreeMap<String, String> {
    let text = std::str::from_utf8(message).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let pairs = head
        .split("\r\n")
        .map(|line| line.split_once(": ").unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

const NAMES: [&str; 12] = [
    "Auto-Submitted",
    "Content-Type",
    "Date",
    "From",
    "In-Reply-To",
    "List-Id",
    "MIME-Version",
    "Message-ID",
    "References",
    "Subject",
    "To",
    "X-Auto-Response-Suppress",
];

/// Asserts that a message has exactly the expected headers, and lines that every relay takes.
fn assert_well_formed(message: &[u8]) {
    let names: Vec<String> = headers(message).into_keys().collect();
    assert_eq!(names, NAMES);
    assert!(message.is_ascii());
    let text = String::from_utf8_lossy(message);
    for line in text.split("\r\n") {
        assert!(!line.contains(['\r', '\n']), "{line:?}");
        assert!(line.len() <= 998, "{line:?}");
    }
}

#[test]
fn headers_are_those_of_a_notice() {
    let message = Message::Single(notice(NoticeKind::Expiring));
    let built = build(&message, valid_options(), december(7, 10, 0));
    assert_well_formed(&built);
    let headers = headers(&built);
    for (name, value) in [
        ("From", "Relation <notices@example.com>"),
        ("To", "noc@example.net"),
        (
            "Subject",
            "[relation] Contoso: connection to Webex expires in 3 days (9 Dec)",
        ),
        ("Date", "Mon, 07 Dec 2026 10:00:00 +0000"),
        ("Auto-Submitted", "auto-generated"),
        ("List-Id", "relation notices <notices.example.com>"),
        ("X-Auto-Response-Suppress", "All"),
    ] {
        assert_eq!(
            headers[name]
                .trim_matches('"')
                .replace("\"Relation\"", "Relation"),
            value
        );
    }
    assert!(headers["Content-Type"].starts_with("multipart/alternative"));
}

#[test]
fn message_id_is_the_same_in_every_attempt() {
    let message = Message::Single(notice(NoticeKind::Expiring));
    let first = headers(&build(&message, valid_options(), december(7, 10, 0)));
    let second = headers(&build(&message, valid_options(), december(8, 10, 0)));
    assert_eq!(first["Message-ID"], second["Message-ID"]);
    assert!(first["Message-ID"].ends_with("@example.com>"), "{first:?}");
    assert_ne!(first["Date"], second["Date"]);
}

#[test]
fn one_connection_is_one_thread() {
    let thread = |message: &Message| {
        let headers = headers(&build(message, valid_options(), december(7, 10, 0)));
        assert_eq!(headers["References"], headers["In-Reply-To"]);
        headers["References"].clone()
    };
    let expiring = thread(&Message::Single(notice(NoticeKind::Expiring)));
    let recovered = thread(&Message::Single(notice(NoticeKind::Recovered)));
    assert_eq!(expiring, recovered);
    let mut other = notice(NoticeKind::Expiring);
    other.record = "65f0a1b2c3d4e5f601234568".to_owned();
    assert_ne!(expiring, thread(&Message::Single(other)));
    assert_ne!(expiring, thread(&Message::Digest(digest(Vec::new(), 1))));
}

#[test]
fn reply_to_is_that_of_the_settings() {
    let options = MailOptions {
        reply_to: Some("Help <help@bücher.example>".to_owned()),
        from: "\"Müller, Relation\" <notices@bücher.example>".to_owned(),
        ..valid_options()
    };
    let message = Message::Single(notice(NoticeKind::Test));
    let headers = headers(&build(&message, options, december(7, 10, 0)));
    assert!(
        headers["Reply-To"].contains("<help@xn--bcher-kva.example>"),
        "{headers:?}"
    );
    assert!(
        headers["From"].contains("<notices@xn--bcher-kva.example>"),
        "{headers:?}"
    );
    assert!(
        headers["Message-ID"].ends_with("@xn--bcher-kva.example>"),
        "{headers:?}"
    );
}

#[test]
fn long_domains_keep_message_ids_whole() {
    let domain = format!("{}example.com", "a-rather-long-label.".repeat(8));
    let options = MailOptions {
        from: format!("notices@{domain}"),
        ..valid_options()
    };
    let message = Message::Single(notice(NoticeKind::Test));
    let built = build(&message, options, december(7, 10, 0));
    assert_well_formed(&built);
    assert!(
        headers(&built)["References"]
            .trim()
            .ends_with(&format!("@{domain}>"))
    );
}

#[test]
fn hostile_names_add_no_header() {
    let emoji = "👩🏽‍💻".repeat(300);
    let long = "x".repeat(1024);
    for name in [
        "Contoso\r\nBcc: victim@evil.example\r\n\r\n<h1>Body</h1>",
        "Contoso\nX-Evil: 1",
        "Contoso\rX-Evil: 1",
        "Contoso\u{2028}X-Evil: 1\u{85}X-Evil: 2\u{0}",
        "\u{202e}\u{2066}osotnoC",
        "=?utf-8?q?=0d=0aBcc:_victim@evil.example?=",
        "\r\n.\r\nMAIL FROM:<a@evil.example>",
        &emoji,
        &long,
        "",
    ] {
        let mut hostile = notice(NoticeKind::Expiring);
        (hostile.customer, hostile.node) = (name.to_owned(), name.to_owned());
        (hostile.text, hostile.grant) = (name.to_owned(), name.to_owned());
        let mut several = digest(vec![hostile.clone()], 0);
        several.node = name.to_owned();
        for message in [Message::Single(hostile), Message::Digest(several)] {
            let built = build(&message, valid_options(), december(7, 10, 0));
            assert_well_formed(&built);
            assert!(built.len() < 40_000, "{}", built.len());
        }
    }
}

proptest! {
    #[test]
    fn any_name_makes_a_well_formed_message(name in any::<String>(), grant in any::<String>()) {
        let mut any = notice(NoticeKind::Expired);
        (any.customer, any.node, any.text, any.grant) = (name.clone(), name.clone(), name, grant);
        assert_well_formed(&build(&Message::Single(any), valid_options(), december(7, 10, 0)));
    }
}
