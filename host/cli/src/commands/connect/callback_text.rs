//! Finds the callback URL in pasted text.
//!
//! A mail program or a chat may have rewritten `&`, wrapped the line, or wrapped the URL in a link of its
//! own. Such a change is undone only if the result is certain. It is the redirect address with this consent's state,
//! and a code or an error.

use relation_app::config::RedirectAddress;
use relation_host::types::Pkid;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// The maximum depth of links, entities and quotes that are removed.
const MAX_LAYERS: usize = 4;
/// The maximum number of candidates that are tried for one text.
const MAX_CANDIDATES: usize = 64;

/// The consent whose callback is expected.
#[derive(Clone, Copy)]
pub struct ExpectedCallback<'a> {
    /// The redirect address.
    pub redirect: &'a RedirectAddress,
    /// The `state` parameter, which the callback repeats; `None` for that of any customer's consent.
    pub state: Option<&'a str>,
}

impl ExpectedCallback<'_> {
    /// Finds the callback in `text`.
    pub fn find(self, text: &str) -> Option<SecretString> {
        let text = text.trim();
        // An unchanged paste goes to the plugin: its error texts are the most precise.
        if self.has_state_and_result(text) {
            return Some(text.into());
        }
        let mut candidates = vec![text.to_owned()];
        let mut checked = 0;
        for _ in 0..MAX_LAYERS {
            let layer: Vec<String> = candidates.iter().skip(checked).cloned().collect();
            checked = candidates.len();
            for candidate in layer.iter().flat_map(|candidate| remove_layer(candidate)) {
                if self.has_state_and_result(&candidate) && self.is_at_redirect(&candidate) {
                    return Some(candidate.into());
                }
                if candidates.len() < MAX_CANDIDATES && !candidates.contains(&candidate) {
                    candidates.push(candidate);
                }
            }
        }
        None
    }

    /// Returns whether `address` has an expected state exactly once, and exactly one code or error.
    fn has_state_and_result(self, address: &str) -> bool {
        // `Url::parse` would drop white space silently.
        let url = Url::parse(address);
        let (Ok(url), false) = (url, address.contains(char::is_whitespace)) else {
            return false;
        };
        let values = |name: &str| -> Vec<String> {
            let pairs = url.query_pairs().filter(|(each, _)| each == name);
            pairs.map(|(_, value)| value.into_owned()).collect()
        };
        let results = values("code").len() + values("error").len();
        let states = values("state");
        results == 1 && matches!(states.as_slice(), [state] if self.accepts(state))
    }

    fn accepts(self, state: &str) -> bool {
        match self.state {
            Some(expected) => state == expected,
            None => parse_state(state).is_some(),
        }
    }

    fn is_at_redirect(self, address: &str) -> bool {
        let (Ok(url), Ok(redirect)) = (Url::parse(address), Url::parse(self.redirect.as_str()))
        else {
            return false;
        };
        let location = |url: &Url| (url.origin(), url.path().to_owned());
        location(&url) == location(&redirect)
    }

    /// Explains why `text` is not the callback, in words that follow "this is not the address after the
    /// consent".
    pub fn describe_mismatch(self, text: &str) -> &'static str {
        let Ok(url) = Url::parse(text.trim()) else {
            return "it is not an absolute address: give the complete address that the browser shows";
        };
        let has = |name: &str| url.query_pairs().any(|(each, _)| each == name);
        match (has("state"), has("code") || has("error")) {
            (true, false) if has("response_type") => {
                "it is the link to the consent: open it, or send it to the administrator, and give the address on \
                 which the browser ends"
            }
            (false, false) => "it has neither a code nor a state",
            (false, true) => "it has no state: give the complete address that the browser shows",
            (true, false) => "it has no code: give the complete address that the browser shows",
            (true, true) if self.state.is_none() => {
                "its state names no customer: it does not come from a link of relation-host, or was cut"
            }
            (true, true) => {
                "its state is not the one of the link above: it belongs to another consent, or was cut"
            }
        }
    }
}

/// Returns the customer that the state of a callback names.
pub fn find_pkid(address: &str) -> Option<Pkid> {
    let url = Url::parse(address).ok()?;
    let mut pairs = url.query_pairs();
    let (_, state) = pairs.find(|(name, _)| name == "state")?;
    parse_state(&state)
}

