//! Implements the platform with the component's imports.

use super::bindings::automate::platform as contract;
use super::bindings::wasi;
use super::http;
use crate::platform::{
    Change, Check, Document, Environment, Failure, Filter, Http, HttpError, HttpRequest,
    HttpResponse, Level, OnUnavailable, Page, Reference, Secret, Secrets, Storage, Timestamp,
    TransactionLog, Wakeup,
};

/// The imports of this instance, which exists for one call.
pub(super) struct Imports;

impl Storage for Imports {
    fn get(&self, reference: &Reference) -> Result<Option<Document>, Failure> {
        let found = contract::storage::get(&reference.into())?;
        Ok(found.map(Into::into))
    }

    fn get_many(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, Failure> {
        let references: Vec<_> = references.iter().map(Into::into).collect();
        let found = contract::storage::get_many(&references)?;
        Ok(found
            .into_iter()
            .map(|document| document.map(Into::into))
            .collect())
    }

    fn find(&self, filter: &Filter, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        let page = contract::storage::find(&filter.into(), cursor, limit)?;
        Ok(Page {
            documents: page.documents.into_iter().map(Into::into).collect(),
            next: page.next,
        })
    }

    fn commit_with(
        &self,
        checks: Vec<Check>,
        changes: Vec<Change>,
        on_unavailable: OnUnavailable,
    ) -> Result<(), Failure> {
        let on_unavailable = match on_unavailable {
            OnUnavailable::Fail => contract::storage::OnUnavailable::Fail,
            OnUnavailable::Keep => contract::storage::OnUnavailable::Keep,
        };
        let checks: Vec<_> = checks.iter().map(Into::into).collect();
        let changes: Vec<_> = changes.into_iter().map(Into::into).collect();
        Ok(contract::storage::commit(
            &checks,
            &changes,
            on_unavailable,
        )?)
    }

    fn wakeups(&self, subject: &Reference) -> Result<Vec<Wakeup>, Failure> {
        let wakeups = contract::scheduling::wakeups(&subject.into())?;
        Ok(wakeups.into_iter().map(Into::into).collect())
    }
}

impl Secrets for Imports {
    fn reveal(&self, owner: &Reference, name: &str) -> Result<Option<Secret>, Failure> {
        let value = contract::secrets::reveal(&owner.into(), name)?;
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
}

impl TransactionLog for Imports {
    fn log(&self, level: Level, message: &str) {
        use contract::transactions::Level as To;
        let level = match level {
            Level::Debug => To::Debug,
            Level::Info => To::Info,
            Level::Warning => To::Warning,
            Level::Error => To::Error,
        };
        contract::transactions::log(level, message);
    }

    fn progress(&self, done: u32, total: u32, message: &str) {
        contract::transactions::progress(done, total, message);
    }

    fn interrupted(&self) -> Option<Timestamp> {
        contract::transactions::interrupted()
    }
}

impl Environment for Imports {
    fn now(&self) -> Timestamp {
        let now = wasi::clocks::wall_clock::now();
        now.seconds
            .saturating_mul(1_000)
            .saturating_add(u64::from(now.nanoseconds / 1_000_000))
    }

    fn random(&self, count: usize) -> Vec<u8> {
        wasi::random::random::get_random_bytes(u64::try_from(count).unwrap_or_default())
    }

    fn settings(&self) -> Result<Vec<(String, String)>, Failure> {
        let all = contract::settings::all().into_iter();
        Ok(all.map(|setting| (setting.key, setting.value)).collect())
    }
}
