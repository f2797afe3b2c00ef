//! The cryptography of the User-based Security Model: keys (RFC 3414 appendix A.2), authentication (RFC 7860; SHA-1 as
//! in RFC 3414) and encryption with AES-128 (RFC 3826).

use aes::Aes128;
use cfb_mode::cipher::KeyIvInit as _;
use cfb_mode::{Decryptor, Encryptor};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::engine::{EngineId, EngineTime};

/// The number of octets to which a password is repeated before it is hashed (RFC 3414 appendix A.2).
const STRETCHED: usize = 1 << 20;
/// The key's length of AES-128.
const PRIVACY_KEY: usize = 16;
/// The length of the salt in `msgPrivacyParameters`.
pub const SALT: usize = 8;

/// An authentication protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthProtocol {
    /// HMAC-SHA-1-96, for receivers that have nothing better. [`SnmpTarget::allow_sha1`] must be set.
    ///
    /// [`SnmpTarget::allow_sha1`]: super::SnmpTarget::allow_sha1
    Sha1,
    /// HMAC-SHA-256-192.
    Sha256,
    /// HMAC-SHA-384-256.
    Sha384,
    /// HMAC-SHA-512-384.
    Sha512,
}

impl AuthProtocol {
    /// Returns the length of `msgAuthenticationParameters`.
    pub(super) fn mac_len(self) -> usize {
        match self {
            Self::Sha1 => 12,
            Self::Sha256 => 24,
            Self::Sha384 => 32,
            Self::Sha512 => 48,
        }
    }
}

/// Evaluates an expression with the type of the protocol's hash.
macro_rules! with_hash {
    ($protocol:expr, $hash:ident => $result:expr) => {
        match $protocol {
            AuthProtocol::Sha1 => {
                type $hash = Sha1;
                $result
            }
            AuthProtocol::Sha256 => {
                type $hash = Sha256;
                $result
            }
            AuthProtocol::Sha384 => {
                type $hash = Sha384;
                $result
            }
            AuthProtocol::Sha512 => {
                type $hash = Sha512;
                $result
            }
        }
    };
}

/// A key, zeroized when dropped.
type Key = SecretBox<[u8]>;

/// The keys of a user before they are localized for an engine (`Ku`).
#[derive(Debug)]
pub struct UserKeys {
    protocol: AuthProtocol,
    auth: Key,
    privacy: Option<Key>,
}

/// The keys of a user for one engine (`Kul`).
#[derive(Debug)]
pub struct LocalizedKeys {
    protocol: AuthProtocol,
    auth: Key,
    privacy: Option<Key>,
}

impl UserKeys {
    /// Derives the keys from the passwords, which hashes a mebibyte for each.
    pub fn derive(
        protocol: AuthProtocol,
        auth: &SecretString,
        privacy: Option<&SecretString>,
    ) -> Self {
        Self {
            protocol,
            auth: stretch(protocol, auth),
            privacy: privacy.map(|password| stretch(protocol, password)),
        }
    }

    /// Localizes the keys for an engine.
    pub fn localize(&self, engine: &EngineId) -> LocalizedKeys {
        let localize = |key: &Key| localize(self.protocol, key, engine.as_octets());
        LocalizedKeys {
            protocol: self.protocol,
            auth: localize(&self.auth),
            privacy: self.privacy.as_ref().map(localize),
        }
    }
}

impl LocalizedKeys {
    pub fn protocol(&self) -> AuthProtocol {
        self.protocol
    }

    pub fn has_privacy(&self) -> bool {
        self.privacy.is_some()
    }

    /// Returns `msgAuthenticationParameters` for a whole message in which they are zero.
    pub fn authenticate(&self, parts: &[&[u8]]) -> Vec<u8> {
        with_hash!(self.protocol, H => {
            let mac = keyed::<Hmac<H>>(&self.auth, parts);
            let tag = mac.finalize().into_bytes();
            tag.into_iter().take(self.protocol.mac_len()).collect()
        })
    }

