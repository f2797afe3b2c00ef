//! The configuration of a command, the host that is recorded, and the printing of a call's result.

use std::path::Path;

use relation_app::config::Config;
use relation_app::{AppError, Installation, PluginFile, StoreUrl, hide_password};
#[cfg(feature = "scenarios")]
use relation_host::CallOutput;
#[cfg(feature = "scenarios")]
use relation_host::Host;
use serde::Serialize;

use super::{Context, GlobalArgs, embedded};
use crate::clock::clock;
#[cfg(feature = "scenarios")]
use crate::recording::Recording;

/// Loads the configuration, and applies the options of the command line.
pub fn load_config(global: &GlobalArgs) -> Result<Config, AppError> {
    let mut config = Config::load(global.config.as_deref())?;
    if let Some(store) = &global.store {
        config.store = parse_store(store, "--store", Path::new(""))?;
    }
    Ok(config)
}

/// Parses the URL of a store in `option`. A relative path in it is relative to `directory`.
///
/// # Errors
/// The URL cannot be used, or contains a password: others on this machine can read a command line.
pub fn parse_store(text: &str, option: &str, directory: &Path) -> Result<StoreUrl, AppError> {
    let refuse = |message: &str| {
        let shown = hide_password(text);
        AppError::usage(format!("{option} {shown:?}: {message}"))
    };
    let url = StoreUrl::parse(text, directory).map_err(|message| refuse(&message))?;
    match url.has_password() {
        true => Err(refuse("a password is not an argument, which others can read").hint(
            "write the password alone to a file and add `?password-file=FILE` to the URL, set PGPASSWORD, or configure \
             the URL as `store`",
        )),
        false => Ok(url),
    }
}

/// Returns the plugin of `file`, or the embedded one.
pub fn plugin_file(file: Option<&Path>) -> PluginFile {
    PluginFile {
        file: file.map(Path::to_owned),
        embedded: embedded::COMPONENT,
    }
}

/// Returns the installation that the command line and `config` name.
pub fn installation(global: &GlobalArgs, config: Config) -> Installation {
    Installation {
        config,
        clock: clock(),
        plugin: plugin_file(global.plugin.as_deref()),
    }
}

impl Context {
    /// Opens the host, with a recorder on its store and its egress.
    #[cfg(feature = "scenarios")]
    pub async fn recorded_host(&self, file: &Path) -> Result<(Host, Recording), AppError> {
        let mut parts = self.installation.open_parts().await?;
        let recording = Recording::begin(file, &self.installation, &mut parts)?;
        let host = self.installation.host_from(parts).await?;
        Ok((host, recording))
    }

    /// Prints the result of a call. In JSON, the id of its transaction is added.
    pub fn print_call<T: Serialize>(
        &self,
        call_output: &CallOutput<T>,
        render_text: impl FnOnce(&T) -> String,
    ) -> Result<(), AppError> {
        self.output
            .print(&CallDocument::new(call_output), |document| {
                render_text(document.value)
            })
    }

    /// Prints like [`Context::print_call`], for one of several calls: in JSON on a line of its own.
    pub fn print_call_line<T: Serialize>(
        &self,
        call_output: &CallOutput<T>,
        render_text: impl FnOnce(&T) -> String,
    ) -> Result<(), AppError> {
        self.output
            .line(&CallDocument::new(call_output), |document| {
                render_text(document.value)
            })
    }
}

/// The result of a call, with the id of its transaction.
#[derive(Serialize)]
struct CallDocument<'a, T> {
    transaction: &'a str,
    #[serde(flatten)]
    value: &'a T,
}

impl<'a, T> CallDocument<'a, T> {
    fn new(call_output: &'a CallOutput<T>) -> Self {
        Self {
            transaction: &call_output.transaction,
            value: &call_output.value,
        }
    }
}
