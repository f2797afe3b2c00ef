//! Calls cargo on the workspace and finds its directories.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use tinyjson::JsonValue;

use crate::step;

/// Returns a command for the cargo that runs this program.
///
/// Removes the variables by which `cargo run` describes this package. Build scripts such as ring's
/// watch these variables, and would run again whenever `cargo xtask test` follows a plain `cargo test`.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if describes_own_package(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn describes_own_package(variable: &OsStr) -> bool {
    variable.to_str().is_some_and(|name| {
        name.starts_with("CARGO_PKG_")
            || matches!(
                name,
                "CARGO_MANIFEST_DIR"
                    | "CARGO_MANIFEST_PATH"
                    | "CARGO_CRATE_NAME"
                    | "CARGO_BIN_NAME"
                    | "CARGO_PRIMARY_PACKAGE"
            )
    })
}

/// The directories of the workspace.
#[derive(Debug, PartialEq, Eq)]
pub struct Folders {
    /// The directory of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// The target directory, from whichever setting it comes.
    pub target: PathBuf,
}

/// Asks cargo for both directories, as absolute paths.
pub fn folders() -> Result<Folders> {
    let metadata =
        step::output(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--quiet"]))?;
    parse_folders(&metadata).context("reading the output of `cargo metadata`")
}

fn parse_folders(metadata: &str) -> Result<Folders> {
    let metadata: HashMap<String, JsonValue> = metadata
        .parse::<JsonValue>()?
        .try_into()
        .context("it is not a JSON object")?;
    let folder = |name: &str| {
        let text = metadata.get(name).and_then(|value| value.get::<String>());
        text.map(PathBuf::from)
            .with_context(|| format!("it has no text named `{name}`"))
    };
    Ok(Folders {
        root: folder("workspace_root")?,
        target: folder("target_directory")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_with_escapes() {
        let metadata = r#"{"packages":[],"target_directory":"C:\\a \"b\"\\target",
                           "version":1,"workspace_root":"/w"}"#;
        let expected = Folders {
            root: PathBuf::from("/w"),
            target: PathBuf::from(r#"C:\a "b"\target"#),
        };
        assert_eq!(parse_folders(metadata).unwrap(), expected);
    }

    #[test]
    fn metadata_without_folders_is_refused() {
        let error = parse_folders(r#"{"workspace_root":"/w","target_directory":7}"#).unwrap_err();
        assert!(
            format!("{error:#}").contains("target_directory"),
            "{error:#}"
        );
        assert!(parse_folders("no json").is_err());
        assert!(parse_folders("[]").is_err());
    }

    #[test]
    fn cargo_is_called_without_own_package_variables() {
        assert!(describes_own_package(OsStr::new("CARGO_PKG_VERSION_MAJOR")));
        assert!(describes_own_package(OsStr::new("CARGO_MANIFEST_DIR")));
        assert!(!describes_own_package(OsStr::new("CARGO_TARGET_DIR")));
        assert!(!describes_own_package(OsStr::new("CARGO_HOME")));
    }
}
