//! Generated values: UUIDs, tracking ids, tokens, authorization codes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The source of random bits. A clone continues as the original does.
#[derive(Clone, Debug, Default)]
pub(crate) enum Generator {
    /// The operating system.
    #[default]
    System,
    /// SHA-256 of seed and counter: the same in every build, without repetition.
    Seeded { seed: u64, drawn: u64 },
}

impl Generator {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded { seed, drawn: 0 }
    }

    fn draw(&mut self) -> Uuid {
        match self {
            Self::System => Uuid::new_v4(),
            Self::Seeded { seed, drawn } => {
                let mut hash = Sha256::new();
                hash.update(seed.to_be_bytes());
                hash.update(drawn.to_be_bytes());
                *drawn = drawn.wrapping_add(1);
                let mut bytes = [0; 16];
                for (byte, hashed) in bytes.iter_mut().zip(hash.finalize()) {
                    *byte = hashed;
                }
                uuid::Builder::from_random_bytes(bytes).into_uuid()
            }
        }
    }

    /// Generates a UUID, hyphenated and lower case.
    pub(crate) fn uuid(&mut self) -> String {
        self.draw().to_string()
    }

    /// Generates a tracking id: `ROUTER_<uuid>`.
    pub(crate) fn tracking_id(&mut self) -> String {
        format!("ROUTER_{}", self.draw())
    }

    /// Generates a token in Webex's format: `<x>_<cluster>_<organization's UUID>`.
    pub(crate) fn token(&mut self, organization_uuid: &str) -> String {
        let (a, b) = (self.draw().simple(), self.draw().simple());
        format!("{a}{b}_PF84_{organization_uuid}")
    }

    /// Generates an authorization code: opaque text of unreserved characters.
    pub(crate) fn code(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}{}", self.draw(), self.draw().simple()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_in_its_organization() {
        let uuid = "1eb65fdf-9643-417f-9974-ad72cae0e10f";
        let token = Generator::System.token(uuid);
        let parts: Vec<_> = token.split('_').collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[2], uuid);
    }

    #[test]
    fn seed_determines_the_values() {
        let mut first = Generator::seeded(7);
        let mut second = Generator::seeded(7);
        assert_eq!(first.uuid(), second.uuid());
        let mut third = first.clone();
        assert_eq!(first.code(), third.code());
        assert_ne!(first.uuid(), Generator::seeded(8).uuid());
    }

    #[test]
    fn draws_are_distinct() {
        let mut generator = Generator::seeded(0);
        let drawn: std::collections::HashSet<_> = (0..1000).map(|_| generator.uuid()).collect();
        assert_eq!(drawn.len(), 1000);
    }
}
