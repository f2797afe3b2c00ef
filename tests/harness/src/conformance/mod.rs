//! Drives the conformance suite for hosts, a component (`tests/host-conformance`), on a host of this library, and
//! reports the outcome of each check.
//!
//! The suite makes the report. This module supplies its environment: a clock that moves, a server, concurrent
//! calls, a lost lease and a restart. For other hosts, `docs/conformance.md` describes the driver.
//!
//! ```no_run
//! # async fn example(
//! #     component: relation_host::ComponentSource,
//! #     store: std::sync::Arc<dyn relation_host::store::Store>,
//! #     sealer: std::sync::Arc<relation_host::store::seal::Sealer>,
//! # ) -> Result<(), relation_harness::conformance::ConformanceError> {
//! use relation_harness::conformance::Conformance;
//!
//! let report = Conformance::new(component, store, sealer).run().await?;
//! for finding in report.failed() {
//!     println!("{}: {}", finding.id, finding.reason.as_deref().unwrap_or_default());
//! }
//! assert!(report.is_conformant());
//! # Ok(())
//! # }
//! ```

mod drive;
mod error;
mod outage;
mod overlap;
mod report;
mod server;

pub use drive::{Conformance, OpenedStore, run_limits};
pub use error::ConformanceError;
pub use report::{Finding, MalformedReport, Report, Status};
pub use server::Server;
