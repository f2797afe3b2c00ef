//! Redaction of the harness's output: secrets are shown as digests. So runs can be compared, and tests can
//! check that a sent token is the stored one.

use std::sync::Arc;

use parking_lot::Mutex;
use relation_host::transactions::Transaction;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

/// Names of secret fields in forms, addresses and JSON; case is ignored.
const SECRET_NAMES: &[&str] = &[
    "assertion",
    "client_secret",
    "code_verifier",
    "password",
    "secret",
    "token",
];
/// Ends of further such names.
const SECRET_SUFFIXES: &[&str] = &["_password", "_repeat", "_secret", "_token"];
/// Header fields with credentials, after the authentication scheme if there is one.
const SECRET_HEADERS: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
];
/// The least length of a value that is replaced anywhere. Shorter ones are replaced only in secret fields,
/// because they could be parts of ordinary words.
const MIN_LENGTH: usize = 8;

/// Returns the digest shown for a secret: `sha256:` and the first 16 hexadecimal digits of its SHA-256. A text
/// that already is such a digest is returned unchanged.
pub fn digest(clear: &str) -> String {
    if is_digest(clear) {
        return clear.to_owned();
    }
    let hash = Sha256::digest(clear.as_bytes());
    let digits = hash.first_chunk::<8>().map(hex::encode);
    format!("sha256:{}", digits.unwrap_or_default())
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// A redactor that replaces secrets by their digests: values of secret fields, and learned values anywhere. Clones
/// share what they learned.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a value that contains another is replaced as a whole.
    known: Arc<Mutex<Vec<String>>>,
}

impl Redactor {
    /// Remembers a secret, to replace it anywhere.
    pub fn learn(&self, value: &str) {
        if value.len() < MIN_LENGTH || is_digest(value) {
            return;
        }
        let mut known = self.known.lock();
        if !known.iter().any(|one| one == value) {
            let place = known.partition_point(|one| one.len() >= value.len());
            known.insert(place, value.to_owned());
        }
    }

    /// Redacts a text: known secrets, and passwords in addresses.
    pub fn text(&self, text: &str) -> String {
        let known = self.known.lock();
        let text = known.iter().fold(text.to_owned(), |text, secret| {
            match text.contains(secret) {
                true => text.replace(secret, &digest(secret)),
                false => text,
            }
        });
        drop(known);
        match password_of(&text) {
            Some(password) => text.replace(&password, &digest(&password)),
            None => text,
        }
    }

    /// Redacts the value of a form field or query parameter.
    pub fn field(&self, name: &str, value: &str) -> String {
        // In JSON, `code` is the name of error codes.
        if names_secret(name) || name == "code" {
            self.learn(value);
            return digest(value);
        }
        self.text(value)
    }

    /// Redacts the value of a header field.
    pub fn header(&self, name: &str, value: &str) -> String {
        if !SECRET_HEADERS
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
        {
            return self.text(value);
        }
        match value.split_once(' ') {
            Some((scheme, credentials)) => {
                self.learn(credentials);
                format!("{scheme} {}", digest(credentials))
            }
            None => digest(value),
        }
    }

    /// Redacts an address: its password, secrets in its query, and known secrets.
    pub fn address(&self, address: &str) -> String {
        let Ok(mut url) = Url::parse(address) else {
            return self.text(address);
        };
        let query: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| (name.to_string(), self.field(&name, &value)))
            .collect();
        if !query.is_empty() {
            url.query_pairs_mut().clear().extend_pairs(query);
        }
        self.text(url.as_str())
    }

    /// Redacts the plugin's texts in a transaction, and the originator's.
    pub fn transaction(&self, mut transaction: Transaction) -> Transaction {
        transaction.message = self.text(&transaction.message);
        if let Some(progress) = &mut transaction.progress {
            progress.message = self.text(&progress.message);
        }
        if let Some(originator) = &mut transaction.originator {
            let texts = [
                &mut originator.external_id,
                &mut originator.external_reference,
            ];
            for text in texts.into_iter().flatten() {
                *text = self.text(text);
            }
            originator.user = self.text(&originator.user);
        }
        for line in &mut transaction.log {
            line.message = self.text(&line.message);
        }
        transaction
    }

    /// Redacts JSON: the values of secret fields, and known secrets in others.
    pub fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Object(fields) => {
                let shown = |(name, value): (&String, &Value)| match value {
                    Value::String(text) if names_secret(name) && !text.is_empty() => {
                        self.learn(text);
                        (name.clone(), Value::String(digest(text)))
                    }
                    other => (name.clone(), self.json(other)),
                };
                fields.iter().map(shown).collect()
            }
            other => other.clone(),
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str()) || SECRET_SUFFIXES.iter().any(|end| name.ends_with(end))
}

