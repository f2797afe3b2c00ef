//! Texts that stand for secrets in a recording: for one secret always the same one, however it is written.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use url::{Url, form_urlencoded};

/// Shorter secrets are replaced only where their place says that they are secret: elsewhere they would take
/// ordinary words with them.
const SHORTEST: usize = 6;
/// Runs of letters and digits at least this long, in the words of an error, may be tokens.
const RUN: usize = 20;
/// What names of fields that hold secrets are, or end in.
const ENDS: [&str; 10] = [
    "token",
    "secret",
    "password",
    "passwd",
    "assertion",
    "verifier",
    "_repeat",
    "cookie",
    "authorization",
    "api_key",
];

/// Learns secrets, before anything is written.
#[derive(Default)]
pub(super) struct Learning {
    /// What stands for which secret, in the order in which they were met.
    known: Vec<(String, String)>,
    places: HashMap<String, usize>,
    /// Other ways to write one, with what stands for it there.
    forms: Vec<(String, String)>,
}

impl Learning {
    /// Learns a secret, which `name` is a name for; what stands for it.
    pub(super) fn learn(&mut self, name: &str, secret: &str) -> String {
        if secret.is_empty() {
            return String::new();
        }
        let known = self.places.get(secret);
        if let Some((_, placeholder)) = known.and_then(|place| self.known.get(*place)) {
            return placeholder.clone();
        }
        let placeholder = match address(secret) {
            Some(url) => self.address(url),
            None => self.next(name),
        };
        let place = self.known.len();
        self.places.insert(secret.to_owned(), place);
        self.known.push((secret.to_owned(), placeholder.clone()));
        placeholder
    }

    /// Learns a name and a password as `Basic` has them (RFC 7617).
    pub(super) fn learn_pair(&mut self, user: &str, password: &str, placeholders: (&str, &str)) {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        let told = STANDARD.encode(format!("{}:{}", placeholders.0, placeholders.1));
        self.forms.push((pair, told));
    }

    /// Letters and digits alone, so that it is the same in forms and addresses, where a plugin may look for
    /// its secrets.
    fn next(&self, name: &str) -> String {
        let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
        let parts = parts.filter_map(|part| {
            let (first, rest) = part.split_at_checked(1)?;
            Some(first.to_ascii_uppercase() + rest)
        });
        let name: String = parts.collect::<String>().chars().take(40).collect();
        format!("recorded{name}{}", self.known.len() + 1)
    }

    /// An address, such as a proxy's, stays one: with another user and password, and with a name for a host
    /// of numbers, which policies refuse elsewhere.
    fn address(&mut self, mut url: Url) -> String {
        let user = percent_decode_str(url.username())
            .decode_utf8_lossy()
            .into_owned();
        if let Some(password) = url.password().map(str::to_owned) {
            let clear = percent_decode_str(&password)
                .decode_utf8_lossy()
                .into_owned();
            let placeholder = self.learn("proxy-password", &clear);
            self.forms.push((password, placeholder.clone()));
            self.learn_pair(&user, &clear, ("recorded", &placeholder));
            // What has a password has a host, and so can have another password.
            let _ = url.set_password(Some(&placeholder));
        }
        if !user.is_empty() {
            let _ = url.set_username("recorded");
        }
        if !matches!(url.host(), Some(url::Host::Domain(_))) {
            let _ = url.set_host(Some("recorded-proxy.example"));
        }
        url.to_string()
    }

    /// Learns the value of a field of a form or of an address's query.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        if is_secret(name) || is_code(name) {
            self.learn(name, value);
        }
    }

    /// Learns the value of a header field.
    pub(super) fn header(&mut self, name: &str, value: &str) {
        if !is_secret(name) {
            return;
        }
        let Some((scheme, credentials)) = value.split_once(' ') else {
            self.learn(name, value);
            return;
        };
        let pair = STANDARD.decode(credentials).ok();
        let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((user, password)) if scheme.eq_ignore_ascii_case("basic") => {
                let placeholder = self.learn("password", password);
                self.learn_pair(user, password, (user, &placeholder));
            }
            _ => {
                self.learn("access_token", credentials);
            }
        }
    }

    /// Learns what JSON holds under the names of secrets.
    pub(super) fn json(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.json(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        // What errors are called goes by the name `code`, too.
                        Value::String(text)
                            if is_secret(name) || is_code(name) && is_like_a_token(text) =>
                        {
                            self.learn(name, text);
                        }
                        other => self.json(other),
                    }
                }
            }
            _ => {}
        }
    }

    /// Learns what looks like a token in the words of an error, unless `innocent` knows it.
    pub(super) fn words(&mut self, text: &str, innocent: impl Fn(&str) -> bool) {
        let of_a_run = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=%".contains(c);
        for run in text.split(|c| !of_a_run(c)) {
            let holds = |(known, _): &(String, String)| {
                known.len() >= SHORTEST && run.contains(known.as_str())
            };
            let mut known = self.known.iter().chain(&self.forms);
            if is_like_a_token(run) && !innocent(run) && !known.any(holds) {
                self.learn("text", run);
            }
        }
    }

    /// Everything is known.
    pub(super) fn learned(self) -> Result<Placeholders, aho_corasick::BuildError> {
        let mut forms: Vec<(String, String)> = Vec::new();
        for (secret, placeholder) in &self.known {
            if secret.len() >= SHORTEST {
                forms.extend(written(secret).zip(written(placeholder)));
            }
        }
        let others = self.forms.into_iter();
        forms.extend(others.filter(|(form, _)| form.len() >= SHORTEST));
        let secrets = forms.len();
        // What stands for a secret stays as it is, also where a secret is an ordinary word in it.
        let placeholders = self.known.iter().map(|(_, placeholder)| placeholder);
        let placeholders = placeholders.flat_map(|placeholder| written(placeholder));
        forms.extend(placeholders.map(|form| (form.clone(), form)));
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(forms.iter().map(|(form, _)| form.as_bytes()))?;
        Ok(Placeholders {
            exact: self.known.into_iter().collect(),
            automaton,
            told: forms.into_iter().map(|(_, told)| told).collect(),
            secrets,
        })
    }
}

