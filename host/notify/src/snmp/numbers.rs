//! Numbers that must not repeat: message ids and salts.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::usm::SALT;

/// Counters that begin at random numbers, so that a restart does not repeat those of the last run.
#[derive(Debug)]
pub struct Numbers {
    message: AtomicU32,
    salt: AtomicU64,
}

impl Numbers {
    pub fn new() -> Self {
        // The keys of `RandomState` are from the operating system's source of random numbers.
        let random = RandomState::new();
        let [.., a, b, c, d] = random.hash_one("message id").to_be_bytes();
        Self {
            message: AtomicU32::new(u32::from_be_bytes([a, b, c, d])),
            salt: AtomicU64::new(random.hash_one("salt")),
        }
    }

    /// Returns a `msgID`: 0 to 2147483647.
    pub fn message_id(&self) -> i32 {
        let number = self.message.fetch_add(1, Ordering::Relaxed);
        i32::try_from(number & 0x7fff_ffff).unwrap_or_default()
    }

    /// Returns a salt for one encryption (RFC 3826 section 3.1.4.1).
    pub fn salt(&self) -> [u8; SALT] {
        self.salt.fetch_add(1, Ordering::Relaxed).to_be_bytes()
    }
}
