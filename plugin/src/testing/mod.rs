//! A platform in memory, for tests: the contract's semantics, a clock that tests set, scripted HTTP
//! responses.

mod fixtures;
mod store;
mod web;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

pub use fixtures::{
    ACCESS_TOKEN, DATA_SYNCS, HIERARCHY, ORGANIZATION, PKID, REFRESH_TOKEN, connected_record,
};
pub use store::CommitFault;
pub use web::{SentRequest, json_response, raw_response};

use crate::platform::{
    Environment, Failure, Level, Millis, Secret, Secrets, TransactionLog, UnixMillis,
};

/// The initial time of a new [`MemoryPlatform`]: 2026-01-01T00:00:00Z.
pub const START: UnixMillis = UnixMillis(1_767_225_600_000);
/// A second.
pub const SECOND: Millis = Millis::from_seconds(1);
/// An hour.
pub const HOUR: Millis = Millis::from_hours(1);
/// A day.
pub const DAY: Millis = Millis::from_hours(24);

/// The name, the start and the outcome of a part of a call.
type RecordedPart = (String, UnixMillis, Result<String, String>);

/// Returns the fields and messages of an `invalid` failure. Any other result is one message without a field.
pub fn field_errors<T: fmt::Debug>(result: Result<T, Failure>) -> Vec<(String, String)> {
    match result {
        Err(Failure::Invalid(errors)) => errors
            .into_iter()
            .map(|error| (error.field, error.message))
            .collect(),
        other => vec![(String::new(), format!("{other:?}"))],
    }
}

/// A complete platform in memory.
///
/// It uses interior mutability, so that a scripted response or a [`CommitFault`] can use the
/// platform while a workflow does, as another host would.
pub struct MemoryPlatform {
    store: RefCell<store::Store>,
    web: RefCell<web::Web>,
    clock: Cell<UnixMillis>,
    random: Cell<u64>,
    settings: RefCell<BTreeMap<String, String>>,
    setting_secrets: RefCell<BTreeMap<String, Secret>>,
    log_lines: RefCell<Vec<(Level, String)>>,
    progress: RefCell<Vec<(u32, u32, String)>>,
    parts: RefCell<Vec<RecordedPart>>,
    interrupted: Cell<Option<UnixMillis>>,
    /// The results of the next `reveal`s; `None` lets one succeed.
    reveals: RefCell<VecDeque<Option<Failure>>>,
}

impl Default for MemoryPlatform {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryPlatform {
    /// Creates an empty platform at the time [`START`], with a Webex client and one scope
    /// configured.
    pub fn new() -> Self {
        let platform = Self {
            store: RefCell::default(),
            web: RefCell::default(),
            clock: Cell::new(START),
            random: Cell::new(0),
            settings: RefCell::default(),
            setting_secrets: RefCell::default(),
            log_lines: RefCell::default(),
            progress: RefCell::default(),
            parts: RefCell::default(),
            interrupted: Cell::default(),
            reveals: RefCell::default(),
        };
        platform.set("webex.client-id", "C0ffee");
        platform.set("webex.scopes", "spark-admin:people_read");
        platform.set_secret("webex.client-secret", "the-client-secret");
        platform
    }

    /// Sets a plain setting.
    pub fn set(&self, name: &str, value: &str) {
        self.settings
            .borrow_mut()
            .insert(name.to_owned(), value.to_owned());
    }

    /// Removes a plain setting.
    pub fn unset(&self, name: &str) {
        self.settings.borrow_mut().remove(name);
    }

    /// Sets a secret of the installation.
    pub fn set_secret(&self, name: &str, value: &str) {
        self.setting_secrets
            .borrow_mut()
            .insert(name.to_owned(), Secret::new(value));
    }

    /// Removes a secret of the installation.
    pub fn unset_secret(&self, name: &str) {
        self.setting_secrets.borrow_mut().remove(name);
    }

    /// Moves the clock to `now`.
    pub fn set_now(&self, now: UnixMillis) {
        self.clock.set(now);
    }

    /// Sets the beginning of an earlier, interrupted call; none if there was no such call.
    pub fn set_interrupted(&self, began: Option<UnixMillis>) {
        self.interrupted.set(began);
    }

