//! The fault sweep: one thing goes wrong at one point of one workflow.

mod judged;
mod page;
mod stories;
