//! Standard output and standard error. Every write of this program goes through here, so that an output
//! that is full, gone or never read is a failure where a result is lost, and nothing elsewhere. An output
//! that was closed at the start (`>&-`) is `/dev/null`: the runtime of Rust opens it in its place.
//!
//! - **stdout** holds results. A result that cannot be written is a failure of the command; a reader that
//!   has gone (`| head`) had enough.
//! - **stderr** holds logs, notes, questions and errors. Their loss ends nothing, and they wait for no
//!   reader: a thread of its own writes them.

mod outlet;
pub mod stderr;
pub mod stdout;

pub use outlet::Outlet;
