//! The address to which Webex sends a browser after a consent, and who waits there.

mod listener;
mod page;

pub use listener::{Callback, ListenError, Listener};
pub use page::Page;

#[cfg(test)]
mod tests;
