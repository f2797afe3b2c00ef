//! Reads the identity that a component declares in its custom section `automate:plugin`, before the
//! component is compiled.

use wasmparser::{Parser, Payload};

/// The custom section with the plugin's `NAME VERSION` in UTF-8.
pub const SECTION: &str = "automate:plugin";

/// The maximum length of an accepted identity, in bytes.
const MAX_BYTES: usize = 128;

/// Returns the plugin's name and version, or `(unnamed)`.
pub fn identity(component: &[u8]) -> String {
    let named = Parser::new(0)
        .parse_all(component)
        .map_while(Result::ok)
        .find_map(|payload| match payload {
            Payload::CustomSection(section) if section.name() == SECTION => {
                let text = std::str::from_utf8(section.data()).ok()?.trim();
                let printable = !text.is_empty() && !text.chars().any(char::is_control);
                (printable && text.len() <= MAX_BYTES).then(|| text.to_owned())
            }
            _ => None,
        });
    named.unwrap_or_else(|| "(unnamed)".to_owned())
}
