//! The component of a scenario run.

use relation_host::ComponentSource;
use relation_host::component::ComponentCache;

use crate::harness::{Harness, HarnessBuilder};

/// A component, and the cache for its compiled form.
#[derive(Clone, Debug)]
pub struct Component {
    bytes: Vec<u8>,
    cache: Option<ComponentCache>,
}

impl From<Vec<u8>> for Component {
    /// Uses a component that only this process compiles.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, cache: None }
    }
}

impl Component {
    /// Caches the compiled component across processes.
    #[must_use]
    pub fn cached(mut self, cache: ComponentCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Starts building a harness for the component.
    pub(super) fn harness(&self) -> HarnessBuilder {
        let builder = Harness::builder(ComponentSource::Bytes(self.bytes.clone()));
        match &self.cache {
            Some(cache) => builder.component_cache(cache.clone()),
            None => builder,
        }
    }
}
