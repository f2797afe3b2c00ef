//! Standard output and standard error. Every write of this program goes through here. An output that is full,
//! closed or never read is an error only if a result is lost. An output that was closed at the start (`>&-`)
//! is `/dev/null`: Rust's runtime opens `/dev/null` in its place.
//!
//! - **stdout** holds results. A result that cannot be written is an error of the command, unless the reader
//!   has closed the pipe (`| head`).
//! - **stderr** holds logs, notes, questions and errors. Losing them is not an error, and writing them never
//!   blocks: a separate thread writes.

mod background_writer;
pub mod stderr;
pub mod stdout;

pub use background_writer::BackgroundWriter;
