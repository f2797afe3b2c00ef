//! The HTML of `/v1/authorize`: plain, without scripts or styles, every foreign text escaped.

use std::fmt::Write as _;

use axum::response::{Html, IntoResponse as _, Response};
use html_escape::encode_safe;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};

use crate::authorize::AuthorizationRequest;
use crate::state::{Organization, State};

/// Forbids loading and embedding. `form-action` is left open: browsers apply it to the redirect
/// after the form, too, and that leads wherever the client was registered.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; base-uri 'none'; frame-ancestors 'none'");

/// Returns a page with its policy.
pub(crate) fn response(status: StatusCode, html: String) -> Response {
    let mut response = (status, Html(html)).into_response();
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// Returns the page that explains why the browser is not redirected.
pub(crate) fn error(reason: &str) -> String {
    page(
        "This request cannot be authorized",
        &format!("<p id=\"reason\">{}</p>", encode_safe(reason)),
    )
}

/// Returns the consent page, whose form carries `fields`, or `None` without an organization.
pub(crate) fn consent(
    state: &State,
    request: &AuthorizationRequest,
    fields: &[(&str, &str)],
) -> Option<String> {
    let proposed = state.proposed_organization()?.uuid.clone();
    let mut body = format!(
        "<p>The integration <code id=\"client\">{}</code> asks for access and receives the response at \
         <code id=\"redirect-uri\">{}</code>.</p>\n\
         <form method=\"post\" action=\"authorize\">\n",
        encode_safe(&request.client_id),
        encode_safe(&request.redirect_uri),
    );
    // Writing to a String cannot fail.
    for (name, value) in fields {
        let _ = writeln!(
            body,
            "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
            encode_safe(name),
            encode_safe(value)
        );
    }
    body.push_str(
        "<input type=\"hidden\" name=\"choose\" value=\"scopes\">\n\
         <p><label for=\"organization\">Organization and administrator</label>\n\
         <select id=\"organization\" name=\"organization\">\n",
    );
    for organization in state.organizations() {
        let _ = writeln!(
            body,
            "<option value=\"{}\"{}>{} ({})</option>",
            encode_safe(&organization.uuid),
            if organization.uuid == proposed {
                " selected"
            } else {
                ""
            },
            encode_safe(&organization.display_name),
            encode_safe(&administrator(organization)),
        );
    }
    body.push_str("</select></p>\n<fieldset id=\"scopes\"><legend>Scopes</legend>\n");
    for scope in &request.scopes {
        let ticked = !state.proposal.without.contains(scope);
        let scope = encode_safe(scope);
        let _ = writeln!(
            body,
            "<div><label><input type=\"checkbox\" name=\"grant\" value=\"{scope}\"{}> {scope}</label></div>",
            if ticked { " checked" } else { "" },
        );
    }
    body.push_str("</fieldset>\n<p>\n");
    for (id, label) in [
        ("accept", "Accept"),
        ("decline", "Decline"),
        ("fail", "Fail with server_error"),
    ] {
        let _ = writeln!(
            body,
            "<button id=\"{id}\" name=\"decision\" value=\"{id}\">{label}</button>"
        );
    }
    body.push_str("</p>\n</form>");
    Some(page("Allow access?", &body))
}

/// Returns the e-mail address of an organization's one administrator.
pub(crate) fn administrator(organization: &Organization) -> String {
    format!("admin@{}.example", organization.uuid)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <title>Emulated Webex: {title}</title></head>\n\
         <body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )
}
