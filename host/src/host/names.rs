//! The names that a host gives: keys of new records, and ids of transactions.

use std::sync::atomic::Ordering;

use uuid::{Builder, Uuid};

use super::Host;
use crate::types::{Pkid, Timestamp};

impl Host {
    /// A key that no record has: 96 random bits.
    pub(super) fn new_pkid(&self) -> Pkid {
        match &self.parts.services.entropy {
            None => Pkid::random(),
            Some(entropy) => {
                let mut bits = [0; 12];
                entropy.fill(&mut bits);
                Pkid::of(bits)
            }
        }
    }

    /// An id that no transaction has: a UUID of version 7, so that the later of two is the larger.
    pub(super) fn new_transaction(&self, now: Timestamp) -> String {
        let Some(entropy) = &self.parts.services.entropy else {
            return Uuid::now_v7().to_string();
        };
        // Randomness that repeats comes with a clock that may stand still: a count keeps the order.
        let [_, _, count @ ..] = self
            .parts
            .begun
            .fetch_add(1, Ordering::Relaxed)
            .to_be_bytes();
        let mut random = [0; 4];
        entropy.fill(&mut random);
        let mut rest = [0; 10];
        let bytes = count.into_iter().chain(random);
        rest.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        Builder::from_unix_timestamp_millis(now.0, &rest)
            .into_uuid()
            .to_string()
    }
}
