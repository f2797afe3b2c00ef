//! Arguments in commands that a person copies to a shell.

/// Quotes an argument for a shell, if it needs quotes.
pub fn quote_for_shell(argument: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@');
    match !argument.is_empty() && !argument.starts_with('-') && argument.chars().all(is_plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_special_arguments_are_quoted() {
        for plain in [
            "Contoso",
            "Müller",
            "0123abc",
            "http://127.0.0.1:8400/callback",
        ] {
            assert_eq!(quote_for_shell(plain), plain);
        }
        for (special, quoted) in [
            ("", "''"),
            ("Contoso Ltd", "'Contoso Ltd'"),
            ("Contoso & Co", "'Contoso & Co'"),
            ("O'Hara", "'O'\\''Hara'"),
            ("$(id)", "'$(id)'"),
            ("http://a/?code=c&state=s", "'http://a/?code=c&state=s'"),
        ] {
            assert_eq!(quote_for_shell(special), quoted);
        }
    }
}
