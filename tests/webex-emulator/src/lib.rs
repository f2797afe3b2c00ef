//! An emulated Webex API for tests.
//!
//! It lets an administrator consent, and issues and refreshes OAuth tokens in each way reported of
//! the real service. It serves lists of any size, from people to the customers of a wholesale partner,
//! fails on demand, and records requests. An injected clock makes months pass in an instant.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), webex_emulator::StartError> {
//! use webex_emulator::{DEFAULT_SCOPES, Emulator, Fault, Mode};
//!
//! let webex = Emulator::builder().mode(Mode::Rotate).start().await?;
//! let organization = webex.create_organization("Example");
//! let grant = webex.grant(&organization, DEFAULT_SCOPES);
//! webex.inject(Fault::status("/v1/access_token", 503));
//! // … a client refreshes `grant.refresh_token()` at `webex.base_url()` …
//! webex.assert_sound();
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]
// Printing macros panic where the output cannot be written.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod api;
mod authorizations;
mod authorize;
mod builder;
mod collection;
mod consent;
mod consent_page;
mod contact_center;
mod control;
mod directory;
mod emulator;
mod errors;
mod faults;
mod garble;
mod gate;
mod generated;
mod generator;
mod ids;
mod in_process;
mod listings;
mod paging;
mod query;
mod record;
mod resources;
mod revoke;
mod routes;
mod scopes;
mod serve;
mod server;
mod settings;
mod shared;
mod state;
mod token_endpoint;
mod token_response;
mod webex;
mod wholesale;

pub use builder::{Builder, StartError};
pub use consent::{Consent, RedirectError};
pub use contact_center::Region;
pub use directory::{License, Role};
pub use emulator::Emulator;
pub use faults::{Fault, FaultKind};
pub use gate::{Gate, ProcessingStage};
pub use ids::Digest;
pub use in_process::{ClientLimits, ClientOutcome, TimedOutcome};
pub use paging::{Listing, Paging, PagingDefect};
pub use record::{InFlight, Outcome, RecordedRequest};
pub use scopes::{
    CONTACT_CENTER_SCOPES, DEFAULT_SCOPES, IDENTITY_SCOPES, PERSONAL_SCOPES, WHOLESALE_SCOPES,
};
pub use settings::{
    Clock, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, ErrorStyle, Mode, PersonFlags,
    WorkspaceLocations, system_clock,
};
pub use state::{EntryError, LatestTokens, Organization};
pub use token_response::Grant;
pub use webex::{Revocation, Webex};
pub use wholesale::{ProvisioningOutcome, WholesaleSettings};
