//! The section `[dispatch]`: how due wakeups are run.

use std::num::NonZeroU32;
use std::time::Duration;

use relation_toml::values::parse_word;
use relation_toml::{DeValue, Table, ValueError};

use super::values::{parse_duration, parse_positive};

/// The settings for running due wakeups. Fields that are `None` take the library's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dispatch {
    /// The engine that runs the plugin's wakeups.
    pub engine: DispatchEngine,
    /// The maximum number of concurrent workflows.
    pub concurrency: Option<usize>,
    /// The maximum time between two reads of the store.
    pub poll: Option<Duration>,
    /// The maximum number of scheduled refreshes that begin per second.
    pub refresh_rate: Option<NonZeroU32>,
}

/// The engine that runs the plugin's wakeups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DispatchEngine {
    /// The host's own dispatcher.
    #[default]
    Host,
    /// Workflows of Temporal. The host's dispatcher runs only queued calls, callbacks and notices.
    Temporal,
}

impl DispatchEngine {
    fn parse(value: DeValue<'_>) -> Result<Self, ValueError> {
        parse_word(
            value,
            "engine",
            &[("host", Self::Host), ("temporal", Self::Temporal)],
        )
    }
}

impl Dispatch {
    pub(super) fn read(&mut self, mut table: Table<'_, '_>) {
        self.engine = table
            .get("engine", DispatchEngine::parse)
            .unwrap_or_default();
        self.concurrency = table.get("concurrency", parse_positive);
        self.poll = table.get("poll", parse_duration);
        let rate = table.get("refresh-rate", parse_positive);
        self.refresh_rate = rate.and_then(NonZeroU32::new);
        table.close();
    }
}
