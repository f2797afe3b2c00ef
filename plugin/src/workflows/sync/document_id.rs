//! The primary keys of imported documents.

use std::fmt;
use std::hash::Hasher;

use sha2::{Digest, Sha256};

use crate::platform::{Reference, is_pkid};

/// A primary key derived from record, model and Webex's id, so that a repeated step creates no duplicates:
/// the first 96 bits of their SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId([u8; 12]);

/// A hasher of a [`DocumentId`] by its own bits, which are random already.
#[derive(Clone, Copy, Debug, Default)]
pub struct DocumentIdHasher(u64);

impl Hasher for DocumentIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    // Also called with the length, which is always the same.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }
}

impl DocumentId {
    /// Derives the key of the entry `id` of `model` for `record`.
    pub fn derive(record: &str, model: &str, id: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [record, model, id] {
            // Each part is preceded by its length, so that no two triples yield the same bytes.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let mut key = [0; 12];
        key.iter_mut()
            .zip(hash.finalize())
            .for_each(|(to, from)| *to = from);
        Self(key)
    }

    /// Parses 24 lower-case hexadecimal characters.
    pub fn parse(pkid: &str) -> Option<Self> {
        if !is_pkid(pkid) {
            return None;
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => byte - b'0',
            _ => byte - b'a' + 10,
        };
        let mut key = [0; 12];
        let pairs = pkid.as_bytes().chunks_exact(2);
        for (byte, pair) in key.iter_mut().zip(pairs) {
            *byte = pair.iter().fold(0, |byte, each| byte << 4 | digit(*each));
        }
        Some(Self(key))
    }

    /// Adds `ids`, in their order, to the digest of those before them; 0: none.
    pub fn extend_digest(digest: u64, ids: &[Self]) -> u64 {
        ids.iter().fold(digest, |digest, Self(key)| {
            let bits = key
                .first_chunk()
                .map_or(0, |first| u64::from_le_bytes(*first));
            (digest.rotate_left(5) ^ bits).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }

    /// Returns the reference to the document of `model` with this key.
    pub fn reference(&self, model: &str) -> Reference {
        Reference::new(model, self.to_string())
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut text = [0; 24];
        for (character, digit) in text.iter_mut().zip(digits) {
            *character = match digit {
                0..=9 => b'0' + digit,
                _ => b'a' + digit - 10,
            };
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_id_derives_from_record_model_and_id() {
        let id = DocumentId::derive("0123456789abcdef01234567", "device/spark/Role", "R1");
        assert_eq!(
            id,
            DocumentId::derive("0123456789abcdef01234567", "device/spark/Role", "R1")
        );
        assert_ne!(
            id,
            DocumentId::derive("0123456789abcdef01234567", "device/spark/RoleR", "1")
        );
        assert_eq!(id.to_string().len(), 24);
        assert_eq!(DocumentId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn digest_depends_on_ids_and_order_not_on_pages() {
        let id = |name| DocumentId::derive("0123456789abcdef01234567", "device/spark/Role", name);
        let digest = |ids: &[DocumentId]| DocumentId::extend_digest(0, ids);
        let [one, two, three] = [id("R1"), id("R2"), id("R3")];
        let whole = digest(&[one, two, three]);
        assert_eq!(
            DocumentId::extend_digest(digest(&[one]), &[two, three]),
            whole
        );
        for other in [&[one, three, two][..], &[one, two], &[two, three], &[]] {
            assert_ne!(digest(other), whole);
        }
    }

    #[test]
    fn invalid_document_id_is_not_parsed() {
        for pkid in [
            "",
            "0123",
            "+123456789abcdef01234567",
            "0123456789ABCDEF01234567",
            "0123456789abcdef0123456789",
        ] {
            assert_eq!(DocumentId::parse(pkid), None, "{pkid}");
        }
    }
}
