//! White space in names that the host itself compares, such as those of nodes: single spaces inside of a name only.
//!
//! Other white space looks the same as a space, so that two names with it would look the same. Names of records follow
//! the plugin's rules.

/// The object replacement character, which most fonts show as nothing.
const OBJECT_REPLACEMENT: char = '\u{fffc}';

/// Describes the first white space of a text that looks like other white space, as a fragment that follows the field's
/// name. `None` if all white space is single spaces between other characters.
pub fn find_white_space_error(text: &str) -> Option<String> {
    let mut before = None;
    for (place, c) in (1_usize..).zip(text.chars()) {
        if c == OBJECT_REPLACEMENT {
            return Some(format!(
                "has the character U+FFFC, which cannot be seen, in place {place}: type it again without"
            ));
        }
        if c.is_whitespace() && c != ' ' {
            let code = u32::from(c);
            return Some(format!(
                "has the character U+{code:04X}, which looks like a space, in place {place}: type a space"
            ));
        }
        if c == ' ' && before == Some(' ') {
            return Some(format!(
                "has more than one space in place {place}: type one"
            ));
        }
        before = Some(c);
    }
    let is_at_end = text.starts_with(' ') || text.ends_with(' ');
    is_at_end.then(|| "begins or ends with a space: type it again without".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_spaces_are_accepted() {
        for text in ["Acme", "Acme Ltd", "a b c", "東京 株式会社"] {
            assert_eq!(find_white_space_error(text), None, "{text:?}");
        }
        for space in [
            '\u{a0}', '\u{2009}', '\u{3000}', '\u{202f}', '\u{1680}', '\t',
        ] {
            let error = find_white_space_error(&format!("x{space}y")).unwrap_or_default();
            let code = format!("U+{:04X}", u32::from(space));
            assert!(
                error.contains(&code) && error.contains("place 2"),
                "{error}"
            );
        }
        for text in ["x  y", " x", "x ", "x\u{fffc}y"] {
            assert!(find_white_space_error(text).is_some(), "{text:?}");
        }
    }
}
