//! The checks that one call can make, by topic.

pub mod commit;
pub mod documents;
pub mod egress;
pub mod environment;
pub mod find;
pub mod limits;
pub mod malformed;
pub mod proxies;
pub mod scheduling;
pub mod secrets;
