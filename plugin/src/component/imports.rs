//! Implements the platform with the component's imports.

use super::http;
use crate::contract::bindings::automate::platform as contract;
use crate::contract::bindings::wasi;
use crate::platform::{
    Change, Check, Comparison, Document, Environment, Failure, Filter, Http, HttpError,
    HttpRequest, HttpResponse, Level, OnUnavailable, Page, PkidPage, Reference, Secret, Secrets,
    Storage, TransactionLog, UnixMillis, Wakeup,
};

/// The imports of this instance, which exists for one call.
pub(super) struct Imports;

impl Storage for Imports {
    fn get(&self, reference: &Reference) -> Result<Option<Document>, Failure> {
        Ok(contract::storage::get(reference)?)
    }

    fn get_many(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, Failure> {
        Ok(contract::storage::get_many(references)?)
    }

    fn find(&self, filter: &Filter, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        Ok(contract::storage::find(filter, cursor, limit)?)
    }

    fn find_pkids(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<PkidPage, Failure> {
        Ok(contract::storage::find_pkids(filter, cursor, limit)?)
    }

    fn compare(&self, documents: &[Document]) -> Result<Vec<Comparison>, Failure> {
        Ok(contract::storage::compare(documents)?)
    }

    fn commit_with(
        &self,
        checks: Vec<Check>,
        changes: Vec<Change>,
        on_unavailable: OnUnavailable,
    ) -> Result<(), Failure> {
        let changes: Vec<_> = changes.into_iter().map(Into::into).collect();
        Ok(contract::storage::commit(
            &checks,
            &changes,
            on_unavailable,
        )?)
    }

    fn wakeups(&self, subject: &Reference) -> Result<Vec<Wakeup>, Failure> {
        Ok(contract::scheduling::wakeups(subject)?)
    }
}

impl Secrets for Imports {
    fn reveal(&self, owner: &Reference, name: &str) -> Result<Option<Secret>, Failure> {
        let value = contract::secrets::reveal(owner, name)?;
        Ok(value.map(Secret::new))
    }

    fn reveal_setting(&self, name: &str) -> Result<Option<Secret>, Failure> {
        let value = contract::secrets::reveal_setting(name)?;
        Ok(value.map(Secret::new))
    }
}

impl Http for Imports {
    fn use_proxies(&self, http: Option<&Secret>, https: Option<&Secret>) -> Result<(), Failure> {
        let clear = |proxy: Option<&Secret>| proxy.map(|proxy| proxy.expose().to_owned());
        let (http, https) = (clear(http), clear(https));
        Ok(contract::egress::use_proxies(
            http.as_deref(),
            https.as_deref(),
        )?)
    }

    fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        http::send(request)
    }

    fn send_ahead(&self, request: HttpRequest) {
        http::send_ahead(request);
    }
}

impl TransactionLog for Imports {
    fn log(&self, level: Level, message: &str) {
        contract::transactions::log(level, message);
    }

    fn progress(&self, done: u32, total: u32, message: &str) {
        contract::transactions::progress(done, total, message);
    }

    fn interrupted(&self) -> Option<UnixMillis> {
        contract::transactions::interrupted().map(UnixMillis)
    }

    fn record_part(&self, action: &str, started: UnixMillis, outcome: Result<&str, &str>) {
        contract::transactions::record_part(&contract::transactions::Part {
            action: action.to_owned(),
            started: started.0,
            outcome: outcome.map(str::to_owned).map_err(str::to_owned),
        });
    }
}

impl Environment for Imports {
    fn now(&self) -> UnixMillis {
        let now = wasi::clocks::wall_clock::now();
        let whole = now.seconds.saturating_mul(1_000);
        UnixMillis(whole.saturating_add(u64::from(now.nanoseconds / 1_000_000)))
    }

    fn random(&self, count: usize) -> Vec<u8> {
        wasi::random::random::get_random_bytes(u64::try_from(count).unwrap_or_default())
    }

    fn settings(&self) -> Result<Vec<(String, String)>, Failure> {
        let all = contract::settings::all().into_iter();
        Ok(all.map(|setting| (setting.key, setting.value)).collect())
    }
}
