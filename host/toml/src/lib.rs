//! Reads a TOML document key by key and collects all errors.
//!
//! A derived deserializer stops at the first error. People who write a configuration or a scenario need all errors,
//! each with its position and with the key that was probably meant.
//!
//! [`Source::read`] opens a document. Its closure takes each key from a [`Table`] with a parser, such as those of
//! [`values`], and closes the table: the remaining keys are unknown.
//!
//! ```
//! use relation_toml::{Source, values};
//!
//! let source = Source::new("server.toml", "port = \"http\"\nnmae = \"a\"\n");
//! let parsed = source.read(|reader, top| {
//!     let mut table = reader.undeclared_table(top, "the server")?;
//!     let port = table.require("port", values::parse_positive::<u16>);
//!     let name = table.get("name", values::parse_text);
//!     table.close();
//!     Some((port?, name))
//! });
//! assert_eq!(
//!     parsed.unwrap_err().to_string(),
//!     "\
//! server.toml:1:8: port: expected a whole number, found a text
//!   |
//! 1 | port = \"http\"
//!   |        ^^^^^^
//!
//! server.toml:2:1: nmae: unknown key
//!   |
//! 2 | nmae = \"a\"
//!   | ^^^^
//! hint: did you mean `name`?"
//! );
//! ```

mod reader;
mod source;
pub mod values;

pub use toml::de::DeValue;

pub use self::reader::{Item, Location, Reader, Section, Table, describe_kind, find_nearest};
pub use self::source::{ParseError, ParseErrors, Source, SourcePosition, ValueError};
