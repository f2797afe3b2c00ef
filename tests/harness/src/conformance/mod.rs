//! Drives the suite that checks a host's imports, which is a component (`tests/host-conformance`), on a
//! host of this library, and tells check by check what came of it.
//!
//! The suite reports by itself; what is here is what it needs of its surroundings: a clock that moves,
//! a server to talk to, calls at the same time, a lease that is lost, a restart. Whoever checks another
//! host than ours does the same with its means: see `docs/conformance.md`.
//!
//! ```no_run
//! # async fn example(
//! #     component: relation_host::ComponentSource,
//! #     store: std::sync::Arc<dyn relation_host::store::Store>,
//! #     sealer: std::sync::Arc<relation_host::store::seal::Sealer>,
//! # ) -> Result<(), relation_harness::conformance::NotRun> {
//! use relation_harness::conformance::Conformance;
//!
//! let report = Conformance::of(component, store, sealer).run().await?;
//! for finding in report.failed() {
//!     println!("{}: {}", finding.id, finding.why.as_deref().unwrap_or_default());
//! }
//! assert!(report.is_conformant());
//! # Ok(())
//! # }
//! ```

mod drive;
mod not_run;
mod overlap;
mod report;
mod server;

pub use drive::{Conformance, Reopen, run_limits};
pub use not_run::NotRun;
pub use report::{Finding, MalformedReport, Report, Status};
pub use server::Server;