/// Parses a state: a pkid, a full stop and a random text.
fn parse_state(state: &str) -> Option<Pkid> {
    let (pkid, random) = state.split_once('.')?;
    let pkid = pkid.parse().ok()?;
    (!random.is_empty()).then_some(pkid)
}

/// Returns candidates: `text` with one layer of wrapping removed.
fn remove_layer(text: &str) -> Vec<String> {
    let mut candidates = Vec::new();
    let mut add = |candidate: String| {
        if candidate != text && !candidate.is_empty() {
            candidates.push(candidate);
        }
    };
    // A quoted mail: each line begins with `>`.
    if text.lines().any(|line| line.trim_start().starts_with('>')) {
        let lines = text.lines().map(trim_quote_marks);
        add(lines.collect::<Vec<_>>().join("\n"));
    }
    // A wrapped line: no URL contains white space.
    add(text.split_whitespace().collect());
    // Surrounding words, quotes or angle brackets.
    if let Some(start) = text.find("http://").or_else(|| text.find("https://")) {
        let rest = text.get(start..).unwrap_or_default();
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`');
        add(rest.split(ends).next().unwrap_or_default().to_owned());
        let quotes = |c: char| matches!(c, '"' | '\'' | '<' | '>' | '`' | ')' | ']' | '.' | ',');
        add(rest.trim_end_matches(quotes).to_owned());
    }
    for entity in ["&amp;", "&#38;", "&#x26;", "&AMP;"] {
        add(text.replace(entity, "&"));
    }
    add(text.replace("\\u0026", "&").replace("\\/", "/"));
    if let Ok(url) = Url::parse(text) {
        // A mail filter's link with the URL as a query parameter.
        for (_, value) in url.query_pairs() {
            if value.contains("://") {
                add(value.into_owned());
            }
        }
        // A mail filter's link with the URL at the end of its path.
        for part in url.path().split('/') {
            let decoded = percent_decode(part);
            if decoded.contains("://") {
                add(decoded);
            }
        }
    }
    // `https://urldefense.com/v3/__ADDRESS__;…`. A `*` stands for a replaced character that cannot be
    // restored.
    if let Some((_, rest)) = text.split_once("/v3/__")
        && let Some((address, _)) = rest.split_once("__;")
        && !address.contains('*')
    {
        add(address.to_owned());
    }
    // A URL that was percent-encoded as a whole.
    if text.contains("%3A%2F%2F") || text.contains("%3a%2f%2f") {
        add(percent_decode(text));
    }
    candidates
}

fn percent_decode(text: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(text);
    decoded.decode_utf8_lossy().into_owned()
}

/// Returns whether `line` may continue a wrapped URL: it does not begin another URL.
pub fn may_continue(line: &str) -> bool {
    let line = trim_quote_marks(line);
    !line.is_empty() && !line.contains("://") && !line.contains(char::is_whitespace)
}

/// Removes the marks of a quoted mail from the beginning of a line, and surrounding white space.
fn trim_quote_marks(line: &str) -> &str {
    line.trim_start_matches(|c: char| c == '>' || c.is_whitespace())
        .trim_end()
}

