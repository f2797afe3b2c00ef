//! Where compiled components are kept for the next process.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use relation_host::component::ComponentCache;
use toml::de::DeValue;

use super::reader::{Reader, Section, kind};

/// Where compiled components are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheLocation {
    /// In the user's own folder for such things, if there is one.
    #[default]
    User,
    /// In this directory.
    Directory(PathBuf),
    /// Nowhere: each process compiles for itself.
    Nowhere,
}

impl CacheLocation {
    /// The cache there; none without a place for it, as for a user without a home.
    pub fn cache(&self) -> Option<ComponentCache> {
        let directory = match self {
            Self::User => {
                let caches = etcetera::choose_base_strategy().ok()?.cache_dir();
                // With an empty HOME it would be one more folder wherever a command is run.
                if !caches.is_absolute() {
                    return None;
                }
                caches.join("relation-host").join("components")
            }
            Self::Directory(directory) => directory.clone(),
            Self::Nowhere => return None,
        };
        Some(ComponentCache::at(directory))
    }
}

impl Section<'_> {
    /// A directory, relative to `directory`, or `false`.
    pub(super) fn cache_location(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        directory: &Path,
    ) -> Option<CacheLocation> {
        self.take(reader, key, |value| match value {
            DeValue::String(path) if !path.trim().is_empty() => {
                Ok(CacheLocation::Directory(directory.join(&*path)))
            }
            DeValue::String(_) => Err("must not be empty; false turns the cache off".to_owned()),
            DeValue::Boolean(false) => Ok(CacheLocation::Nowhere),
            DeValue::Boolean(true) => Err(
                "expected a directory or false; without this key there is a cache in the user's own folder"
                    .to_owned(),
            ),
            other => Err(format!(
                "expected a directory or false, found {}",
                kind(&other)
            )),
        })
    }
}
