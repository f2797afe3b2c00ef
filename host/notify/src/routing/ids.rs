//! Ids of notices, deliveries and digests. They are derived, so that a repetition has the same id on every host.

use std::fmt;

use relation_types::Hierarchy;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::NoticeKind;
use crate::settings::{ChannelKind, Recipient};

/// The number of bytes of a derived id.
const ID_BYTES: usize = 16;
/// The number of characters of a document's primary key.
const PKID_CHARS: usize = 24;

/// An id with the shape of a UUID of version 8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DerivedId(String);

impl DerivedId {
    /// Derives an id from its parts. Other parts, or parts that are divided elsewhere, have another id.
    fn derive<'p>(purpose: &'p str, parts: impl IntoIterator<Item = &'p str>) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(purpose).chain(parts) {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hash.update(length.to_be_bytes());
            hash.update(part.as_bytes());
        }
        let hash = hash.finalize();
        let bytes = hash.iter().take(ID_BYTES).enumerate();
        let bytes = bytes.map(|(index, byte)| match index {
            // The version and the variant, RFC 9562.
            6 => 0x80 | (byte & 0x0f),
            8 => 0x80 | (byte & 0x3f),
            _ => *byte,
        });
        let mut id = String::new();
        for (index, byte) in bytes.enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                id.push('-');
            }
            id.push_str(&hex::encode([byte]));
        }
        Self(id)
    }

    /// Returns the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the primary key of the document for this id: 24 hexadecimal characters of the id.
    #[must_use]
    pub fn to_pkid(&self) -> String {
        self.0
            .chars()
            .filter(|c| *c != '-')
            .take(PKID_CHARS)
            .collect()
    }
}

impl fmt::Display for DerivedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parts of a notice's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeKey {
    /// The pkid of the alert; for a threshold, the record and its grant, since several alerts stand for one expiry.
    pub source: String,
    /// The generation of the refresh token.
    pub generation: u64,
    /// The crossed threshold in milliseconds; 0 without one.
    pub threshold_ms: u64,
    /// The event.
    pub kind: NoticeKind,
    /// The part that tells one occurrence of a lasting source from the next, such as the alert's first time.
    pub episode: String,
}

impl NoticeKey {
    /// Derives the id.
    #[must_use]
    pub fn to_id(&self) -> DerivedId {
        let generation = self.generation.to_string();
        let threshold = self.threshold_ms.to_string();
        let kind = format!("{:?}", self.kind);
        let parts = [&self.source, &generation, &threshold, &kind, &self.episode];
        DerivedId::derive("notice", parts.map(String::as_str))
    }
}

/// Derives the id of the delivery of a notice to a recipient.
pub(super) fn delivery_id(notice: &str, channel: ChannelKind, recipient: &str) -> DerivedId {
    DerivedId::derive("delivery", [notice, channel.as_str(), recipient])
}

/// Derives the id of a digest from the deliveries in it.
pub(super) fn digest_id<'d>(deliveries: impl IntoIterator<Item = &'d DerivedId>) -> DerivedId {
    let mut ids: Vec<&str> = deliveries.into_iter().map(DerivedId::as_str).collect();
    ids.sort_unstable();
    DerivedId::derive("digest", ids)
}

/// Returns the key of a recipient in ids: each level notifies a recipient by its own settings, and an endpoint's secret
/// belongs to its level.
pub(super) fn recipient_key(recipient: &Recipient, origin: &str) -> String {
    format!("{origin} {}", recipient.key())
}

/// Returns the key by which deliveries to a recipient are counted and folded: [`Delivery::recipient_key`].
///
/// [`Delivery::recipient_key`]: super::Delivery::recipient_key
pub(crate) fn count_key(recipient: &Recipient, origin: &Hierarchy) -> String {
    format!(
        "{origin} {} {}",
        recipient.channel().as_str(),
        recipient.key()
    )
}