    /// Verifies `msgAuthenticationParameters` in constant time.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        with_hash!(self.protocol, H => {
            let mac = keyed::<Hmac<H>>(&self.auth, parts);
            tag.len() == self.protocol.mac_len() && mac.verify_truncated_left(tag).is_ok()
        })
    }

    /// Encrypts in place. Without a privacy key nothing changes; the caller asks [`Self::has_privacy`] before.
    pub fn encrypt(&self, time: EngineTime, salt: [u8; SALT], bytes: &mut [u8]) {
        if let Some(key) = self.privacy_key() {
            let iv = initialization_vector(time, salt);
            Encryptor::<Aes128>::new((&*key).into(), (&iv).into()).encrypt(bytes);
        }
    }

    /// Decrypts in place, as [`Self::encrypt`].
    pub fn decrypt(&self, time: EngineTime, salt: [u8; SALT], bytes: &mut [u8]) {
        if let Some(key) = self.privacy_key() {
            let iv = initialization_vector(time, salt);
            Decryptor::<Aes128>::new((&*key).into(), (&iv).into()).decrypt(bytes);
        }
    }

    /// Returns the first octets of the localized key (RFC 3826 section 3.1.2.1).
    fn privacy_key(&self) -> Option<Zeroizing<[u8; PRIVACY_KEY]>> {
        let key = self.privacy.as_ref()?.expose_secret();
        let first = key.first_chunk::<PRIVACY_KEY>()?;
        Some(Zeroizing::new(*first))
    }
}

