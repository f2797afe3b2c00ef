//! The data types that all parts of the relation host share: references, documents, failures, reports,
//! transactions, limits, and the clock.
//!
//! Most of them mirror the contract, `automate:platform`. They do not depend on wasm or a store, so a store or an
//! engine can use them alone.

pub mod clock;
pub mod entropy;
pub mod json;
pub mod limits;
mod notices;
pub mod reports;
pub mod text;
pub mod transactions;
mod values;
pub mod wakeup_kinds;

pub use notices::{AlertNotice, NOTICE_MODEL, NoticeChange, RECORD_KEY};
pub use values::{
    ALERT_MODEL, CALLBACK_MODEL, Document, Failure, FieldError, Filter, HOST_MODELS, Hierarchy,
    InvalidHierarchy, InvalidPkid, Key, Page, Pkid, QUEUED_CALL_MODEL, RECORD_MODEL, Reference,
    Scope, Timestamp, Wakeup,
};