/// Joins the lines of one paste.
pub fn join_lines(lines: &[SecretString]) -> SecretString {
    let lines = lines.iter();
    let lines = lines.map(|line| trim_quote_marks(line.expose_secret()));
    lines.collect::<Vec<_>>().concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "0123456789abcdef01234567.S-t_4te";
    const CALLBACK: &str =
        "http://127.0.0.1:8400/callback?code=C0d3&state=0123456789abcdef01234567.S-t_4te";

    fn find(text: &str) -> Option<String> {
        let redirect = RedirectAddress::parse("http://127.0.0.1:8400/callback").unwrap();
        let expected = ExpectedCallback {
            redirect: &redirect,
            state: Some(STATE),
        };
        let found = expected.find(text);
        found.map(|found| found.expose_secret().to_owned())
    }

    fn encoded(text: &str) -> String {
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
    }

    #[test]
    fn callback_is_found_in_rewritten_text() {
        let inner = encoded(CALLBACK);
        let safelink = format!(
            "https://eur01.safelinks.protection.outlook.com/?url={inner}&data=05%7C02%7C&sdata=x&reserved=0"
        );
        let (first, rest) = CALLBACK.split_at(50);
        for text in [
            CALLBACK.to_owned(),
            format!("  {CALLBACK}\r\n"),
            format!("<{CALLBACK}>"),
            format!("\"{CALLBACK}\""),
            format!("It ended here: {CALLBACK} (cannot be reached)"),
            CALLBACK.replace('&', "&amp;"),
            CALLBACK.replace('&', "&amp;amp;"),
            CALLBACK.replace('&', "\\u0026"),
            format!("{first}\n  {rest}"),
            format!("> {CALLBACK}"),
            format!("> {first}\n> {rest}\n"),
            format!("> It ended here:\n> <{CALLBACK}>\n>\n> -- \n> Ann"),
            format!(">> {first}\r\n> > {rest}").replace('&', "&amp;"),
            format!("{first}\r\n{rest}").replace('&', "&amp;"),
            format!("https://www.google.com/url?q={inner}&sa=D"),
            format!("https://secure-web.cisco.com/1aBc-_x/{inner}"),
            format!("https://urldefense.com/v3/__{CALLBACK}__;!!abc$"),
            safelink.clone(),
            safelink.replace('&', "&amp;"),
            format!(
                "https://linkprotect.example/url?a={}&c=E,1",
                encoded(&safelink)
            ),
            inner,
        ] {
            assert_eq!(find(&text).as_deref(), Some(CALLBACK), "{text}");
        }
    }

    #[test]
    fn uncertain_callback_is_not_accepted() {
        let inner = encoded(CALLBACK);
        for text in [
            String::new(),
            "yes".to_owned(),
            CALLBACK.replace("&state", "&stat"),
            CALLBACK.replace("code=C0d3&", ""),
            CALLBACK.replace("S-t_4te", "S-t_4t"),
            format!("{CALLBACK}&state=another"),
            format!("{CALLBACK}&error=access_denied"),
            // A link to an address other than the redirect address.
            format!(
                "https://mail.example/?url={}",
                inner.replace("8400", "8401")
            ),
            format!(
                "https://urldefense.com/v3/__{}__;Kw!!abc$",
                CALLBACK.replace("C0d3", "C0*d3")
            ),
        ] {
            assert_eq!(find(&text), None, "{text}");
        }
    }

    #[test]
    fn callback_of_any_customer_names_the_pkid() {
        let redirect = RedirectAddress::parse("http://127.0.0.1:8400/callback").unwrap();
        let expected = ExpectedCallback {
            redirect: &redirect,
            state: None,
        };
        for text in [CALLBACK.to_owned(), CALLBACK.replace('&', "&amp;")] {
            let found = expected.find(&text).unwrap();
            let pkid = find_pkid(found.expose_secret()).unwrap();
            assert_eq!(pkid.as_str(), "0123456789abcdef01234567");
        }
        for state in [
            "",
            "0123456789abcdef01234567",
            "0123456789abcdef01234567.",
            "x.y",
        ] {
            let text = CALLBACK.replace(STATE, state);
            assert!(expected.find(&text).is_none(), "{text}");
            assert!(
                expected
                    .describe_mismatch(&text)
                    .contains("names no customer")
            );
        }
        for (address, reason) in [
            ("http://127.0.0.1:8400/callback?code=C0d3", "no state"),
            (
                "https://webexapis.com/v1/authorize?client_id=C&response_type=code&state=x",
                "it is the link to the consent",
            ),
        ] {
            assert!(expected.describe_mismatch(address).contains(reason));
        }
    }

    #[test]
    fn callback_may_carry_an_error() {
        let declined = CALLBACK.replace("code=C0d3", "error=access_denied");
        assert_eq!(find(&declined.replace('&', "&amp;")), Some(declined));
    }

    #[test]
    fn continuation_line_differs_from_new_address() {
        assert!(may_continue("  def&state=x\r\n"));
        assert!(may_continue("> > def&state=x"));
        for line in [
            "",
            " ",
            ">",
            "http://127.0.0.1/",
            "two words",
            "> two words",
        ] {
            assert!(!may_continue(line), "{line:?}");
        }
    }
}
