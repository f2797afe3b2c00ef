//! The verdict on one trial.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The verdict on one trial.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Number of calls of exported functions.
    pub calls: u32,
    /// Distinguishes trials with different paths, as far as they are visible from outside; 0
    /// without a call.
    pub signature: u64,
    /// The path in words.
    pub path: String,
    /// The finding, if any.
    pub finding: Option<Finding>,
}

/// A violation of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// The exported function of the call.
    pub function: String,
    /// Its description.
    pub description: String,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// The call ended without a result: a panic, a trap, a limit.
    Trap,
    /// A failure that the contract keeps for faults of the plugin's author, or one without a text.
    Failure,
    /// A leaked secret.
    Leak,
    /// Stored state that breaks a promise, or is unreadable.
    State,
    /// A defect of the host.
    Host,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FindingKind::Trap => "no result",
            FindingKind::Failure => "failure",
            FindingKind::Leak => "leak",
            FindingKind::State => "state",
            FindingKind::Host => "host",
        };
        write!(f, "{kind} in {}: {}", self.function, self.description)
    }
}

impl Finding {
    /// Returns the same fingerprint for findings that differ only in text from the input.
    pub fn fingerprint(&self) -> String {
        format!(
            "{:?} {} {}",
            self.kind,
            self.function,
            fingerprint(&self.description, 12)
        )
    }
}

impl Verdict {
    /// Returns the verdict on an input without a call.
    pub fn idle() -> Self {
        Self::default()
    }

    pub(crate) fn sign(path: String, more: impl Hash) -> (u64, String) {
        let mut hasher = DefaultHasher::new();
        (&path, more).hash(&mut hasher);
        (hasher.finish(), path)
    }
}

/// Returns the first words of a text, without capitals, numbers and other alphabets.
pub(crate) fn fingerprint(text: &str, words: usize) -> String {
    let plain = text.split(|c: char| !c.is_ascii_lowercase());
    let found: Vec<&str> = plain.filter(|word| word.len() > 1).take(words).collect();
    found.join(" ")
}
