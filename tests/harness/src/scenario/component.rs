//! What scenarios run on.

use relation_host::ComponentSource;
use relation_host::component::ComponentCache;

use crate::harness::{Harness, HarnessBuilder};

/// A component, and where it is kept compiled for the next process, if anywhere.
#[derive(Clone, Debug)]
pub struct Component {
    bytes: Vec<u8>,
    cache: Option<ComponentCache>,
}

impl From<Vec<u8>> for Component {
    /// Compiled by this process, for itself.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, cache: None }
    }
}

impl Component {
    /// As what an earlier process has compiled, or for a later one.
    #[must_use]
    pub fn cached(mut self, cache: ComponentCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Starts putting a harness together that runs it.
    pub(super) fn harness(&self) -> HarnessBuilder {
        let builder = Harness::builder(ComponentSource::Bytes(self.bytes.clone()));
        match &self.cache {
            Some(cache) => builder.component_cache(cache.clone()),
            None => builder,
        }
    }
}
