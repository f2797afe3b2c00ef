//! Splits the JSON of a list into its entries, so that each can be parsed on its own.
//!
//! An unreadable entry must not prevent the import of the others. So this parser looks only at
//! brackets and quotes. It accepts lone surrogates, numbers of any length, control characters,
//! bytes that are not UTF-8, and any depth of nesting. `serde_json`'s `RawValue` refuses the
//! complete list for several of these.

use std::fmt;

use serde::de::IgnoredAny;

use crate::text::strip_byte_order_mark;

/// The reason why a body is not a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListError {
    /// The body is not JSON from this position on.
    Syntax(Position),
    /// The body ends before it is complete; its length in bytes.
    Cut(usize),
    /// The body is JSON, but not an object.
    NotAnObject,
    /// The object has no array of the list's name.
    NoItems,
    /// The object has several members of the list's name.
    SeveralItems,
}

/// A position in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    line: usize,
    // In bytes.
    column: usize,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(Position { line, column }) => write!(
                f,
                "the response is not valid JSON at line {line}, column {column}"
            ),
            Self::Cut(bytes) => write!(
                f,
                "the response is not valid JSON: it ends after {bytes} bytes, before it is \
                 complete"
            ),
            Self::NotAnObject => f.write_str("the response is not a JSON object"),
            Self::NoItems => f.write_str("the response has no list of items"),
            Self::SeveralItems => f.write_str("the response has several lists of items"),
        }
    }
}

impl std::error::Error for ListError {}

/// Splits the array `items` of an object into the texts of its entries.
///
/// # Errors
/// The body cannot be split, or has no such array.
pub(super) fn split_entries<'a>(body: &'a [u8], items: &str) -> Result<Vec<&'a [u8]>, ListError> {
    let body = strip_byte_order_mark(body);
    let mut scanner = Scanner { text: body, at: 0 };
    scanner.skip_blanks();
    if scanner.peek() != Some(b'{') {
        return Err(match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => ListError::NotAnObject,
            Err(_) => scanner.error_here(),
        });
    }
    let (mut list, mut count) = (None, 0_u32);
    scanner.read_members(|scanner, name| {
        if !is_named(name, items) {
            return scanner.read_value().map(drop);
        }
        count = count.saturating_add(1);
        list = match scanner.peek() {
            Some(b'[') => Some(scanner.read_elements()?),
            _ => {
                scanner.read_value()?;
                None
            }
        };
        Ok(())
    })?;
    scanner.expect_end()?;
    if count > 1 {
        return Err(ListError::SeveralItems);
    }
    list.ok_or(ListError::NoItems)
}

/// Returns the number that `path` leads to, from member to member.
pub(super) fn read_number(body: &[u8], path: &[&str]) -> Option<u64> {
    let (name, rest) = path.split_first()?;
    let mut found = None;
    let body = strip_byte_order_mark(body);
    // Errors after the member do not matter.
    let _ = Scanner { text: body, at: 0 }.visit_members(|member, value| {
        if found.is_none() && is_named(member, name) {
            found = match rest {
                [] => serde_json::from_slice(value).ok(),
                rest => read_number(value, rest),
            };
        }
    });
    found
}

/// Returns the first text member `name` of an entry that may be unreadable elsewhere.
pub(super) fn read_text_member(entry: &[u8], name: &str) -> Option<String> {
    let mut found = None;
    // Errors after the member do not matter.
    let _ = Scanner { text: entry, at: 0 }.visit_members(|member, value| {
        if found.is_none() && is_named(member, name) {
            found = serde_json::from_slice(value).ok();
        }
    });
    found
}

/// Rebuilds the JSON object in `body` without the members whose values cannot be parsed. `None` when
/// the body cannot be split into members.
pub(super) fn keep_readable_members(body: &[u8]) -> Option<Vec<u8>> {
    let body = strip_byte_order_mark(body);
    let mut scanner = Scanner { text: body, at: 0 };
    scanner.skip_blanks();
    let mut kept = Vec::new();
    let divided = scanner.visit_members(|name, value| {
        if serde_json::from_slice::<serde_json::Value>(value).is_ok() {
            kept.push([name, b":", value].concat());
        }
    });
    divided.and_then(|()| scanner.expect_end()).ok()?;
    Some([b"{".as_slice(), &kept.join(b",".as_slice()), b"}"].concat())
}

