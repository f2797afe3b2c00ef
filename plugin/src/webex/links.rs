//! `Link` headers (RFC 8288): the next page of a list, or its end.
//!
//! Only the target of `rel="next"` is used, exactly as written: Webex's URLs are opaque, and some
//! have parameters without a value. Entries that are missing from a complete list count as removed
//! at Webex. So a list ends only if every `Link` header was understood: this parser implements the
//! standard's grammar, and reports everything else as an error. Existing libraries are lenient:
//! they skip a link that they cannot parse, or they parse the query and refuse parameters without a
//! value.

use http::HeaderMap;
use http::header::LINK;

/// The maximum edit distance from `next` at which a relation counts as a damaged one.
const MAX_SIMILAR_EDITS: usize = 2;

/// The reason why the `Link` headers of a response leave open whether the list continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkError {
    /// The header does not follow the grammar.
    #[error("the Link header of a page cannot be read")]
    Syntax,
    /// A link has something similar to `next`, in a position or a form with another meaning.
    #[error("the Link header of a page has something like a link to the next one, in another form")]
    Similar,
    /// Two links to the next page differ.
    #[error("the Link header of a page has two different links to the next one")]
    Ambiguous,
}

/// The next page according to the `Link` headers of a response.
///
/// Without target and error, the list ends. With both, the target was read, and another part of the
/// headers was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NextLink<'a> {
    /// The target of the first link with the relation `next`; it may be a relative reference.
    pub(super) target: Option<&'a str>,
    /// The first error.
    pub(super) error: Option<LinkError>,
}

impl<'a> NextLink<'a> {
    /// Parses all `Link` headers of a response.
    pub(super) fn parse(headers: &'a HeaderMap) -> Self {
        let mut link = Self::default();
        for header in headers.get_all(LINK) {
            link.add_header(header.as_bytes());
        }
        link
    }

    fn add_header(&mut self, header: &'a [u8]) {
        let mut rest = header;
        loop {
            rest = skip(rest, |byte| is_blank(byte) || byte == b',');
            if rest.is_empty() {
                return;
            }
            let Some((link, remainder)) = Link::parse(rest) else {
                self.error.get_or_insert(LinkError::Syntax);
                return;
            };
            self.merge(&link);
            rest = remainder;
        }
    }

    fn merge(&mut self, link: &Link<'a>) {
        match (link.is_next, self.target) {
            (true, None) => self.target = Some(link.target),
            (true, Some(target)) if target != link.target => {
                self.error.get_or_insert(LinkError::Ambiguous);
            }
            (true, Some(_)) => {}
            (false, _) if link.is_similar => {
                self.error.get_or_insert(LinkError::Similar);
            }
            (false, _) => {}
        }
    }
}

/// One link of a header.
struct Link<'a> {
    target: &'a str,
    // The link has the relation `next`, and its context is the response.
    is_next: bool,
    // The link does not have that relation, but something similar.
    is_similar: bool,
}

impl<'a> Link<'a> {
    /// Parses the link at the beginning of `text`; returns the link and the rest, which is empty or
    /// begins with a comma.
    fn parse(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let text = text.strip_prefix(b"<")?;
        let end = text.iter().position(|byte| *byte == b'>')?;
        let (target, mut rest) = text.split_at_checked(end)?;
        let target = str::from_utf8(target).ok()?.trim_matches([' ', '\t']);
        // Without its closing bracket, a link would run into the next one.
        let is_address = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'"');
        if !target.bytes().all(is_address) {
            return None;
        }
        rest = rest.get(1..)?;
        let mut relation: Option<String> = None;
        let (mut is_anchored, mut is_similar) = (false, false);
        loop {
            rest = skip(rest, is_blank);
            match rest.split_first() {
                None | Some((b',', _)) => break,
                Some((b';', remainder)) => rest = skip(remainder, is_blank),
                Some(_) => return None,
            }
            // A semicolon may be the last character.
            if rest.is_empty() || rest.starts_with(b",") || rest.starts_with(b";") {
                continue;
            }
            let (name, value, remainder) = parse_parameter(rest)?;
            rest = remainder;
            match (name.as_str(), value) {
                ("rel", Some(value)) if relation.is_none() => relation = Some(value),
                ("anchor", _) => is_anchored = true,
                ("title" | "title*", _) => {}
                (name, value) => {
                    is_similar |= names_next(name) || value.is_some_and(|it| names_next(&it));
                }
            }
        }
        // The standard requires a relation: without it, the link's purpose is unknown.
        let relation = relation.filter(|relation| !relation.trim().is_empty())?;
        let mut relations = relation.split_ascii_whitespace();
        let has_next = relations.any(|relation| relation.eq_ignore_ascii_case("next"));
        let is_next = has_next && !is_anchored;
        is_similar |= relation.split_ascii_whitespace().any(resembles_next);
        let link = Self {
            target,
            is_next,
            is_similar,
        };
        Some((link, rest))
    }
}

/// Parses a parameter at the beginning of `text`; returns its name in lower case, its value, and
/// the rest.
fn parse_parameter(text: &[u8]) -> Option<(String, Option<String>, &[u8])> {
    let (name, rest) = split_token(text, is_token_byte)?;
    let name = name.to_ascii_lowercase();
    let rest = skip(rest, is_blank);
    let Some(rest) = rest.strip_prefix(b"=") else {
        return Some((name, None, rest));
    };
    let rest = skip(rest, is_blank);
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let (value, rest) = parse_quoted_string(quoted)?;
        return Some((name, Some(value), rest));
    }
    // Older links have unquoted values such as `text/html`.
    let (value, rest) = split_token(rest, |byte| {
        byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'<' | b'>' | b'\\')
    })?;
    // Single quotes are not quotes in the grammar: a relation that contains one is unknown.
    match value.contains('\'') {
        true if name == "rel" => None,
        _ => Some((name, Some(value.to_owned()), rest)),
    }
}

/// Parses a quoted string after its first quote; returns its text and the bytes after its last
/// quote.
fn parse_quoted_string(text: &[u8]) -> Option<(String, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let (byte, remainder) = rest.split_first()?;
        rest = remainder;
        match byte {
            b'"' => return Some((String::from_utf8_lossy(&value).into_owned(), rest)),
            b'\\' => {
                let (escaped, remainder) = rest.split_first()?;
                value.push(*escaped);
                rest = remainder;
            }
            byte if byte.is_ascii_control() && *byte != b'\t' => return None,
            byte => value.push(*byte),
        }
    }
}

/// Splits off the characters at the beginning of `text` that satisfy `belongs`, at least one.
fn split_token(text: &[u8], belongs: impl Fn(u8) -> bool) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|byte| !belongs(*byte));
    let (token, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    let token = str::from_utf8(token).ok()?;
    (!token.is_empty()).then_some((token, rest))
}

fn names_next(text: &str) -> bool {
    text.to_ascii_lowercase().contains("next")
}

/// Returns whether a relation may be a damaged `next`, or describes the next page in other words.
fn resembles_next(relation: &str) -> bool {
    let relation = relation.to_ascii_lowercase();
    names_next(&relation)
        || "next".starts_with(&relation)
        || strsim::damerau_levenshtein(&relation, "next") <= MAX_SIMILAR_EDITS
}

fn skip(text: &[u8], is_skipped: impl Fn(u8) -> bool) -> &[u8] {
    let start = text.iter().position(|byte| !is_skipped(*byte));
    text.get(start.unwrap_or(text.len())..).unwrap_or_default()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns whether a byte is allowed in a token (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
