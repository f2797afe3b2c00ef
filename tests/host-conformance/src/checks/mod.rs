//! The checks that one call can make, by what they look at.

pub mod commit;
pub mod documents;
pub mod egress;
pub mod find;
pub mod limits;
pub mod malformed;
pub mod proxies;
pub mod scheduling;
pub mod secrets;
pub mod surroundings;
