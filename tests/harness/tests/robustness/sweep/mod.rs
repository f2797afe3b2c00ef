//! The fault sweep: one fault at one point of one workflow.

mod cases;
mod outcomes;
mod page;
