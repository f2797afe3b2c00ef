//! The host's entropy as the generator that the WASI implementation expects.

use std::convert::Infallible;
use std::sync::Arc;

use chacha20::rand_core::TryRng;

use relation_types::entropy::Entropy;

/// An adapter of an [`Entropy`] to the generator trait that the WASI implementation expects.
pub(super) struct EntropyRng(pub(super) Arc<dyn Entropy>);

impl TryRng for EntropyRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}
