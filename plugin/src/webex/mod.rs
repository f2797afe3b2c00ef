//! Knowledge about Webex: its token endpoint, REST API, errors and ids. These modules do not access
//! the store.

pub mod authorizations;
pub mod client;
pub mod directories;
pub mod directory;
mod error_body;
pub mod errors;
pub mod ids;
mod links;
mod list_body;
pub mod media;
pub mod oauth;
pub mod organizations;
pub mod pages;
pub mod redactor;
mod token_endpoint;
pub mod token_response;
pub mod wholesale;
