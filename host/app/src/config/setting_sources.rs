//! The sources of the plugin's settings, so that an error of the plugin can name the line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use relation_host::types::FieldError;

use super::{ConfigError, SettingError};

/// The configuration file, and the key and line of each setting that it gives the plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingSources {
    file: PathBuf,
    settings: BTreeMap<String, (String, usize)>,
}

impl SettingSources {
    /// Sets the file of all settings.
    pub(super) fn set_file(&mut self, file: &Path) {
        file.clone_into(&mut self.file);
    }

    /// Records that `key` in `line` gave `setting`.
    pub(super) fn record(&mut self, setting: &str, key: String, line: usize) {
        self.settings.insert(setting.to_owned(), (key, line));
    }

    /// Builds the error for settings that the plugin refused, with the key and line of each setting.
    pub fn to_config_error(&self, errors: Vec<FieldError>) -> ConfigError {
        let mut errors: Vec<SettingError> = errors
            .into_iter()
            .map(
                |FieldError { field, message }| match self.settings.get(&field) {
                    Some((key, line)) => SettingError {
                        line: Some(*line),
                        key: key.clone(),
                        message,
                    },
                    None => SettingError {
                        line: None,
                        key: field,
                        message,
                    },
                },
            )
            .collect();
        errors.sort_by_key(|error| error.line);
        ConfigError::Invalid {
            path: self.file.clone(),
            errors,
        }
    }
}
