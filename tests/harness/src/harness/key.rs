//! The key-encryption key of all harnesses, which is public.

use relation_host::store::seal::{KeyEncryptionKey, KeyError, KeyProvider};
use zeroize::Zeroizing;

/// A key that protects nothing, because a harness stores no real secrets.
pub(super) struct TestKey;

impl TestKey {
    fn key() -> KeyEncryptionKey {
        KeyEncryptionKey::new(Zeroizing::new([7; 32]))
    }
}

impl KeyProvider for TestKey {
    fn load(&self) -> Result<Option<KeyEncryptionKey>, KeyError> {
        Ok(Some(Self::key()))
    }

    fn create(&self) -> Result<KeyEncryptionKey, KeyError> {
        Ok(Self::key())
    }

    fn describe(&self) -> String {
        "the key of the test harness".to_owned()
    }
}
