//! Finds the callback in what a person pasted: an address as a browser, a mail or a chat has it.
//!
//! A mail program may have rewritten `&`, wrapped the line, or put the address into a link of its own. Such
//! a change is undone only if the result is certain: the redirect address with the state of this consent,
//! and with a code or an error.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::config::RedirectAddress;

/// How many layers of links, entities and quotes are undone.
const LAYERS: usize = 4;
/// How many readings of one text are looked at.
const READINGS: usize = 64;

/// The consent that a callback is awaited for.
#[derive(Clone, Copy)]
pub struct Awaited<'a> {
    /// Where Webex sends the browser.
    pub redirect: &'a RedirectAddress,
    /// The `state` parameter that the callback repeats.
    pub state: &'a str,
}

impl Awaited<'_> {
    /// Finds the callback in `text`, if `text` contains one.
    pub fn find(self, text: &str) -> Option<SecretString> {
        let text = text.trim();
        // The plugin judges an unchanged paste: its error texts are the most precise.
        if self.is_answered_by(text) {
            return Some(text.into());
        }
        let mut readings = vec![text.to_owned()];
        let mut begun = 0;
        for _ in 0..LAYERS {
            let layer: Vec<String> = readings.iter().skip(begun).cloned().collect();
            begun = readings.len();
            for reading in layer.iter().flat_map(|reading| unwrapped(reading)) {
                if self.is_answered_by(&reading) && self.came_here(&reading) {
                    return Some(reading.into());
                }
                if readings.len() < READINGS && !readings.contains(&reading) {
                    readings.push(reading);
                }
            }
        }
        None
    }

    /// Whether the callback has this consent's state once, and a code or an error once.
    fn is_answered_by(self, address: &str) -> bool {
        // White space would be dropped in silence.
        let url = Url::parse(address);
        let (Ok(url), false) = (url, address.contains(char::is_whitespace)) else {
            return false;
        };
        let values = |name: &str| -> Vec<String> {
            let pairs = url.query_pairs().filter(|(each, _)| each == name);
            pairs.map(|(_, value)| value.into_owned()).collect()
        };
        let answers = values("code").len() + values("error").len();
        answers == 1 && values("state") == [self.state]
    }

    fn came_here(self, address: &str) -> bool {
        let (Ok(url), Ok(redirect)) = (Url::parse(address), Url::parse(self.redirect.as_str()))
        else {
            return false;
        };
        let place = |url: &Url| (url.origin(), url.path().to_owned());
        place(&url) == place(&redirect)
    }

    /// Why `text` is not the callback, in words that go after "this is not the address after the consent".
    pub fn fault(self, text: &str) -> &'static str {
        let Ok(url) = Url::parse(text.trim()) else {
            return "it is no absolute address: give the whole of what the browser shows";
        };
        let has = |name: &str| url.query_pairs().any(|(each, _)| each == name);
        match (has("state"), has("code") || has("error")) {
            (false, false) => "it has neither a code nor a state",
            (false, true) => "it has no state: give the whole of what the browser shows",
            (true, false) => "it has no code: give the whole of what the browser shows",
            (true, true) => {
                "its state is not the one of the link above: it belongs to another consent, or was cut"
            }
        }
    }
}

/// Lists the readings of `text` with one layer around it removed.
fn unwrapped(text: &str) -> Vec<String> {
    let mut readings = Vec::new();
    let mut add = |reading: String| {
        if reading != text && !reading.is_empty() {
            readings.push(reading);
        }
    };
    // A line that was wrapped: no address holds white space.
    add(text.split_whitespace().collect());
    // Words, quotes or angle brackets around it.
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
        // A link of a mail filter with the address as a parameter of its own.
        for (_, value) in url.query_pairs() {
            if value.contains("://") {
                add(value.into_owned());
            }
        }
        // Or as the end of its path.
        for part in url.path().split('/') {
            let decoded = percent_decoded(part);
            if decoded.contains("://") {
                add(decoded);
            }
        }
    }
    // `https://urldefense.com/v3/__ADDRESS__;…`; with a `*` in it something was replaced that is not known.
    if let Some((_, rest)) = text.split_once("/v3/__")
        && let Some((address, _)) = rest.split_once("__;")
        && !address.contains('*')
    {
        add(address.to_owned());
    }
    // An address that was encoded as a whole.
    if text.contains("%3A%2F%2F") || text.contains("%3a%2f%2f") {
        add(percent_decoded(text));
    }
    readings
}

fn percent_decoded(text: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(text);
    decoded.decode_utf8_lossy().into_owned()
}

/// Whether `line` may be the rest of an address that was wrapped: it begins none of its own.
pub fn may_continue(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.contains("://") && !line.contains(char::is_whitespace)
}

/// Puts the lines of one paste together.
pub fn joined(lines: &[SecretString]) -> SecretString {
    let lines = lines.iter().map(|line| line.expose_secret().trim());
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
        let awaited = Awaited {
            redirect: &redirect,
            state: STATE,
        };
        let found = awaited.find(text);
        found.map(|found| found.expose_secret().to_owned())
    }

    fn encoded(text: &str) -> String {
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
    }

    #[test]
    fn a_callback_is_found_in_what_programs_make_of_it() {
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
    fn what_is_not_certain_is_not_guessed() {
        let inner = encoded(CALLBACK);
        for text in [
            String::new(),
            "yes".to_owned(),
            CALLBACK.replace("&state", "&stat"),
            CALLBACK.replace("code=C0d3&", ""),
            CALLBACK.replace("S-t_4te", "S-t_4t"),
            format!("{CALLBACK}&state=another"),
            format!("{CALLBACK}&error=access_denied"),
            // A link to another address, which is not the redirect address of the consent.
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
    fn an_error_of_webex_is_a_callback_too() {
        let declined = CALLBACK.replace("code=C0d3", "error=access_denied");
        assert_eq!(find(&declined.replace('&', "&amp;")), Some(declined));
    }

    #[test]
    fn the_rest_of_an_address_is_told_from_the_next_one() {
        assert!(may_continue("  def&state=x\r\n"));
        for line in ["", " ", "http://127.0.0.1/", "two words"] {
            assert!(!may_continue(line), "{line:?}");
        }
    }
}
