//! Ids that the host assigns: keys of new records and ids of transactions.

use std::sync::atomic::Ordering;

use uuid::{Builder, Uuid};

use super::Host;
use crate::types::{Pkid, Timestamp};

impl Host {
    /// Creates the key of a new record: 96 random bits.
    pub(super) fn new_pkid(&self) -> Pkid {
        match &self.parts.services.entropy {
            None => Pkid::random(),
            Some(entropy) => {
                let mut bits = [0; 12];
                entropy.fill(&mut bits);
                Pkid::from_bytes(bits)
            }
        }
    }

    /// Creates a transaction id: a UUID of version 7, so that later ids are larger.
    pub(super) fn new_transaction_id(&self, now: Timestamp) -> String {
        let Some(entropy) = &self.parts.services.entropy else {
            return Uuid::now_v7().to_string();
        };
        // A seeded source often comes with a clock that does not advance: a counter keeps the
        // order.
        let [_, _, count @ ..] = self
            .parts
            .calls_begun
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
