//! The media type of a response.

use std::fmt;

/// The media type in a response's `Content-Type` (RFC 9110, section 8.3), as precise as needed to
/// distinguish Webex from a proxy or another server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaType {
    /// The response has no `Content-Type`.
    #[default]
    Absent,
    /// JSON, which Webex sends.
    Json,
    /// HTML.
    Html,
    /// Plain text.
    Text,
    /// XML.
    Xml,
    /// Any other type.
    Other,
}

impl MediaType {
    /// Parses a `Content-Type`; ignores its parameters.
    pub fn parse(header: Option<&str>) -> Self {
        let Some(header) = header else {
            return Self::Absent;
        };
        let name = header.split(';').next().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "" => Self::Absent,
            "application/json" => Self::Json,
            "text/html" => Self::Html,
            "text/plain" => Self::Text,
            "application/xml" | "text/xml" => Self::Xml,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no content type",
            Self::Json => "application/json",
            Self::Html => "text/html",
            Self::Text => "text/plain",
            Self::Xml => "XML",
            Self::Other => "another content type than JSON",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_type_ignores_parameters_and_case() {
        for (header, shown) in [
            (None, "no content type"),
            (Some(" ; x"), "no content type"),
            (Some("Application/JSON;charset=UTF-8"), "application/json"),
            (Some("text/html; charset=x"), "text/html"),
            (Some("text/plain"), "text/plain"),
            (Some("image/png"), "another content type than JSON"),
        ] {
            assert_eq!(MediaType::parse(header).to_string(), shown);
        }
    }
}