/// Returns the password in a text that is an address.
fn password_of(text: &str) -> Option<String> {
    if !text.contains("://") || !text.contains('@') {
        return None;
    }
    let password = Url::parse(text).ok()?.password()?.to_owned();
    (!is_digest(&password) && !password.is_empty()).then_some(password)
}

#[cfg(test)]
mod tests {
    use relation_host::CallErrorKind;
    use relation_host::transactions::{Level, LogLine, Progress, Status};
    use relation_host::types::{Failure, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::CallFailure;

    #[test]
    fn learned_secret_is_redacted_everywhere() {
        let redactor = Redactor::default();
        let shown = redactor.json(&json!({
            "refresh_token": "clear-refresh-token",
            "note": "nothing of it",
            "errors": [{ "code": "not secret" }],
        }));
        let stands_for = digest("clear-refresh-token");
        assert_eq!(
            shown,
            json!({
                "refresh_token": stands_for,
                "note": "nothing of it",
                "errors": [{ "code": "not secret" }],
            })
        );
        assert_eq!(
            redactor.text("got clear-refresh-token again"),
            format!("got {stands_for} again")
        );
    }

    #[test]
    fn credentials_in_headers_keep_their_scheme() {
        let shown = Redactor::default().header("Authorization", "Bearer abcdefgh");
        assert_eq!(shown, format!("Bearer {}", digest("abcdefgh")));
    }

    #[test]
    fn an_address_keeps_all_but_its_secrets() {
        let redactor = Redactor::default();
        assert_eq!(
            redactor.address("https://host/callback?code=abcd&state=s1"),
            format!(
                "https://host/callback?code={}&state=s1",
                digest("abcd").replace(':', "%3A")
            )
        );
        let proxy = redactor.text("http://user:pa55word@proxy:3128/");
        assert_eq!(
            proxy,
            format!("http://user:{}@proxy:3128/", digest("pa55word"))
        );
    }

    #[test]
    fn transaction_texts_are_redacted() {
        let redactor = Redactor::default();
        redactor.learn("clear-token");
        let says = "leaking clear-token".to_owned();
        let record = Transaction {
            id: "1".to_owned(),
            action: "refresh".to_owned(),
            subject: None,
            subject_name: String::new(),
            hierarchy: None,
            originator: None,
            request: None,
            status: Status::Fail,
            progress: Some(Progress {
                done: 1,
                total: 2,
                message: says.clone(),
            }),
            message: says.clone(),
            submitted: Timestamp(0),
            started: Timestamp(0),
            completed: None,
            log: vec![LogLine {
                at: Timestamp(0),
                level: Level::Info,
                message: says.clone(),
            }],
            secret_accesses: Vec::new(),
            omitted_accesses: 0,
        };
        let refusal = CallErrorKind::Refused(Failure::Internal(says));
        let shown = format!(
            "{:?} {:?}",
            redactor.transaction(record),
            CallFailure::from_error(&refusal, &redactor)
        );
        assert!(!shown.contains("clear-token"), "{shown}");
        assert_eq!(shown.matches(&digest("clear-token")).count(), 4, "{shown}");
    }

    #[test]
    fn digest_of_a_digest_is_unchanged() {
        let once = digest("abcdefgh");
        assert_eq!(digest(&once), once);
        assert_eq!(once.len(), "sha256:".len() + 16);
    }
}
