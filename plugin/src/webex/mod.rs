//! What is known of Webex: its token endpoint, its errors, its ids. Nothing here stores anything.

pub mod answer;
pub mod authorizations;
pub mod client;
pub mod directory;
pub mod errors;
pub mod ids;
mod links;
mod list_body;
pub mod media;
pub mod oauth;
pub mod organizations;
pub mod pages;
pub mod scrub;
mod token_endpoint;
