//! Pages for the browser, without scripts, styles or external resources.

use bytes::Bytes;
use html_escape::{encode_double_quoted_attribute, encode_safe};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// A page. Its texts are escaped, because they may be untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: StatusCode,
    /// The title.
    pub title: String,
    /// The paragraphs.
    pub paragraphs: Vec<String>,
    /// A link: text and address.
    pub link: Option<(String, String)>,
}

impl Page {
    /// Creates a page without a link.
    pub fn new(status: StatusCode, title: impl Into<String>, paragraphs: &[&str]) -> Self {
        Self {
            status,
            title: title.into(),
            paragraphs: paragraphs.iter().map(|text| (*text).to_owned()).collect(),
            link: None,
        }
    }

    pub(super) fn html(&self) -> String {
        let title = encode_safe(&self.title);
        let paragraphs: String = self
            .paragraphs
            .iter()
            .map(|text| format!("<p>{}</p>\n", encode_safe(text)))
            .collect();
        let link = self.link.as_ref().map(|(text, address)| {
            let text = encode_safe(text);
            let address = encode_double_quoted_attribute(address);
            format!("<p><a href=\"{address}\">{text}</a></p>\n")
        });
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n{paragraphs}{}</body>\n</html>\n",
            link.unwrap_or_default()
        )
    }

    /// Returns the HTTP response, which forbids caching, framing and sending its address as referrer.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.html()));
        *response.status_mut() = self.status;
        let fixed = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CONNECTION, "close"),
        ];
        let headers = response.headers_mut();
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        response
    }
}
