//! The workflows of the contract, one file each.

pub mod access_token;
pub mod add;
pub mod check_integration;
pub mod complete;
pub mod connect;
pub mod data_syncs;
pub mod delete;
pub mod describe;
pub mod expiry;
pub mod location_mappings;
pub mod modify;
pub mod refresh;
pub mod schedules;
pub mod show;
pub mod sync;
pub mod test_connection;
pub mod wake;
pub mod wholesale;

#[cfg(test)]
mod grants_tests;
