//! Tests of `Link` headers: which links are followed, what ends a list, and what leaves its end
//! unknown.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn read(header: &[u8]) -> NextLink<'_> {
    let mut link = NextLink::default();
    link.add_header(header);
    link
}

#[test]
fn next_link_is_found_as_it_was_written() {
    for (header, expected) in [
        (
            "<https://a/v1/x?max=5&cursor>; rel=\"next\"",
            "https://a/v1/x?max=5&cursor",
        ),
        ("<https://a/x?c=1,2;3>; rel=next", "https://a/x?c=1,2;3"),
        ("</x?after==>;REL=\"prev NEXT\"", "/x?after=="),
        ("<a>; rel=\"first\", <b>; rel=\"next\"", "b"),
        (
            "<a>; title=\"x, <y>; rel=\\\"next\\\"\"; rel=prev , <b>;rel = next",
            "b",
        ),
        (", ,<a>;rel=next;rel=prev", "a"),
        ("<a>; flag; rel=\"next\"; other", "a"),
        ("<a>; type=text/html; rel=next;", "a"),
        ("<a>; rel=next; title=\"n\u{e4}chste\"", "a"),
        ("<a>; rel=next, <a>; rel=next", "a"),
        ("<a>; rel=next; rev=next", "a"),
    ] {
        let expected = NextLink {
            target: Some(expected),
            error: None,
        };
        assert_eq!(read(header.as_bytes()), expected, "{header}");
    }
}

#[test]
fn list_ends_only_with_a_header_that_was_understood() {
    for header in [
        "",
        " , ,",
        "<a>; rel=prev",
        "<a>; rel=\"first\", <b>; rel=\"prev last\"",
        "<a?cursor=next>; rel=prev; title=\"next to last\"",
        "<https://a/rules>; rel=deprecation; type=text; hreflang=ne; foo=\"\"",
        "<#x>; rel=self; anchor=\"/other\"",
    ] {
        assert_eq!(read(header.as_bytes()), NextLink::default(), "{header}");
    }
}

#[test]
fn unreadable_header_is_not_the_end() {
    for header in [
        "https://a; rel=next",
        "rel=\"next\"; <https://a>",
        "<https://a; rel=next",
        "<https://a; rel=\"next\", <b>; rel=\"prev\"",
        "<https://a; rel=next, <b>; rel=prev",
        "<https://a; rel=next>",
        "<a>",
        "<a>; rel",
        "<a>; rel=",
        "<a>; rel=\"\"",
        "<a>; rel=\"",
        "<a>; rel=\"next",
        "<a>; rel='next'",
        "<a>; rel='next prev'",
        "<a>; rel=\u{201c}next\u{201d}",
        "<a> rel=next",
        "<a>, rel=next",
        "<a>; rel: next",
        "<a?name=\u{e9}>; rel=\"next\"",
        "<a b>; rel=next",
        "{\"next\": \"https://a\"}",
        "next",
    ] {
        let found = read(header.as_bytes());
        assert_eq!(found.error, Some(LinkError::Syntax), "{header}");
        assert_eq!(found.target, None, "{header}");
    }
    assert_eq!(read(b"\xff\xfe").error, Some(LinkError::Syntax));
}

#[test]
fn something_like_a_next_link_is_not_the_end() {
    for header in [
        "<a>; rel=prev; rel=next",
        "<a>; rel=nextish",
        "<a>; rel=nxet",
        "<a>; rel=ne",
        "<a>; rel=\"https://example.com/rels/next\"",
        "<a>; rel=next; anchor=\"/other\"",
        "<a>; rel=prev; next",
        "<a>; rel=page; kind=next",
    ] {
        let found = read(header.as_bytes());
        assert_eq!(found.error, Some(LinkError::Similar), "{header}");
        assert_eq!(found.target, None, "{header}");
    }
}

#[test]
fn every_link_header_of_a_response_is_read() {
    let parse_all = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, HeaderValue::from_static(value));
        }
        let read = NextLink::parse(&headers);
        (read.target.map(str::to_owned), read.error)
    };
    let (b, syntax) = (Some("b".to_owned()), Some(LinkError::Syntax));
    assert_eq!(parse_all(&[]), (None, None));
    assert_eq!(
        parse_all(&["<a>; rel=prev", "<b>; rel=next"]),
        (b.clone(), None)
    );
    assert_eq!(
        parse_all(&["<a>; rel=prev", "<b; rel=next"]),
        (None, syntax)
    );
    assert_eq!(
        parse_all(&["nonsense", "<b>; rel=next"]),
        (b.clone(), syntax)
    );
    let two = parse_all(&["<b>; rel=next", "<c>; rel=next"]);
    assert_eq!(two, (b, Some(LinkError::Ambiguous)));
}

/// Returns whether a header names the next page outside of titles, which the headers of these tests do not
/// have.
fn mentions_next(header: &[u8]) -> bool {
    header
        .to_ascii_lowercase()
        .windows(4)
        .any(|four| four == b"next")
}

/// Returns a valid header with a link to the next page among others.
fn any_header_with_next() -> impl Strategy<Value = Vec<u8>> {
    let links = prop::collection::vec(
        prop_oneof![
            Just("<https://a/1>; rel=\"prev\""),
            Just("</x?c=1,2;3>; rel=first"),
            Just("<b>; type=text/html; rel=\"last\""),
        ],
        0..3,
    );
    let next = prop_oneof![
        Just("<https://a/n?c=1>; rel=\"next\""),
        Just("<n>;rel=next"),
        Just("<n>; foo; rel = \"up next\""),
    ];
    (links, next, any::<prop::sample::Index>()).prop_map(|(mut links, next, at)| {
        links.insert(at.index(links.len() + 1), next);
        links.join(", ").into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_that_name_next_are_not_an_end(header in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut header = header;
        let _ = read(&header);
        header.extend(b"rel=next");
        prop_assert_ne!(read(&header), NextLink::default());
    }

    #[test]
    fn damaged_next_link_is_not_an_end(
        header in any_header_with_next(),
        at in any::<prop::sample::Index>(),
        damage in prop_oneof![Just(None), any::<u8>().prop_map(Some)],
        replaces: bool,
    ) {
        let mut damaged = header.clone();
        let at = at.index(damaged.len());
        match damage {
            None => drop(damaged.remove(at)),
            Some(byte) if replaces => damaged[at] = byte,
            Some(byte) => damaged.insert(at, byte),
        }
        prop_assert_ne!(
            read(&damaged), NextLink::default(), "{}", String::from_utf8_lossy(&damaged)
        );
    }

    #[test]
    fn header_cut_inside_a_link_is_not_an_end(
        header in any_header_with_next(),
        at in any::<prop::sample::Index>(),
    ) {
        let cut = &header[..at.index(header.len())];
        if mentions_next(cut) {
            prop_assert_ne!(read(cut), NextLink::default());
        }
    }

    #[test]
    fn quoted_parameter_cannot_hide_the_link_after_it(title in "[ -~]{0,20}") {
        let title = title.replace('\\', "\\\\").replace('"', "\\\"");
        let header = format!("<a>; title=\"{title}\"; rel=prev, <b>; rel=next");
        prop_assert_eq!(read(header.as_bytes()), NextLink { target: Some("b"), error: None });
    }
}
