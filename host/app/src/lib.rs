//! The layer that the command, the REST API and the page of the relation host share.
//!
//! An [`Installation`] is a configuration, a clock and a plugin; it opens the store and the host. Records are
//! found, listed and shown by [`records`], [`listing`] and [`details`]. Every error is an [`AppError`]: who must act
//! next, what happened, and a hint.

pub mod alerts;
pub mod check;
mod client_secret;
pub mod config;
pub mod data_syncs;
pub mod details;
mod error;
pub mod imports;
mod installation;
pub mod listing;
pub mod names;
pub mod notices;
pub mod oidc;
pub mod records;
pub mod secret_text;
mod shell;
pub mod sites;
mod stash_contents;
pub mod status;
mod stores;
pub mod traces;
pub mod upgrade_check;
pub mod wakeups;
pub mod white_space;
pub mod wholesale;

pub use client_secret::{ClientSecretFile, check_client_secret};
pub use error::{AppError, ErrorKind};
pub use installation::{
    CLIENT_SECRET, Creation, HostParts, Installation, PluginFile, client_options,
    open_component_cache,
};
pub use shell::quote_for_shell;
pub use stores::{HostInfo, OpenMode, StoreUrl, hide_password};
