//! The measured figures.

use std::fmt;

use serde::Serialize;

/// The figures of one run.
#[derive(Serialize)]
pub struct Figures {
    pub customers: usize,
    /// Whether the development server had its data in memory.
    pub server_in_memory: bool,
    /// The first wave by workers, which starts the workflows.
    pub started: Wave,
    /// The wave by durable timers.
    pub timers: Wave,
    pub history: History,
    /// The wave in which one of two workers was killed.
    pub worker_killed: Recovery,
    /// The wave by two dispatchers of the host.
    pub dispatchers: Wave,
    /// The wave in which one of two dispatchers was killed.
    pub dispatcher_killed: Recovery,
    /// The requests for tokens that Webex has carried out, in all waves.
    pub token_requests: usize,
}

/// A wave: a refresh of each customer.
#[derive(Serialize)]
pub struct Wave {
    pub seconds: f64,
    pub per_second: f64,
    /// Milliseconds of processor time per refresh: of the two workers or dispatchers, of Temporal's server, and of
    /// PostgreSQL.
    pub workers_ms: f64,
    pub server_ms: f64,
    pub postgres_ms: f64,
}

/// The growth of a history by one refresh of a timer.
#[derive(Serialize)]
pub struct History {
    pub events: f64,
    pub bytes: f64,
    /// The number of histories that were read.
    pub sampled: usize,
}

/// The time after the death of one of two processes.
#[derive(Serialize)]
pub struct Recovery {
    /// The calls that the killed process had begun.
    pub interrupted: usize,
    /// Seconds from the death until all of them were refreshed.
    pub interrupted_s: f64,
    /// The customers that were not refreshed at the death.
    pub remaining: usize,
    /// Seconds from the death until all customers were refreshed.
    pub all_s: f64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.server_in_memory {
            "in memory"
        } else {
            "in a file"
        };
        writeln!(
            f,
            "{} customers; two processes; PostgreSQL; Temporal's development server with its data {kind}\n",
            self.customers
        )?;
        writeln!(
            f,
            "| refreshes | seconds | per second | ms CPU: two processes | Temporal | PostgreSQL |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for (name, wave) in [
            ("workers, which also start the workflows", &self.started),
            ("workers, by durable timers", &self.timers),
            ("the host's dispatchers", &self.dispatchers),
        ] {
            writeln!(
                f,
                "| {name} | {:.1} | {:.0} | {:.1} | {:.1} | {:.1} |",
                wave.seconds, wave.per_second, wave.workers_ms, wave.server_ms, wave.postgres_ms
            )?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "| one of two killed at half of the customers | its calls | refreshed after | all others | refreshed after |"
        )?;
        writeln!(f, "|---|---|---|---|---|")?;
        for (name, killed) in [
            ("worker", &self.worker_killed),
            ("dispatcher", &self.dispatcher_killed),
        ] {
            writeln!(
                f,
                "| {name} | {} | {:.1} s | {} | {:.1} s |",
                killed.interrupted,
                killed.interrupted_s,
                killed.remaining - killed.interrupted,
                killed.all_s
            )?;
        }
        writeln!(f)?;
        let History {
            events,
            bytes,
            sampled,
        } = &self.history;
        writeln!(
            f,
            "history of a refresh by a timer: {events:.1} events, {bytes:.0} bytes (of {sampled} workflows)"
        )?;
        writeln!(
            f,
            "requests for tokens that Webex has carried out: {} in 5 waves of {}",
            self.token_requests, self.customers
        )
    }
}
