//! Customer names: which characters are allowed, and how names are compared.
//!
//! Names that look the same must be equal, so names are compared in Unicode's normalization form C.
//! Characters that are invisible, or that reorder other characters, are refused, except where a
//! script needs them:
//!
//! - U+200C and U+200D, the joiners, after a virama and between two letters that join (RFC 5892, appendix A.1 and A.2),
//!   as in Persian and in Indic scripts;
//! - variation selectors after an ideograph, a symbol, or a letter that joins;
//! - signs that enclose the digits after them, such as U+0600, because they are visible.

use std::borrow::Cow;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::props::{
    CanonicalCombiningClass, DefaultIgnorableCodePoint, GeneralCategory, JoiningType,
    NoncharacterCodePoint, PrependedConcatenationMark, UnifiedIdeograph, VariationSelector,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Zero width non-joiner and zero width joiner.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];
/// A braille cell without dots: a letter that looks like a space.
const BLANK: char = '\u{2800}';

/// Converts a name to the form in which names are compared: Unicode's normalization form C.
pub fn normalize_name(name: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(name)
}

/// Lists every form in which a name may be stored, without repetition: composed, decomposed and as typed. Earlier
/// releases stored the typed form.
pub fn list_spellings(name: &str) -> Vec<String> {
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(name);
    let mut spellings: Vec<String> = Vec::with_capacity(1);
    for spelling in [normalize_name(name), decomposed, Cow::Borrowed(name)] {
        if !spellings.iter().any(|each| *each == spelling) {
            spellings.push(spelling.into_owned());
        }
    }
    spellings
}

/// Describes the first character of a text that is not visible as it is, as a fragment that follows
/// the field's name. `None` when all characters are visible.
pub fn find_hidden_character(text: &str) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let (index, hidden) = characters
        .iter()
        .enumerate()
        .find(|(index, _)| is_hidden(&characters, *index))?;
    let effect = if is_bidirectional(*hidden) {
        "changes the order in which the others are shown"
    } else {
        "cannot be seen"
    };
    Some(format!(
        "has the character U+{:04X}, which {effect}, in place {}: type it again without",
        u32::from(*hidden),
        index + 1
    ))
}

/// Removes the characters that are not visible as they are. If there are any, also removes all joiners and variation
/// selectors, whose visibility depends on their neighbors.
pub fn remove_hidden_characters(text: &str) -> Cow<'_, str> {
    if find_hidden_character(text).is_none() {
        return Cow::Borrowed(text);
    }
    let is_visible =
        |c: &char| !JOINERS.contains(c) && !is_variation_selector(*c) && !is_always_hidden(*c);
    Cow::Owned(text.chars().filter(is_visible).collect())
}

fn is_hidden(characters: &[char], index: usize) -> bool {
    let Some(&c) = characters.get(index) else {
        return false;
    };
    let (before, after) = characters.split_at(index);
    let after = after.get(1..).unwrap_or_default();
    if JOINERS.contains(&c) {
        return !is_joiner_allowed(before, after);
    }
    if is_variation_selector(c) {
        return !before.last().is_some_and(|base| has_variants(*base));
    }
    is_always_hidden(c)
}

fn is_variation_selector(c: char) -> bool {
    CodePointSetData::new::<VariationSelector>().contains(c)
}

fn is_always_hidden(c: char) -> bool {
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(c)
        || c == BLANK;
    ignorable
        || match category(c) {
            GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator => true,
            GeneralCategory::Format => {
                !CodePointSetData::new::<PrependedConcatenationMark>().contains(c)
            }
            _ => false,
        }
}

