//! The listener at the redirect address of a consent.

mod listener;
mod page;

pub use listener::{Callback, ListenError, Listener};
pub use page::Page;

#[cfg(test)]
mod tests;
