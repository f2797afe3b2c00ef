//! `Link` headers (RFC 8288): where a list goes on, or that it ends.
//!
//! Only the target of `rel="next"` is of interest, and as it was written: Webex's addresses are
//! opaque, and some have parameters without a value. A list ends only where every `Link` header
//! was understood: what was not seen of a list counts as removed at Webex. So this parser reads
//! the standard's grammar, and reports everything else as a fault. The libraries at hand are
//! lenient: they leave out a link that they cannot read, which is then missed, or they take the
//! query apart and refuse parameters without a value.

use http::HeaderMap;
use http::header::LINK;

/// The furthest from `next` that a relation is taken for a damaged one, in edits.
const SIMILAR: usize = 2;

/// Why the `Link` headers of a response do not say for certain whether the list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkFault {
    /// The text does not follow the grammar.
    #[error("the Link header of a page cannot be read")]
    Syntax,
    /// A link says something like `next`, in a place or a form that has another meaning.
    #[error("the Link header of a page has something like a link to the next one, in another form")]
    Similar,
    /// Two links to the next page differ.
    #[error("the Link header of a page has two different links to the next one")]
    Ambiguous,
}

/// The next page according to the `Link` headers of a response.
///
/// Without a target and without a fault the list ends. With both, the target was read, and
/// another part of the headers was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NextLink<'a> {
    /// The target of the first link with the relation `next`: it may be a relative reference.
    pub(super) target: Option<&'a str>,
    /// The first fault.
    pub(super) fault: Option<LinkFault>,
}

impl<'a> NextLink<'a> {
    /// Reads every `Link` header of a response.
    pub(super) fn read(headers: &'a HeaderMap) -> Self {
        let mut read = Self::default();
        for header in headers.get_all(LINK) {
            read.add(header.as_bytes());
        }
        read
    }

    fn add(&mut self, header: &'a [u8]) {
        let mut rest = header;
        loop {
            rest = skip(rest, |byte| is_blank(byte) || byte == b',');
            if rest.is_empty() {
                return;
            }
            let Some((link, behind)) = Link::parse(rest) else {
                self.fault.get_or_insert(LinkFault::Syntax);
                return;
            };
            self.take(&link);
            rest = behind;
        }
    }

    fn take(&mut self, link: &Link<'a>) {
        match (link.is_next, self.target) {
            (true, None) => self.target = Some(link.target),
            (true, Some(target)) if target != link.target => {
                self.fault.get_or_insert(LinkFault::Ambiguous);
            }
            (true, Some(_)) => {}
            (false, _) if link.is_similar => {
                self.fault.get_or_insert(LinkFault::Similar);
            }
            (false, _) => {}
        }
    }
}

/// One link of a header.
struct Link<'a> {
    target: &'a str,
    // It has the relation `next`, to the response that it came with.
    is_next: bool,
    // It has not, but says something like it.
    is_similar: bool,
}

impl<'a> Link<'a> {
    /// Reads the link at the beginning of `text`, and what follows it: nothing, or a comma.
    fn parse(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let text = text.strip_prefix(b"<")?;
        let end = text.iter().position(|byte| *byte == b'>')?;
        let (target, mut rest) = text.split_at_checked(end)?;
        let target = str::from_utf8(target).ok()?.trim_matches([' ', '\t']);
        // Without its bracket a link would run into the next one.
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
                Some((b';', behind)) => rest = skip(behind, is_blank),
                Some(_) => return None,
            }
            // A semicolon may stand at the end.
            if rest.is_empty() || rest.starts_with(b",") || rest.starts_with(b";") {
                continue;
            }
            let (name, value, behind) = parameter(rest)?;
            rest = behind;
            match (name.as_str(), value) {
                ("rel", Some(value)) if relation.is_none() => relation = Some(value),
                ("anchor", _) => is_anchored = true,
                ("title" | "title*", _) => {}
                (name, value) => {
                    is_similar |= names_next(name) || value.is_some_and(|it| names_next(&it));
                }
            }
        }
        // The standard demands a relation: without one it is not known what the link is for.
        let relation = relation.filter(|relation| !relation.trim().is_empty())?;
        let mut relations = relation.split_ascii_whitespace();
        let has_next = relations.any(|relation| relation.eq_ignore_ascii_case("next"));
        let is_next = has_next && !is_anchored;
        is_similar |= relation.split_ascii_whitespace().any(is_like_next);
        let link = Self {
            target,
            is_next,
            is_similar,
        };
        Some((link, rest))
    }
}

/// A parameter at the beginning of `text`: its name in lower case, its value, and what follows.
fn parameter(text: &[u8]) -> Option<(String, Option<String>, &[u8])> {
    let (name, rest) = token(text, is_token)?;
    let name = name.to_ascii_lowercase();
    let rest = skip(rest, is_blank);
    let Some(rest) = rest.strip_prefix(b"=") else {
        return Some((name, None, rest));
    };
    let rest = skip(rest, is_blank);
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let (value, rest) = quoted_string(quoted)?;
        return Some((name, Some(value), rest));
    }
    // Older links have values such as `text/html` without quotes.
    let (value, rest) = token(rest, |byte| {
        byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'<' | b'>' | b'\\')
    })?;
    // Single quotes quote nothing: a relation with one is not known.
    match value.contains('\'') {
        true if name == "rel" => None,
        _ => Some((name, Some(value.to_owned()), rest)),
    }
}

/// Reads a quoted string after its first quote; returns its text and the bytes after its last quote.
fn quoted_string(text: &[u8]) -> Option<(String, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            b'"' => return Some((String::from_utf8_lossy(&value).into_owned(), rest)),
            b'\\' => {
                let (escaped, behind) = rest.split_first()?;
                value.push(*escaped);
                rest = behind;
            }
            byte if byte.is_ascii_control() && *byte != b'\t' => return None,
            byte => value.push(*byte),
        }
    }
}

/// The characters at the beginning of `text` that `belongs` holds for, at least one.
fn token(text: &[u8], belongs: impl Fn(u8) -> bool) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|byte| !belongs(*byte));
    let (token, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    let token = str::from_utf8(token).ok()?;
    (!token.is_empty()).then_some((token, rest))
}

fn names_next(text: &str) -> bool {
    text.to_ascii_lowercase().contains("next")
}

/// Whether a relation may be a damaged `next`, or means the next page in words of its own.
fn is_like_next(relation: &str) -> bool {
    let relation = relation.to_ascii_lowercase();
    names_next(&relation)
        || "next".starts_with(&relation)
        || strsim::damerau_levenshtein(&relation, "next") <= SIMILAR
}

fn skip(text: &[u8], is_skipped: impl Fn(u8) -> bool) -> &[u8] {
    let start = text.iter().position(|byte| !is_skipped(*byte));
    text.get(start.unwrap_or(text.len())..).unwrap_or_default()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
