//! Who a component says it is: its custom section `automate:plugin`, read before it is compiled.

use wasmparser::{Parser, Payload};

/// The custom section in which a plugin names itself, as `NAME VERSION` in UTF-8.
pub const SECTION: &str = "automate:plugin";

/// The longest name that is believed, in bytes.
const LONGEST: usize = 128;

/// The plugin's name and version, or how it is to be called when it does not say.
pub fn identity(component: &[u8]) -> String {
    let named = Parser::new(0)
        .parse_all(component)
        .map_while(Result::ok)
        .find_map(|payload| match payload {
            Payload::CustomSection(section) if section.name() == SECTION => {
                let text = std::str::from_utf8(section.data()).ok()?.trim();
                let printable = !text.is_empty() && !text.chars().any(char::is_control);
                (printable && text.len() <= LONGEST).then(|| text.to_owned())
            }
            _ => None,
        });
    named.unwrap_or_else(|| "(unnamed)".to_owned())
}
