//! A side of the measurement: the host's own dispatcher, in a process of its own.

use std::path::Path;
use std::sync::Arc;

use relation_app::config::Config;
use relation_app::{Installation, PluginFile};
use relation_host::clock::SystemClock;
use relation_host::schedule::DispatcherOptions;

use crate::support;

/// Runs a dispatcher until the process is killed. It has no limit of refreshes per second, as workers have none.
pub async fn run(config: &Path) -> anyhow::Result<()> {
    let installation = Installation {
        config: Config::load(Some(config))?,
        clock: Arc::new(SystemClock::new()),
        plugin: PluginFile {
            file: Some(support::component()),
            embedded: None,
        },
    };
    let parts = installation.open_parts().await?;
    let host = installation.host_from(parts).await?;
    let dispatcher = host.dispatcher(DispatcherOptions::default());
    dispatcher.run(std::future::pending()).await;
    Ok(())
}
