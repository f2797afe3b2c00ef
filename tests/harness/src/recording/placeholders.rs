//! Placeholders for secrets in a recording: one per secret, in every spelling.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use url::{Url, form_urlencoded};

/// The least length of a secret that is replaced anywhere. Shorter ones are replaced only in secret fields,
/// because they could be parts of ordinary words.
const MIN_LENGTH: usize = 6;
/// The least length of a run of letters and digits, in an error text, that may be a token.
const MIN_TOKEN_LENGTH: usize = 20;
/// The names, or ends of names, of fields that hold secrets.
const SECRET_SUFFIXES: [&str; 10] = [
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

/// A collector of all secrets before the file is written.
#[derive(Default)]
pub(super) struct SecretCollector {
    /// The secrets with their placeholders, in order of appearance.
    known: Vec<(String, String)>,
    places: HashMap<String, usize>,
    /// Other spellings of secrets, with their replacements.
    forms: Vec<(String, String)>,
}

impl SecretCollector {
    /// Learns a secret whose field is called `name`. Returns its placeholder.
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

    /// Learns a user and password as `Basic` credentials (RFC 7617).
    pub(super) fn learn_pair(&mut self, user: &str, password: &str, placeholders: (&str, &str)) {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        let replacement = STANDARD.encode(format!("{}:{}", placeholders.0, placeholders.1));
        self.forms.push((pair, replacement));
    }

    /// Returns a new placeholder of letters and digits only, which is the same in forms and addresses.
    fn next(&self, name: &str) -> String {
        let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
        let parts = parts.filter_map(|part| {
            let (first, rest) = part.split_at_checked(1)?;
            Some(first.to_ascii_uppercase() + rest)
        });
        let name: String = parts.collect::<String>().chars().take(40).collect();
        format!("recorded{name}{}", self.known.len() + 1)
    }

    /// Returns a placeholder address, for example for a proxy, with another user and password. A numeric host
    /// becomes a name, because replays may not allow it.
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
            // An address with a password has a host, so setting a password succeeds.
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

    /// Learns the value of a form field or query parameter.
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

    /// Learns the secret members of JSON.
    pub(super) fn json(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.json(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        // Error codes are called `code` too.
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

    /// Learns tokens in an error text, except those that `is_known_public` accepts.
    pub(super) fn learn_tokens(&mut self, text: &str, is_known_public: impl Fn(&str) -> bool) {
        let of_a_run = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=%".contains(c);
        for run in text.split(|c| !of_a_run(c)) {
            let holds = |(known, _): &(String, String)| {
                known.len() >= MIN_LENGTH && run.contains(known.as_str())
            };
            let mut known = self.known.iter().chain(&self.forms);
            if is_like_a_token(run) && !is_known_public(run) && !known.any(holds) {
                self.learn("text", run);
            }
        }
    }

    /// Builds the replacer.
    pub(super) fn build(self) -> Result<Placeholders, aho_corasick::BuildError> {
        let mut forms: Vec<(String, String)> = Vec::new();
        for (secret, placeholder) in &self.known {
            if secret.len() >= MIN_LENGTH {
                forms.extend(spellings(secret).zip(spellings(placeholder)));
            }
        }
        let others = self.forms.into_iter();
        forms.extend(others.filter(|(form, _)| form.len() >= MIN_LENGTH));
        let secrets = forms.len();
        // Placeholders are patterns too, so that a secret that is an ordinary word does not change them.
        let placeholders = self.known.iter().map(|(_, placeholder)| placeholder);
        let placeholders = placeholders.flat_map(|placeholder| spellings(placeholder));
        forms.extend(placeholders.map(|form| (form.clone(), form)));
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(forms.iter().map(|(form, _)| form.as_bytes()))?;
        Ok(Placeholders {
            exact: self.known.into_iter().collect(),
            automaton,
            replacements: forms
                .into_iter()
                .map(|(_, replacement)| replacement)
                .collect(),
            secrets,
        })
    }
}

/// Returns the spellings of a text in addresses, forms, headers and JSON.
fn spellings(text: &str) -> impl Iterator<Item = String> {
    let quoted = Value::String(text.to_owned()).to_string();
    let quoted = quoted.trim_matches('"').to_owned();
    let percent = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let small = |text: &str| {
        // Some encoders write hexadecimal digits in lower case.
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

/// The placeholders that replace secrets.
pub(super) struct Placeholders {
    exact: HashMap<String, String>,
    automaton: AhoCorasick,
    replacements: Vec<String>,
    /// The number of patterns that are secrets; the later ones are placeholders.
    secrets: usize,
}

impl Placeholders {
    /// Replaces the secrets in a text.
    pub(super) fn text(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut end = 0;
        for found in self.automaton.find_iter(text) {
            result.push_str(text.get(end..found.start()).unwrap_or_default());
            let replacement = self.replacements.get(found.pattern().as_usize());
            result.push_str(replacement.map_or("", String::as_str));
            end = found.end();
        }
        result.push_str(text.get(end..).unwrap_or_default());
        result
    }

    /// Returns the ranges of placeholders in a text.
    pub(super) fn placeholder_ranges(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        let found = self.automaton.find_iter(text);
        found.map(|found| found.range()).collect()
    }

    /// Returns whether a text contains a secret.
    pub(super) fn contains_secret(&self, text: &str) -> bool {
        let mut found = self.automaton.find_iter(text);
        found.any(|found| found.pattern().as_usize() < self.secrets)
    }

    /// Replaces a text that is a secret as a whole, even a short one.
    pub(super) fn replace_whole(&self, secret: &str) -> String {
        let exact = self.exact.get(secret);
        exact.cloned().unwrap_or_else(|| self.text(secret))
    }

    /// Replaces secrets in the value of a field.
    pub(super) fn field(&self, name: &str, value: &str) -> String {
        match is_secret(name) || is_code(name) {
            true => self.replace_whole(value),
            false => self.text(value),
        }
    }

    /// Replaces secrets in the value of a header field.
    pub(super) fn header(&self, name: &str, value: &str) -> String {
        match value.split_once(' ') {
            Some((scheme, credentials)) if is_secret(name) => {
                format!("{scheme} {}", self.replace_whole(credentials))
            }
            _ => self.field(name, value),
        }
    }

    /// Replaces secrets in JSON.
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

/// Returns whether fields of this name hold secrets.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_SUFFIXES.iter().any(|end| name.ends_with(end))
}

/// Returns whether fields of this name hold authorization codes, in forms and addresses.
fn is_code(name: &str) -> bool {
    name.eq_ignore_ascii_case("code")
}

fn is_like_a_token(text: &str) -> bool {
    text.len() >= MIN_TOKEN_LENGTH && text.bytes().any(|byte| byte.is_ascii_digit())
}

fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}
