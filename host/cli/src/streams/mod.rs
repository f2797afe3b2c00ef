//! Standard output and standard error. Every write of this program goes through here. An output that is
//! full, gone or never read is a failure only if a result is lost. An output that was closed at the
//! start (`>&-`) is `/dev/null`: Rust's runtime opens `/dev/null` in its place.
//!
//! - **stdout** holds results. A result that cannot be written is a failure of the command; a reader that
//!   has gone (`| head`) had enough.
//! - **stderr** holds logs, notes, questions and errors. Losing them is not a failure, and writing them
//!   never blocks: a separate thread does the writing.

mod outlet;
pub mod stderr;
pub mod stdout;

pub use outlet::Outlet;
