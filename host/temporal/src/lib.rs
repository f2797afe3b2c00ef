//! The relation plugin inside Temporal.
//!
//! [`Activities`] are the exports of the plugin's contract. [`SparkCustomer`] is the workflow of one record: its durable
//! timers call the record's wakeups. The store of the host stays the truth, so that a lost or repeated workflow does no
//! harm. [`bridge`] signals a workflow whose record has a due wakeup, and starts the workflow if there is none.
//!
//! The history of a workflow can be read by everybody who may read its namespace. Therefore, secrets are not among the
//! inputs and results: [`inputs`] stores them sealed in the host's store, and the history has references.

pub mod activities;
pub mod add_customer;
pub mod attempt;
pub mod bridge;
pub mod calls;
pub mod connection;
pub mod customer;
pub mod failure;
pub mod inputs;
pub mod onboard;
pub mod search;
pub mod snapshot;
pub mod worker;

pub use activities::Activities;
pub use add_customer::AddCustomer;
pub use customer::SparkCustomer;
pub use onboard::Onboard;
