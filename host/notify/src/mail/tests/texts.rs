//! The texts of each kind in each language.

use chrono::FixedOffset;
use proptest::prelude::*;

use super::*;
use crate::mail::content::clean;

fn name_of(kind: NoticeKind) -> String {
    let json = serde_json::to_string(&kind).unwrap();
    json.trim_matches('"').replace('-', "_")
}

/// One snapshot for each kind and language: the unit in which texts are selected.
#[test]
fn every_kind_has_texts_in_every_language() {
    for kind in KINDS {
        for language in Language::ALL {
            let mut notice = notice(kind);
            match kind {
                NoticeKind::HostTrouble | NoticeKind::Endpoint => {
                    (notice.customer, notice.grant) = (String::new(), String::new());
                    (notice.expires, notice.link) = (None, None);
                }
                NoticeKind::Expired => notice.expires = Some(december(7, 8, 59)),
                NoticeKind::ImportFailed | NoticeKind::Recovered | NoticeKind::Test => {
                    notice.expires = None;
                }
                _ => {}
            }
            let message = Message::Single(notice);
            let written = write_mail(&message, &recipient(language), december(7, 10, 0)).unwrap();
            let name = format!("{}_{}", name_of(kind), language.code());
            insta::assert_snapshot!(name, format!("{}\n\n{}", written.subject, written.text));
        }
    }
}

#[test]
fn pages_have_one_button_and_load_nothing() {
    for language in Language::ALL {
        let code = language.code();
        let single = Message::Single(notice(NoticeKind::Expiring));
        let several = Message::Digest(digest(KINDS.map(notice).to_vec(), 37));
        for (name, message) in [("notice", single), ("digest", several)] {
            let written = write_mail(&message, &recipient(language), december(7, 10, 0)).unwrap();
            assert_eq!(written.html.matches("href=").count(), 1, "{name}");
            assert_eq!(written.html.matches("http").count(), 1, "{name}");
            for loading in ["src=", "url(", "<link", "<script", "@import", "<img"] {
                assert!(!written.html.contains(loading), "{name} {loading}");
            }
            insta::assert_snapshot!(format!("{name}_html_{code}"), written.html);
            if name == "digest" {
                let text = format!("{}\n\n{}", written.subject, written.text);
                insta::assert_snapshot!(format!("{name}_{code}"), text);
            }
        }
    }
}

#[test]
fn subject_says_customer_state_and_day() {
    let subject = write(notice(NoticeKind::Expiring)).subject;
    assert_eq!(
        subject,
        "[relation] Contoso: connection to Webex expires in 3 days (9 Dec)"
    );
}

#[test]
fn days_are_rounded_up() {
    for (now, expected) in [
        (december(9, 14, 29), "expires today (9 Dec)"),
        (december(9, 0, 0), "expires today (9 Dec)"),
        (december(8, 23, 59), "expires tomorrow (9 Dec)"),
        (december(8, 0, 0), "expires tomorrow (9 Dec)"),
        (december(7, 14, 30), "expires in 2 days (9 Dec)"),
        (december(7, 14, 29), "expires in 3 days (9 Dec)"),
        (december(2, 14, 30), "expires in 7 days (9 Dec)"),
        (december(9, 14, 30), "expires now (9 Dec)"),
        (december(20, 0, 0), "expires now (9 Dec)"),
    ] {
        let message = Message::Single(notice(NoticeKind::Expiring));
        let subject = write_mail(&message, &recipient(Language::English), now)
            .unwrap()
            .subject;
        assert!(subject.ends_with(expected), "{now}: {subject}");
    }
}

#[test]
fn times_are_those_of_the_zone() {
    let zone = Zone::new(|_| (FixedOffset::east_opt(10 * 3600).unwrap(), "AEST".to_owned()));
    let recipient = Recipient {
        zone,
        ..recipient(Language::English)
    };
    let message = Message::Single(notice(NoticeKind::Expiring));
    // 00:10 on the 10th there, and 14:10 on the 9th in UTC: the expiry is on the same day there.
    let written = write_mail(&message, &recipient, december(9, 14, 10)).unwrap();
    assert!(
        written.subject.ends_with("expires today (10 Dec)"),
        "{}",
        written.subject
    );
    assert!(
        written.text.contains("Thu, 10 Dec 2026, 00:30 AEST"),
        "{}",
        written.text
    );
    // 23:50 on the 9th there.
    let written = write_mail(&message, &recipient, december(9, 13, 50)).unwrap();
    assert!(
        written.subject.ends_with("expires tomorrow (10 Dec)"),
        "{}",
        written.subject
    );
}

