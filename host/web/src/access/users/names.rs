//! Names of users and keys, and languages.

/// The longest name in characters.
const MAX_NAME_CHARS: usize = 100;

/// Returns a name as it is compared.
pub(in crate::access) fn fold_name(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Returns the reason why a name is refused.
pub(crate) fn find_name_error(name: &str) -> Option<&'static str> {
    let is_allowed = |c: char| c.is_alphanumeric() || "._-@+".contains(c);
    let length = name.chars().count();
    match (1..=MAX_NAME_CHARS).contains(&length) && name.chars().all(is_allowed) {
        true => None,
        false => Some(
            "a name has 1 to 100 letters, digits and the characters . _ - @ +, such as ada or ada@example.com",
        ),
    }
}

/// Returns the reason why a language is refused.
pub(super) fn find_language_error(language: &str) -> Option<&'static str> {
    let is_tag = (2..=35).contains(&language.len())
        && language
            .split('-')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()));
    match is_tag {
        true => None,
        false => Some("a language is a tag such as en or pt-BR"),
    }
}