// A joiner is allowed after a virama, or between two letters of a script whose letters join.
fn is_joiner_allowed(before: &[char], after: &[char]) -> bool {
    let virama = before.last().is_some_and(|c| {
        CodePointMapData::<CanonicalCombiningClass>::new().get(*c)
            == CanonicalCombiningClass::Virama
    });
    let letter = |mut characters: Box<dyn Iterator<Item = &char> + '_>| {
        characters
            .find(|c| joining_type(**c) != JoiningType::Transparent)
            .is_some_and(|c| is_joining(*c))
    };
    virama || (letter(Box::new(before.iter().rev())) && letter(Box::new(after.iter())))
}

fn has_variants(base: char) -> bool {
    CodePointSetData::new::<UnifiedIdeograph>().contains(base)
        || is_joining(base)
        || (!base.is_ascii()
            && matches!(
                category(base),
                GeneralCategory::OtherSymbol | GeneralCategory::MathSymbol
            ))
}

fn is_joining(c: char) -> bool {
    !matches!(
        joining_type(c),
        JoiningType::NonJoining | JoiningType::Transparent | JoiningType::JoinCausing
    )
}

fn joining_type(c: char) -> JoiningType {
    CodePointMapData::<JoiningType>::new().get(c)
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_character_is_reported_with_code_and_place() {
        for hidden in [
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202e}',
            '\u{2028}',
            '\u{2029}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{61c}',
            '\u{ad}',
            '\u{34f}',
            '\u{115f}',
            '\u{3164}',
            '\u{ffa0}',
            '\u{feff}',
            '\u{fe0f}',
            '\u{180e}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{fffe}',
            '\u{2800}',
            '\u{7}',
            '\u{85}',
            '\u{fff9}',
        ] {
            let error = find_hidden_character(&format!("Con{hidden}toso")).unwrap_or_default();
            let code = format!("U+{:04X}", u32::from(hidden));
            assert!(error.contains(&code), "{code}: {error}");
            assert!(error.contains("place 4"), "{error}");
        }
        let reversed = find_hidden_character("Contoso\u{202e}gro").unwrap_or_default();
        assert!(reversed.contains("order"), "{reversed}");
    }

    #[test]
    fn hidden_characters_are_removed() {
        for (text, visible) in [
            ("Con\u{202e}to\u{200b}so", "Contoso"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("می\u{200c}خواهم\u{7}", "میخواهم"),
            ("\u{feff}", ""),
        ] {
            assert_eq!(remove_hidden_characters(text), visible, "{text:?}");
        }
    }

    #[test]
    fn names_of_every_script_are_accepted() {
        for name in [
            "Contoso, Ltd. & Söhne (Zürich) – №1",
            "می\u{200c}خواهم",
            "ساختار\u{200c}ها",
            "ක්\u{200d}රීඩා",
            "क्\u{200d}ष",
            "അവന്\u{200d}",
            "葛\u{e0100}城市",
            "❤\u{fe0f} Café",
            "ᠮᠣᠩᠭᠣᠯ",
            "東京 株式会社",
            "한국",
            "ไทย",
            "עברית",
            "\u{600}١٢٣",
            "Cafe\u{301}",
        ] {
            assert_eq!(find_hidden_character(name), None, "{name}");
        }
    }

    #[test]
    fn joiner_between_unjoined_letters_is_refused() {
        for name in [
            "علی\u{200c}",
            "\u{200c}علی",
            "علی\u{200c} ",
            "a\u{200d}b",
            "👨\u{200d}👩",
        ] {
            assert!(find_hidden_character(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn spellings_of_one_name_compare_equal() {
        assert_eq!(normalize_name("Cafe\u{301}"), "Café");
        assert_eq!(normalize_name("Café"), "Café");
        assert_eq!(normalize_name("\u{212b}"), "Å");
        assert_eq!(list_spellings("Acme"), ["Acme"]);
        assert_eq!(list_spellings("Café"), ["Café", "Cafe\u{301}"]);
        assert_eq!(list_spellings("Cafe\u{301}"), ["Café", "Cafe\u{301}"]);
        assert_eq!(list_spellings("\u{212b}").len(), 3);
    }
}