/// The ways in which a text is written in addresses, forms, headers and JSON.
fn written(text: &str) -> impl Iterator<Item = String> {
    let quoted = Value::String(text.to_owned()).to_string();
    let quoted = quoted.trim_matches('"').to_owned();
    let percent = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let small = |text: &str| {
        // Hexadecimal digits in lower case, as some write them.
        let mut parts = text.split('%');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| {
            let (digits, rest) = part.split_at(part.len().min(2));
            format!("{all}%{}{rest}", digits.to_ascii_lowercase())
        })
    };
    [
        text.to_owned(),
        quoted,
        small(&percent),
        percent,
        small(&form),
        form,
        STANDARD.encode(text),
        STANDARD_NO_PAD.encode(text),
        URL_SAFE.encode(text),
        URL_SAFE_NO_PAD.encode(text),
    ]
    .into_iter()
}

/// What stands for which secret.
pub(super) struct Placeholders {
    exact: HashMap<String, String>,
    automaton: AhoCorasick,
    told: Vec<String>,
    /// So many of the patterns are secrets; those behind them stand for one.
    secrets: usize,
}

impl Placeholders {
    /// A text without the secrets in it.
    pub(super) fn text(&self, text: &str) -> String {
        let mut told = String::with_capacity(text.len());
        let mut end = 0;
        for found in self.automaton.find_iter(text) {
            told.push_str(text.get(end..found.start()).unwrap_or_default());
            let stands = self.told.get(found.pattern().as_usize());
            told.push_str(stands.map_or("", String::as_str));
            end = found.end();
        }
        told.push_str(text.get(end..).unwrap_or_default());
        told
    }

    /// Where in a text without secrets something stands for one.
    pub(super) fn places(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        let found = self.automaton.find_iter(text);
        found.map(|found| found.range()).collect()
    }

    /// Whether a text holds a secret.
    pub(super) fn shows(&self, text: &str) -> bool {
        let mut found = self.automaton.find_iter(text);
        found.any(|found| found.pattern().as_usize() < self.secrets)
    }

    /// What is a secret as a whole, also a short one.
    pub(super) fn whole(&self, secret: &str) -> String {
        let exact = self.exact.get(secret);
        exact.cloned().unwrap_or_else(|| self.text(secret))
    }

    /// The value of a field.
    pub(super) fn field(&self, name: &str, value: &str) -> String {
        match is_secret(name) || is_code(name) {
            true => self.whole(value),
            false => self.text(value),
        }
    }

    /// The value of a header field.
    pub(super) fn header(&self, name: &str, value: &str) -> String {
        match value.split_once(' ') {
            Some((scheme, credentials)) if is_secret(name) => {
                format!("{scheme} {}", self.whole(credentials))
            }
            _ => self.field(name, value),
        }
    }

    /// A JSON value.
    pub(super) fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| {
                    let value = match value {
                        Value::String(text) => Value::String(self.field(name, text)),
                        other => self.json(other),
                    };
                    (self.text(name), value)
                });
                Value::Object(members.collect())
            }
            other => other.clone(),
        }
    }
}

/// Whether what has this name is secret, wherever it stands.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    ENDS.iter().any(|end| name.ends_with(end))
}

/// The name of authorization codes in forms and addresses.
fn is_code(name: &str) -> bool {
    name.eq_ignore_ascii_case("code")
}

fn is_like_a_token(text: &str) -> bool {
    text.len() >= RUN && text.bytes().any(|byte| byte.is_ascii_digit())
}

fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}