#[test]
fn button_is_left_out_without_a_usable_link() {
    for link in [
        None,
        Some("javascript:alert(1)"),
        Some("https://admin:secret@relation.example.com/"),
        Some("mailto:a@example.com"),
    ] {
        let mut notice = notice(NoticeKind::Expiring);
        notice.link = link.map(|link| link.parse().unwrap());
        let written = write(notice);
        assert!(!written.html.contains("href"), "{}", written.html);
        assert!(
            !written.text.contains("Open the organization"),
            "{}",
            written.text
        );
    }
}

#[test]
fn wholesale_grants_are_named() {
    let mut notice = notice(NoticeKind::Expired);
    notice.grant = "wholesale-users".to_owned();
    let written = write(notice);
    let expected = "[relation] Contoso: connection to Webex (Wholesale users) has expired on 9 Dec";
    assert_eq!(written.subject, expected);
    assert!(
        written.text.contains("Consent: Wholesale users"),
        "{}",
        written.text
    );
}

#[test]
fn long_digest_is_cut_and_counted() {
    let notices = vec![notice(NoticeKind::Expired); 5000];
    let message = Message::Digest(digest(notices, 7));
    let written = write_mail(&message, &recipient(Language::English), december(7, 10, 0)).unwrap();
    assert_eq!(
        written.subject,
        "[relation] sys.hcs: 5007 notices about connections to Webex"
    );
    assert_eq!(written.text.matches("- Contoso").count(), 50);
    assert!(written.text.contains("and 4957 more"), "{}", written.text);
    assert!(written.html.contains("and 4957 more"));
}

#[test]
fn hostile_names_are_text_in_html() {
    let mut hostile = notice(NoticeKind::Expiring);
    hostile.customer = "<img src=x onerror=alert(1)>\"'&<!--".to_owned();
    hostile.node = "<script>alert(1)</script>".to_owned();
    hostile.text = "</td></table><a href=\"https://evil.example\">Connect</a>".to_owned();
    let several = Message::Digest(digest(vec![hostile.clone()], 0));
    let several = write_mail(&several, &recipient(Language::English), december(7, 10, 0)).unwrap();
    for html in [write(hostile).html, several.html] {
        for tag in [
            "<img",
            "<script",
            "<a href=\"https://evil",
            "<!--",
            "</table><",
        ] {
            assert!(!html.contains(tag), "{tag} in {html}");
        }
        assert_eq!(html.matches("<a ").count(), 1, "{html}");
    }
}

#[test]
fn clean_text_shows_what_it_contains() {
    for (text, cleaned) in [
        (
            "Contoso\r\nBcc: a@evil.example",
            "Contoso Bcc: a@evil.example",
        ),
        ("a\u{2028}b\u{85}c\td", "a b c d"),
        ("Con\u{202e}osot", "Con\u{fffd}osot"),
        (
            "a\u{2066}b\u{200f}c\u{feff}d\u{0}e\u{1b}",
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}",
        ),
        (
            "family 👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}",
            "family 👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}",
        ),
        ("  ", ""),
        ("Müller & Söhne", "Müller & Söhne"),
    ] {
        assert_eq!(clean(text, 100), cleaned);
    }
    assert_eq!(clean("abcdef", 6), "abcdef");
    assert_eq!(clean("abcdefg", 6), "abcde…");
    assert_eq!(clean("ab cdefg", 4), "ab …");
    assert_eq!(clean("abc d", 4), "abc…");
    assert_eq!(clean("abcd e", 4), "abc…");
}

proptest! {
    #[test]
    fn clean_text_is_one_bounded_line(text in any::<String>(), max in 1_usize..80) {
        let cleaned = clean(&text, max);
        prop_assert!(cleaned.chars().count() <= max);
        let is_harmful = |c: char| c.is_control() || ['\u{2028}', '\u{2029}', '\u{202e}'].contains(&c);
        let found = cleaned.chars().any(is_harmful);
        prop_assert!(!found);
        prop_assert_eq!(clean(&cleaned, max), cleaned);
    }
}
