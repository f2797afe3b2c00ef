//! What is said of one trial.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What came of one trial.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How many exported functions were called.
    pub calls: u32,
    /// Tells trials apart that went different ways, as far as that can be seen from outside; 0 when nothing
    /// was called.
    pub signature: u64,
    /// The way in words.
    pub way: String,
    /// What is wrong.
    pub finding: Option<Finding>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// The exported function that was called.
    pub function: String,
    /// What happened.
    pub what: String,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// The call ended without an answer: a panic, a trap, a bound that was hit.
    Trap,
    /// A failure that the contract keeps for faults of the plugin's author, or one that says nothing.
    Failure,
    /// A secret is where it must not be.
    Leak,
    /// What is stored afterwards breaks a promise, or cannot be read any more.
    State,
    /// The host did not keep its side.
    Host,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FindingKind::Trap => "no answer",
            FindingKind::Failure => "failure",
            FindingKind::Leak => "leak",
            FindingKind::State => "state",
            FindingKind::Host => "host",
        };
        write!(f, "{kind} in {}: {}", self.function, self.what)
    }
}

impl Finding {
    /// The same for findings that differ only in what the input put into their words.
    pub fn gist(&self) -> String {
        format!("{:?} {} {}", self.kind, self.function, gist(&self.what, 12))
    }
}

impl Verdict {
    /// Of an input that comes to nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    pub(crate) fn sign(way: String, more: impl Hash) -> (u64, String) {
        let mut hasher = DefaultHasher::new();
        (&way, more).hash(&mut hasher);
        (hasher.finish(), way)
    }
}

/// The first words of a text, without what is written in capitals, numbers or other alphabets.
pub(crate) fn gist(text: &str, words: usize) -> String {
    let plain = text.split(|c: char| !c.is_ascii_lowercase());
    let found: Vec<&str> = plain.filter(|word| word.len() > 1).take(words).collect();
    found.join(" ")
}