    /// Makes the `nth` `reveal` from now fail once; 1 is the next one.
    pub fn fail_reveal(&self, nth: usize, failure: Failure) {
        let mut reveals = self.reveals.borrow_mut();
        let length = nth.max(reveals.len());
        reveals.resize(length, None);
        if let Some(slot) = nth.checked_sub(1).and_then(|index| reveals.get_mut(index)) {
            *slot = Some(failure);
        }
    }

    /// Moves the clock forward by `duration`.
    pub fn advance(&self, duration: Millis) {
        self.clock.set(self.clock.get() + duration);
    }

    /// Returns all log lines so far.
    pub fn log_lines(&self) -> Vec<(Level, String)> {
        self.log_lines.borrow().clone()
    }

    /// Returns whether a line of `level` or above contains `text`.
    pub fn logged(&self, level: Level, text: &str) -> bool {
        self.log_lines
            .borrow()
            .iter()
            .any(|(each, line)| *each as u8 >= level as u8 && line.contains(text))
    }

    /// Returns all progress reports so far.
    pub fn progress_reports(&self) -> Vec<(u32, u32, String)> {
        self.progress.borrow().clone()
    }

    /// Returns all recorded parts so far: the name and the outcome of each.
    pub fn recorded_parts(&self) -> Vec<(String, Result<String, String>)> {
        let parts = self.parts.borrow();
        let parts = parts.iter();
        parts
            .map(|(action, _, outcome)| (action.clone(), outcome.clone()))
            .collect()
    }

    /// Returns everything that a person or a disk could see (documents, wakeups, log, progress) as
    /// one text, for asserting that it contains no secret.
    pub fn visible_output(&self) -> String {
        let store = self.store.borrow();
        let mut all = String::new();
        for document in store.documents.values() {
            all.push_str(&format!("{document:?}\n{}\n", document.body));
        }
        for wakeup in store.wakeups.values() {
            all.push_str(&format!("{wakeup:?}\n"));
        }
        for (_, line) in self.log_lines.borrow().iter() {
            all.push_str(line);
            all.push('\n');
        }
        for (_, _, line) in self.progress.borrow().iter() {
            all.push_str(line);
            all.push('\n');
        }
        for part in self.parts.borrow().iter() {
            all.push_str(&format!("{part:?}\n"));
        }
        all
    }
}

impl Secrets for MemoryPlatform {
    fn reveal(
        &self,
        owner: &crate::platform::Reference,
        name: &str,
    ) -> Result<Option<Secret>, Failure> {
        match self.reveals.borrow_mut().pop_front().flatten() {
            Some(failure) => Err(failure),
            None => Ok(self.secret(owner, name)),
        }
    }

    fn reveal_setting(&self, name: &str) -> Result<Option<Secret>, Failure> {
        Ok(self.setting_secrets.borrow().get(name).cloned())
    }
}

impl TransactionLog for MemoryPlatform {
    fn log(&self, level: Level, message: &str) {
        self.log_lines
            .borrow_mut()
            .push((level, message.to_owned()));
    }

    fn progress(&self, done: u32, total: u32, message: &str) {
        self.progress
            .borrow_mut()
            .push((done, total, message.to_owned()));
    }

    fn interrupted(&self) -> Option<UnixMillis> {
        self.interrupted.get()
    }

    fn record_part(&self, action: &str, started: UnixMillis, outcome: Result<&str, &str>) {
        let outcome = outcome.map(str::to_owned).map_err(str::to_owned);
        self.parts
            .borrow_mut()
            .push((action.to_owned(), started, outcome));
    }
}

impl Environment for MemoryPlatform {
    fn now(&self) -> UnixMillis {
        self.clock.get()
    }

    /// Returns bytes that differ on every call and are equal in every run (splitmix64 of a
    /// counter).
    fn random(&self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count.next_multiple_of(8));
        while bytes.len() < count {
            let seed = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.random.set(seed);
            let mut word = seed;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend_from_slice(&(word ^ (word >> 31)).to_be_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    fn settings(&self) -> Result<Vec<(String, String)>, Failure> {
        let settings = self.settings.borrow();
        Ok(settings
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect())
    }
}
