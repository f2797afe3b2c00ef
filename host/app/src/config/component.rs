//! The cache of compiled components.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use relation_host::component::ComponentCache;
use relation_toml::{DeValue, ValueError};

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

    /// Parses a directory, relative to `directory`, or `false`.
    pub(super) fn parse(value: DeValue<'_>, directory: &Path) -> Result<Self, ValueError> {
        match value {
            DeValue::String(path) if !path.trim().is_empty() => {
                Ok(Self::Directory(directory.join(&*path)))
            }
            DeValue::String(_) => Err("must not be empty; false turns the cache off".into()),
            DeValue::Boolean(false) => Ok(Self::Disabled),
            DeValue::Boolean(true) => Err(
                "expected a directory or false; without this key there is a cache in the user's own folder"
                    .into(),
            ),
            other => Err(ValueError::from_kind("a directory or false", &other)),
        }
    }
}
