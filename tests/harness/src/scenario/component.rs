//! The component of a scenario run.

use std::sync::Arc;

use relation_host::ComponentSource;
use relation_host::component::ComponentCache;
use relation_host::store::scratch::ScratchStore;

use crate::harness::{Harness, HarnessBuilder};

/// A component, the cache for its compiled form, and the stores for its scenarios.
#[derive(Clone, Debug)]
pub struct Component {
    bytes: Vec<u8>,
    cache: Option<ComponentCache>,
    stores: Vec<Arc<dyn ScratchStore>>,
}

impl From<Vec<u8>> for Component {
    /// Uses a component that only this process compiles.
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            cache: None,
            stores: Vec::new(),
        }
    }
}

impl Component {
    /// Caches the compiled component across processes.
    #[must_use]
    pub fn cached(mut self, cache: ComponentCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Runs scenarios on these stores, in place of those that scenarios name. A scenario has one of them alone, so that
    /// no more scenarios run concurrently than there are stores.
    #[must_use]
    pub fn on_stores(mut self, stores: Vec<Arc<dyn ScratchStore>>) -> Self {
        self.stores = stores;
        self
    }

    /// Splits the component into one for each store; `None` without stores.
    pub(super) fn split(&self) -> Option<Vec<Self>> {
        let stores = self.stores.iter();
        let split = stores.map(|store| Self {
            stores: vec![Arc::clone(store)],
            ..self.clone()
        });
        (!self.stores.is_empty()).then(|| split.collect())
    }

    /// Starts building a harness for the component, on the first store.
    pub(super) fn harness(&self) -> HarnessBuilder {
        let mut builder = Harness::builder(ComponentSource::Bytes(self.bytes.clone()));
        if let Some(store) = self.stores.first() {
            builder = builder.scratch_store(Arc::clone(store));
        }
        match &self.cache {
            Some(cache) => builder.component_cache(cache.clone()),
            None => builder,
        }
    }
}
