//! The component: the contract's exports call the workflows, and its imports implement their
//! platform.
//!
//! Glue only; all decisions are made in [`crate::workflows`].

mod convert;
mod http;
mod imports;
mod panics;
mod unused_wasi;

use imports::Imports;

use crate::actions;
use crate::contract::bindings;
use crate::contract::bindings::exports::automate::spark_customer::workflows as contract;
use crate::platform::{Millis, Platform, Secret, UnixMillis};
use crate::settings::Settings;
use crate::workflows::{
    access_token, add, check_integration, complete, connect, delete, describe, expiry, modify,
    refresh, show, sync, wake,
};

/// The plugin's name and version, which hosts read before they compile the component.
const IDENTITY: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

#[used]
#[unsafe(link_section = "automate:plugin")]
static SECTION: [u8; IDENTITY.len()] = match IDENTITY.as_bytes().first_chunk() {
    Some(bytes) => *bytes,
    None => [b' '; IDENTITY.len()],
};

/// The imports, as a trait object: actions need one, and with a second type the component would have each workflow twice.
const PLATFORM: &dyn Platform = &Imports;

struct Component;

bindings::export!(Component with_types_in bindings);

impl contract::Guest for Component {
    fn describe() -> contract::Model {
        describe::describe()
    }

    fn check_settings() -> Result<(), contract::Failure> {
        Ok(Settings::check(PLATFORM)?)
    }

    fn check_integration() -> Result<Vec<contract::Finding>, contract::Failure> {
        Ok(check_integration::check_integration(PLATFORM)?)
    }

    fn show(
        documents: Vec<contract::Document>,
    ) -> Vec<Result<contract::RecordDetails, contract::Failure>> {
        let shown = documents.into_iter().map(show::show);
        shown.map(|result| result.map_err(Into::into)).collect()
    }

    fn invoke(
        action: String,
        pkid: String,
        arguments: String,
    ) -> Result<String, contract::Failure> {
        Ok(actions::invoke(PLATFORM, &action, &pkid, &arguments)?)
    }

    fn add(request: contract::AddRequest) -> Result<contract::AddReport, contract::Failure> {
        Ok(add::add(PLATFORM, request.into())?)
    }

    fn modify(
        pkid: String,
        fields: String,
        token_response: Option<String>,
    ) -> Result<contract::ConnectionReport, contract::Failure> {
        let (fields, token_response) = (Secret::new(fields), token_response.map(Secret::new));
        Ok(modify::modify(
            PLATFORM,
            &pkid,
            &fields,
            token_response.as_ref(),
        )?)
    }

    fn delete(pkid: String, dry_run: bool) -> Result<contract::Deletion, contract::Failure> {
        Ok(delete::delete(PLATFORM, &pkid, dry_run)?)
    }

    fn connect(
        pkid: String,
        grant: contract::Grant,
        redirect_uri: String,
    ) -> Result<contract::Authorization, contract::Failure> {
        Ok(connect::connect(PLATFORM, &pkid, grant, &redirect_uri)?)
    }

    fn complete_connect(
        pkid: String,
        callback: String,
    ) -> Result<contract::ConnectReport, contract::Failure> {
        Ok(complete::complete_connect(PLATFORM, &pkid, &callback)?)
    }

    fn refresh(
        pkid: String,
        grant: contract::Grant,
        requested_at: u64,
    ) -> Result<contract::RefreshReport, contract::Failure> {
        Ok(refresh::refresh(
            PLATFORM,
            &pkid,
            grant,
            UnixMillis(requested_at),
        )?)
    }

    fn sync(
        pkid: String,
        sync: String,
        accept_removals: bool,
    ) -> Result<contract::SyncReport, contract::Failure> {
        Ok(sync::sync(PLATFORM, &pkid, &sync, accept_removals)?)
    }

    fn access_token(
        pkid: String,
        grant: contract::Grant,
        min_valid_ms: u64,
    ) -> Result<contract::AccessTokenReport, contract::Failure> {
        Ok(access_token::access_token(
            PLATFORM,
            &pkid,
            grant,
            Millis(min_valid_ms),
        )?)
    }

    fn check_expiry(
        pkid: String,
        grant: contract::Grant,
    ) -> Result<contract::ExpiryReport, contract::Failure> {
        Ok(expiry::check_expiry(PLATFORM, &pkid, grant)?)
    }

    fn wake(wakeup: contract::Wakeup) -> Result<contract::WakeReport, contract::Failure> {
        Ok(wake::wake(PLATFORM, &wakeup)?)
    }
}
