//! The cache of compiled components.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use relation_host::component::ComponentCache;
use toml::de::DeValue;

use super::reader::{Reader, Section, describe_kind};

/// The directory of the cache for compiled components.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheLocation {
    /// The user's cache directory, if there is one.
    #[default]
    User,
    /// This directory.
    Directory(PathBuf),
    /// No cache: each process compiles the component.
    Disabled,
}

impl CacheLocation {
    /// Opens the cache. Returns `None` if the cache is disabled or the user has no home directory.
    pub fn open_cache(&self) -> Option<ComponentCache> {
        let directory = match self {
            Self::User => {
                let caches = etcetera::choose_base_strategy().ok()?.cache_dir();
                // With an empty HOME, the path would be relative to the working directory.
                if !caches.is_absolute() {
                    return None;
                }
                caches.join("relation-host").join("components")
            }
            Self::Directory(directory) => directory.clone(),
            Self::Disabled => return None,
        };
        Some(ComponentCache::new(directory))
    }
}

impl Section<'_> {
    /// Takes a directory, relative to `directory`, or `false`.
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
            DeValue::Boolean(false) => Ok(CacheLocation::Disabled),
            DeValue::Boolean(true) => Err(
                "expected a directory or false; without this key there is a cache in the user's own folder"
                    .to_owned(),
            ),
            other => Err(format!(
                "expected a directory or false, found {}",
                describe_kind(&other)
            )),
        })
    }
}
