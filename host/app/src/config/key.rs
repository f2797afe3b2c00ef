//! The source of the key-encryption key: a file, an environment variable, or the output of a command.

use std::fmt;
use std::path::{Path, PathBuf};

use relation_host::store::seal::{
    KeyCommand, KeyEncryptionKey, KeyEnv, KeyError, KeyFile, KeyProvider,
};
use relation_toml::Table;

use super::values::{parse_command, parse_path, parse_variable};

/// The source of the key-encryption key.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `key-file`: created at first use.
    File(PathBuf),
    /// `key-env`: the name of an environment variable.
    Env(String),
    /// `key-command`: a program and its arguments.
    Command {
        /// The program.
        program: String,
        /// The program's arguments.
        arguments: Vec<String>,
        /// The working directory.
        directory: PathBuf,
    },
}

impl KeySource {
    /// Builds a command from `words`, run in `directory`. Returns `None` without words.
    pub fn command(words: &[String], directory: &Path) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        Some(Self::Command {
            program: program.clone(),
            arguments: arguments.to_vec(),
            directory: directory.to_owned(),
        })
    }

    /// Reads `key-file`, `key-env` or `key-command`. More than one of them is an error.
    pub(super) fn read(table: &mut Table<'_, '_>, directory: &Path) -> Option<Self> {
        table.expect_at_most_one(&["key-file", "key-env", "key-command"]);
        let file = table.get("key-file", |value| parse_path(value, directory));
        let file = file.map(Self::File);
        let env = table.get("key-env", parse_variable).map(Self::Env);
        let command = table.get("key-command", parse_command);
        let command = command.and_then(|words| Self::command(&words, directory));
        file.or(env).or(command)
    }

    fn provider(&self) -> Box<dyn KeyProvider> {
        match self {
            Self::File(path) => Box::new(KeyFile::new(path)),
            Self::Env(name) => Box::new(KeyEnv::new(name)),
            Self::Command {
                program,
                arguments,
                directory,
            } => Box::new(KeyCommand::new(program, arguments.clone()).in_directory(directory)),
        }
    }
}

/// The line that configures this source. A command's arguments are left out, because they may contain
/// secrets.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "key-file = {:?}", path.display().to_string()),
            Self::Env(name) => write!(f, "key-env = {name:?}"),
            Self::Command {
                program, arguments, ..
            } => match arguments.as_slice() {
                [] => write!(f, "key-command = [{program:?}]"),
                _ => write!(f, "key-command = [{program:?}, …]"),
            },
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl KeyProvider for KeySource {
    fn load(&self) -> Result<Option<KeyEncryptionKey>, KeyError> {
        self.provider().load()
    }

    fn create(&self) -> Result<KeyEncryptionKey, KeyError> {
        self.provider().create()
    }

    fn describe(&self) -> String {
        self.provider().describe()
    }
}