fn keyed<M: hmac::Mac + hmac::KeyInit>(key: &Key, parts: &[&[u8]]) -> M {
    // HMAC takes keys of any length, so the error cannot occur; a key of zeros would fail every check.
    let mut mac = <M as hmac::KeyInit>::new_from_slice(key.expose_secret())
        .unwrap_or_else(|_| M::new(&hmac::digest::Key::<M>::default()));
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Builds the initialization vector (RFC 3826 section 3.1.2.1).
fn initialization_vector(time: EngineTime, salt: [u8; SALT]) -> [u8; 16] {
    let words = (u128::from(time.boots) << 96) | (u128::from(time.seconds) << 64);
    (words | u128::from(u64::from_be_bytes(salt))).to_be_bytes()
}

/// Turns a password into a key (RFC 3414 appendix A.2).
fn stretch(protocol: AuthProtocol, password: &SecretString) -> Key {
    let password = password.expose_secret().as_bytes();
    // Hashing whole repetitions of the password saves calls; the last part is cut.
    let repetitions = (4096 / password.len().max(1)).max(1);
    let block = Zeroizing::new(password.repeat(repetitions));
    with_hash!(protocol, H => {
        let mut hash = H::new();
        let mut left = STRETCHED;
        while left > 0 && !block.is_empty() {
            let part = block.get(..left).unwrap_or(&block);
            hash.update(part);
            left -= part.len();
        }
        let mut key = vec![0; <H as sha2::Digest>::output_size()].into_boxed_slice();
        fill(hash, &mut key);
        Key::new(key)
    })
}

fn localize(protocol: AuthProtocol, key: &Key, engine: &[u8]) -> Key {
    let key = key.expose_secret();
    with_hash!(protocol, H => {
        let hash = H::new().chain_update(key).chain_update(engine).chain_update(key);
        let mut localized = vec![0; <H as sha2::Digest>::output_size()].into_boxed_slice();
        fill(hash, &mut localized);
        Key::new(localized)
    })
}

/// Writes the hash to its final place, so that no copy is left elsewhere.
fn fill<D: hmac::digest::Digest>(hash: D, key: &mut [u8]) {
    if let Ok(place) = <&mut hmac::digest::Output<D>>::try_from(key) {
        hash.finalize_into(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_key(protocol: AuthProtocol, stretched: &str, localized: &str) {
        let key = stretch(protocol, &SecretString::from("maplesyrup"));
        assert_eq!(hex::encode(key.expose_secret()), stretched);
        let engine = hex::decode("000000000000000000000002").unwrap();
        let key = super::localize(protocol, &key, &engine);
        assert_eq!(hex::encode(key.expose_secret()), localized);
    }

    #[test]
    fn sha1_key_is_that_of_rfc_3414() {
        check_key(
            AuthProtocol::Sha1,
            "9fb5cc0381497b3793528939ff788d5d79145211",
            "6695febc9288e36282235fc7151f128497b38f3f",
        );
    }

    #[test]
    fn sha2_keys_are_those_of_other_programs() {
        check_key(
            AuthProtocol::Sha256,
            "ab51014d1e077f6017df2b12bee5f5aa72993177e9bb569c4dff5a4ca0b4afac",
            "8982e0e549e866db361a6b625d84cccc11162d453ee8ce3a6445c2d6776f0f8b",
        );
        check_key(
            AuthProtocol::Sha384,
            "e06eccdf2c68a06ed034723c9c26e0db3b669e1e2efed49150b55377a2e98f383c86fb836857444654b287c93f51ff64",
            "3b298f16164a11184279d5432bf169e2d2a48307de02b3d3f7e2b4f36eb6f0455a53689a3937eea07319a633d2ccba78",
        );
        check_key(
            AuthProtocol::Sha512,
            "7e4396de5aadc77be853819b98c9406265b3a9c37cc3176569847a4e4f6fba63dd3a73d04924d31a63f95a601f9385af6be4ed1b\
             37f87d040f7c6ed6f8d38a91",
            "22a5a36cedfcc085807a128d7bc6c2382167ad6c0dbc5fdff856740f3d84c099ad1ea87a8db096714d9788bd544047c9021e4229\
             ce27e4c0a69250adfcffbb0b",
        );
    }

    #[test]
    fn password_longer_than_a_block_is_hashed_whole() {
        let long = "0123456789".repeat(500);
        let hash = Sha256::digest(
            long.repeat(STRETCHED / long.len() + 1)
                .get(..STRETCHED)
                .unwrap(),
        );
        let key = stretch(AuthProtocol::Sha256, &SecretString::from(long));
        assert_eq!(key.expose_secret(), hash.as_slice());
    }

    #[test]
    fn mac_is_truncated_and_verified() {
        let engine = EngineId::from_octets(&[0, 0, 0, 0, 2]).unwrap();
        let password = SecretString::from("maplesyrup");
        for protocol in [
            AuthProtocol::Sha1,
            AuthProtocol::Sha256,
            AuthProtocol::Sha384,
            AuthProtocol::Sha512,
        ] {
            let keys = UserKeys::derive(protocol, &password, None).localize(&engine);
            let tag = keys.authenticate(&[b"a mess", b"age"]);
            assert_eq!(tag.len(), protocol.mac_len());
            assert!(keys.verify(&[b"a message"], &tag));
            assert!(!keys.verify(&[b"A message"], &tag));
            assert!(!keys.verify(&[b"a message"], &tag[..4]));
            assert!(!keys.verify(&[b"a message"], &[]));
        }
    }

    #[test]
    fn cipher_is_that_of_sp_800_38a() {
        // NIST SP 800-38A, F.3.13 (CFB128-AES128), with the vector split as RFC 3826 builds it.
        let keys = LocalizedKeys {
            protocol: AuthProtocol::Sha256,
            auth: Key::new(vec![0; 32].into_boxed_slice()),
            privacy: Some(Key::new(
                hex::decode("2b7e151628aed2a6abf7158809cf4f3cffffffff")
                    .unwrap()
                    .into_boxed_slice(),
            )),
        };
        let time = EngineTime {
            boots: 0x0001_0203,
            seconds: 0x0405_0607,
        };
        let salt = [8, 9, 10, 11, 12, 13, 14, 15];
        let plain = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
            .unwrap();
        let mut bytes = plain.clone();
        keys.encrypt(time, salt, &mut bytes);
        assert_eq!(
            hex::encode(&bytes),
            "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"
        );
        keys.decrypt(time, salt, &mut bytes);
        assert_eq!(bytes, plain);
    }

    #[test]
    fn keys_are_not_shown() {
        let keys = UserKeys::derive(
            AuthProtocol::Sha256,
            &"canary-password".into(),
            Some(&"canary-privacy".into()),
        );
        let shown = format!(
            "{keys:?} {:?}",
            keys.localize(&EngineId::from_octets(&[1; 5]).unwrap())
        );
        assert!(!shown.contains("canary"));
        assert_eq!(shown.matches("REDACTED").count(), 4, "{shown}");
    }
}