fn is_named(member: &[u8], name: &str) -> bool {
    serde_json::from_slice::<String>(member).is_ok_and(|member| member == name)
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn error_here(&self) -> ListError {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        if before.len() == self.text.len() {
            return ListError::Cut(self.text.len());
        }
        let lines = before.split(|byte| *byte == b'\n');
        let column = lines.clone().next_back().map_or(0, <[u8]>::len);
        ListError::Syntax(Position {
            line: lines.count(),
            column: column + 1,
        })
    }

    fn expect(&mut self, byte: u8) -> Result<(), ListError> {
        self.skip_blanks();
        if self.peek() != Some(byte) {
            return Err(self.error_here());
        }
        self.at += 1;
        Ok(())
    }

    /// Returns whether the next byte is `byte`; if so, skips it.
    fn accept(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Checks that only white space is left.
    fn expect_end(&mut self) -> Result<(), ListError> {
        self.skip_blanks();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error_here()),
        }
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Skips an object and calls `visit` with each member: its quoted name, and its value, as written.
    fn visit_members(
        &mut self,
        mut visit: impl FnMut(&'a [u8], &'a [u8]),
    ) -> Result<(), ListError> {
        self.read_members(|scanner, name| {
            visit(name, scanner.read_value()?);
            Ok(())
        })
    }

    /// Skips an object. Calls `read` with the quoted name of each member; `read` skips the member's value.
    fn read_members(
        &mut self,
        mut read: impl FnMut(&mut Self, &'a [u8]) -> Result<(), ListError>,
    ) -> Result<(), ListError> {
        self.expect(b'{')?;
        if self.accept(b'}') {
            return Ok(());
        }
        loop {
            self.skip_blanks();
            let name = self.read_string()?;
            self.expect(b':')?;
            self.skip_blanks();
            read(self, name)?;
            if !self.accept(b',') {
                return self.expect(b'}');
            }
        }
    }

    fn read_elements(&mut self) -> Result<Vec<&'a [u8]>, ListError> {
        let mut elements = Vec::new();
        self.expect(b'[')?;
        if self.accept(b']') {
            return Ok(elements);
        }
        loop {
            elements.push(self.read_value()?);
            if !self.accept(b',') {
                return self.expect(b']').map(|()| elements);
            }
        }
    }

    fn read_string(&mut self) -> Result<&'a [u8], ListError> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            match rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
                Some(length) if rest.get(length) == Some(&b'"') => {
                    self.at += length;
                    break;
                }
                Some(length) => self.at += length + 2,
                None => {
                    self.at = self.at.max(self.text.len());
                    return Err(self.error_here());
                }
            }
        }
        self.at += 1;
        Ok(self.since(start))
    }

    /// Skips a value of any kind and depth; brackets must match.
    fn read_value(&mut self) -> Result<&'a [u8], ListError> {
        self.skip_blanks();
        let start = self.at;
        // serde_json skips a valid object several times faster.
        if self.peek() == Some(b'{') {
            let rest = self.text.get(start..).unwrap_or_default();
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
            if let Some(Ok(_)) = values.next() {
                self.at += values.byte_offset();
                return Ok(self.since(start));
            }
        }
        let mut open = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.read_string()?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    open.push(bracket);
                    self.at += 1;
                }
                Some(bracket @ (b'}' | b']')) => {
                    let opening = if bracket == b'}' { b'{' } else { b'[' };
                    if open.pop() != Some(opening) {
                        return Err(self.error_here());
                    }
                    self.at += 1;
                }
                Some(b',' | b':') if !open.is_empty() => self.at += 1,
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b',' | b':') | None => return Err(self.error_here()),
                Some(_) => self.skip_scalar(),
            }
            if open.is_empty() {
                return Ok(self.since(start));
            }
        }
    }

    /// Skips a number or a word, up to the next delimiter.
    fn skip_scalar(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_delimiter = |byte: &u8| {
            matches!(
                byte,
                b'"' | b'{' | b'[' | b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r'
            )
        };
        self.at += rest.iter().position(is_delimiter).unwrap_or(rest.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn texts(body: &[u8]) -> Result<Vec<String>, ListError> {
        let entries = split_entries(body, "items")?;
        let text = |entry: &&[u8]| String::from_utf8_lossy(entry).into_owned();
        Ok(entries.iter().map(text).collect())
    }

    #[test]
    fn list_is_divided_into_its_entries() {
        let body =
            b"\xef\xbb\xbf { \"x\": {\"items\": [1]}, \"items\" : [ {\"a\":\"],{\\\"\"} ,\n2, \
            [ 3 , [4]],\"}\" , null ] , \"n\":-1e5}\r\n";
        assert_eq!(
            texts(body).unwrap(),
            ["{\"a\":\"],{\\\"\"}", "2", "[ 3 , [4]]", "\"}\"", "null"]
        );
        assert_eq!(texts(b"{\"items\":[ ]}").unwrap(), [""; 0]);
        assert_eq!(texts(b"{\"\\u0069tems\":[7]}").unwrap(), ["7"]);
    }

    #[test]
    fn unreadable_entries_do_not_hide_the_others() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for bad in [
            b"{\"id\":\"R1\",\"name\":\"cut \\ud83d\"}".as_slice(),
            b"{\"id\":\"R1\",\"n\":1e400}",
            b"{\"id\":\"R1\",\"name\":\"a\tb\x00\"}",
            b"{\"id\":\"R1\",\"name\":\"\xff\xc3\"}",
            b"{\"id\":\"R1\",\"name\":\"\\x41\"}",
            b"{\"id\":\"R1\",\"n\":NaN}",
            b"{\"id\":\"R1\",}",
            deep.as_bytes(),
        ] {
            let body = [b"{\"items\":[", bad, b",{\"id\":\"R2\"}]}"].concat();
            let found = split_entries(&body, "items").unwrap();
            assert_eq!(found, [bad, b"{\"id\":\"R2\"}"]);
            assert!(serde_json::from_slice::<Value>(bad).is_err());
        }
    }

    #[test]
    fn syntax_error_is_reported_with_its_position() {
        let at = |line, column| ListError::Syntax(Position { line, column });
        for (body, expected) in [
            ("", ListError::Cut(0)),
            ("{\"items\":[{\"id\":\"R1\"},", ListError::Cut(22)),
            ("{\"items\":[{\"id\":\"R1", ListError::Cut(19)),
            ("{\"items\":[{\"id\":\"R1\\", ListError::Cut(20)),
            ("{\"items\":[{\"id\":1]}", at(1, 18)),
            ("{\"items\":[1 2]}", at(1, 13)),
            ("{\"items\":\n[1,,2]}", at(2, 4)),
            ("{\"items\":[]} x", at(1, 14)),
            ("{items:[]}", at(1, 2)),
            ("<html></html>", at(1, 1)),
            ("5", ListError::NotAnObject),
            ("[]", ListError::NotAnObject),
            ("{}", ListError::NoItems),
            ("{\"items\":{}}", ListError::NoItems),
            ("{\"items\":[],\"items\":[]}", ListError::SeveralItems),
        ] {
            assert_eq!(
                split_entries(body.as_bytes(), "items"),
                Err(expected),
                "{body}"
            );
        }
    }

    #[test]
    fn unreadable_members_are_left_out() {
        let keep = |body: &[u8]| keep_readable_members(body);
        let body = b" {\"a\":1e400, \"b\" : \"x\", \"c\":\"\\ud83d\",\"d\":[1,{}]} ";
        assert_eq!(keep(body).unwrap(), b"{\"b\":\"x\",\"d\":[1,{}]}");
        assert_eq!(keep(b"{}").unwrap(), b"{}");
        for whole in [b"[1]".as_slice(), b"{\"a\":1", b"{\"a\":1} x", b""] {
            assert_eq!(keep(whole), None);
        }
    }

    #[test]
    fn id_of_an_unreadable_entry_is_found() {
        let id = |entry: &[u8]| read_text_member(entry, "id");
        assert_eq!(id(b"{\"n\":1e400, \"id\" : \"R1\"}").as_deref(), Some("R1"));
        assert_eq!(id(b"{\"x\":{\"id\":\"inner\"}}"), None);
        for entry in [b"{\"id\":\"\\ud83d\"}".as_slice(), b"{\"id\":5}", b"7", b""] {
            assert_eq!(id(entry), None);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn entries_are_those_that_serde_json_finds(
            items in prop::collection::vec(any_json(), 0..5),
            other in any_json(),
            pretty: bool,
        ) {
            let body = json!({"a": other.clone(), "items": items.clone(), "z": other});
            let text = match pretty {
                true => serde_json::to_string_pretty(&body),
                false => serde_json::to_string(&body),
            };
            let text = text.unwrap();
            let parse = |entry: &[u8]| serde_json::from_slice::<Value>(entry).unwrap();
            let expected = serde_json::from_str::<Value>(&text).unwrap();
            let found: Vec<Value> = split_entries(text.as_bytes(), "items").unwrap().into_iter().map(parse).collect();
            prop_assert_eq!(&Value::from(found), &expected["items"]);
            let cut = &text.as_bytes()[..text.len() - 1];
            prop_assert_eq!(split_entries(cut, "items"), Err(ListError::Cut(cut.len())));
        }

        #[test]
        fn any_bytes_are_parsed_without_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = split_entries(&body, "items");
            let _ = read_text_member(&body, "id");
        }

        #[test]
        fn any_brackets_are_parsed_without_panic(body in "[{}\\[\\]\",:\\\\ a]{0,40}") {
            let _ = split_entries(body.as_bytes(), "items");
            let whole = format!("{{\"items\":{body}}}");
            let _ = split_entries(whole.as_bytes(), "items");
        }
    }
}
