//! Where the plugin's settings were given, so that one which the plugin refuses is told with its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use relation_host::types::FieldError;

use super::{ConfigError, Fault};

/// The file of a configuration, and the key and the line of every setting that it gives the plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    file: PathBuf,
    settings: BTreeMap<String, (String, usize)>,
}

impl Origins {
    /// Names the file that all of them are in.
    pub(super) fn set_file(&mut self, file: &Path) {
        file.clone_into(&mut self.file);
    }

    /// Notes that `setting` was given by `key` in this line.
    pub(super) fn note(&mut self, setting: &str, key: String, line: usize) {
        self.settings.insert(setting.to_owned(), (key, line));
    }

    /// The error of a configuration whose settings the plugin refuses: each fault with the key and the
    /// line that gave the setting.
    pub fn refused(&self, faults: Vec<FieldError>) -> ConfigError {
        let mut faults: Vec<Fault> = faults
            .into_iter()
            .map(
                |FieldError { field, message }| match self.settings.get(&field) {
                    Some((key, line)) => Fault {
                        line: Some(*line),
                        key: key.clone(),
                        message,
                    },
                    None => Fault {
                        line: None,
                        key: field,
                        message,
                    },
                },
            )
            .collect();
        faults.sort_by_key(|fault| fault.line);
        ConfigError::Wrong {
            path: self.file.clone(),
            faults,
        }
    }
}
