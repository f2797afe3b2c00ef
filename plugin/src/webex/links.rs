//! `Link` headers (RFC 8288): where a list goes on.
//!
//! Only the target of `rel="next"` is of interest, and as it was written: Webex's addresses are
//! opaque, and some have parameters without a value. The libraries at hand take the query apart
//! and refuse such parameters, or give the address rewritten, or give up a whole header for one
//! link that they do not understand; so this is the standard's own algorithm (appendix B.2).

use http::HeaderMap;
use http::header::LINK;

/// The target of the first link with the relation `next`, which may be a relative reference.
///
/// A link with an `anchor` is about something else than the answer that it came with, and does not
/// count. What follows a syntax error in one header is not looked at.
pub(super) fn next(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .find_map(next_in)
}

fn next_in(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        let (target, parameters) = rest.strip_prefix('<')?.split_once('>')?;
        let link = Parameters::read(parameters);
        let relations = link.relation.as_deref().unwrap_or_default();
        let is_next = relations
            .split_ascii_whitespace()
            .any(|relation| relation.eq_ignore_ascii_case("next"));
        if is_next && !link.anchored {
            return Some(target.trim());
        }
        rest = link.rest;
    }
}

/// What is said of one link, and what follows it in the header.
struct Parameters<'a> {
    // The first `rel`; the standard has any further one ignored.
    relation: Option<String>,
    anchored: bool,
    rest: &'a str,
}

impl<'a> Parameters<'a> {
    fn read(text: &'a str) -> Self {
        let mut read = Self {
            relation: None,
            anchored: false,
            rest: text,
        };
        loop {
            let text = trim(read.rest);
            let Some(text) = text.strip_prefix(';') else {
                read.rest = text;
                return read;
            };
            let text = trim(text);
            let end = text.find(['=', ';', ',', ' ', '\t']).unwrap_or(text.len());
            let (name, text) = text.split_at(end);
            let text = trim(text);
            let (value, text) = match text.strip_prefix('=') {
                Some(text) => value(trim(text)),
                None => (String::new(), text),
            };
            if name.eq_ignore_ascii_case("rel") && read.relation.is_none() {
                read.relation = Some(value);
            } else if name.eq_ignore_ascii_case("anchor") {
                read.anchored = true;
            }
            read.rest = text;
        }
    }
}

/// A quoted string or a token, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let (token, rest) = text.split_at(end);
        return (token.trim_end().to_owned(), rest);
    };
    let mut value = String::new();
    let mut letters = quoted.chars();
    loop {
        match letters.next() {
            None | Some('"') => return (value, letters.as_str()),
            Some('\\') => value.extend(letters.next()),
            Some(letter) => value.push(letter),
        }
    }
}

fn trim(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_link_is_found_as_it_was_written() {
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
        ] {
            assert_eq!(next_in(header), Some(expected), "{header}");
        }
    }

    #[test]
    fn what_is_no_next_link_is_not_taken_for_one() {
        for header in [
            "",
            "https://a; rel=next",
            "<https://a; rel=next",
            "<a>",
            "<a>; rel=prev; rel=next",
            "<a>; rel=nextish",
            "<a>; title=\"rel=next\"",
            "<a>; rel=next; anchor=\"/other\"",
            "<a>; rel=\"",
        ] {
            assert_eq!(next_in(header), None, "{header}");
        }
    }

    #[test]
    fn every_link_header_of_an_answer_is_looked_at() {
        let mut headers = HeaderMap::new();
        headers.append(LINK, HeaderValue::from_static("<a>; rel=prev"));
        headers.append(LINK, HeaderValue::from_static("<b>; rel=next"));
        assert_eq!(next(&headers), Some("b"));
    }

    proptest! {
        #[test]
        fn any_header_is_survived(header in "[ -~]{0,80}") {
            let _ = next_in(&header);
        }

        #[test]
        fn a_quoted_parameter_cannot_hide_the_link_behind_it(title in "[ -~]{0,20}") {
            let title = title.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("<a>; title=\"{title}\"; rel=prev, <b>; rel=next");
            prop_assert_eq!(next_in(&header), Some("b"));
        }
    }
}
