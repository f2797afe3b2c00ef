//! The plugin's platform over the host's own parts: the store, sealer, egress and journal behind
//! the component's imports, without the component.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use relation_host::egress::{Proxies, ProxyUrl};
use relation_host::imports::Journal;
use relation_host::store::{Commit, Lease};
use relation_host::transactions::Progress;
use secrecy::{ExposeSecret as _, SecretString};
use spark_customer::platform::{
    self as plugin, Change, Check, Document, Environment, Failure, FieldError, Filter, Http,
    HttpError, HttpRequest, HttpResponse, Level, OnUnavailable, Page, Reference, Secret, Secrets,
    Storage, UnixMillis, Wakeup,
};

use super::convert;
use super::coroutine::Waiter;
use crate::phases::{Phase, Phases};
use crate::world::Parts;

/// Minimum time between two progress writes: the host's own interval.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// The platform of one call.
pub struct NativePlatform<'a> {
    parts: &'a Parts,
    waiter: &'a Waiter<'a>,
    phases: &'a Phases,
    lease: Option<Lease>,
    /// Monotonic time until which the lease is valid.
    lease_until: Duration,
    journal: Journal,
    proxies: RefCell<Proxies>,
    /// Monotonic time of the last progress write.
    reported: Cell<Duration>,
}

impl<'a> NativePlatform<'a> {
    /// Creates the platform of a call that has begun.
    pub fn new(
        parts: &'a Parts,
        waiter: &'a Waiter<'a>,
        phases: &'a Phases,
        lease: Option<Lease>,
        lease_until: Duration,
        journal: Journal,
    ) -> Self {
        let reported = Cell::new(parts.clock.monotonic());
        Self {
            parts,
            waiter,
            phases,
            lease,
            lease_until,
            journal,
            proxies: RefCell::default(),
            reported,
        }
    }

    /// Returns the name in the subject's own document, if the changes contain it.
    fn subject_name(&self, changes: &[Change]) -> Option<String> {
        let subject = &self.lease.as_ref()?.subject;
        changes.iter().find_map(|change| match change {
            Change::Put(document)
                if document.reference.pkid == subject.pkid.as_str()
                    && document.reference.model == subject.model =>
            {
                let mut keys = document.keys.iter();
                keys.find(|key| key.name == "name")
                    .map(|key| key.value.clone())
            }
            _ => None,
        })
    }
}

impl Storage for NativePlatform<'_> {
    fn get(&self, reference: &Reference) -> Result<Option<Document>, Failure> {
        let mut found = self.get_many(std::slice::from_ref(reference))?;
        Ok(found.pop().flatten())
    }

    fn get_many(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, Failure> {
        let references = references
            .iter()
            .map(convert::reference)
            .collect::<Result<Vec<_>, _>>()?;
        let found = self.waiter.block_on(self.parts.store.get(&references));
        let found = found.map_err(|error| convert::failure(&error))?;
        Ok(found
            .into_iter()
            .map(|document| document.map(convert::document_out))
            .collect())
    }

    fn find(&self, filter: &Filter, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        let filter = convert::filter(filter.clone())?;
        let page = self
            .waiter
            .block_on(self.parts.store.find(&filter, cursor, limit));
        let page = page.map_err(|error| convert::failure(&error))?;
        Ok(convert::page_out(page))
    }

    /// Commits once: the store of a benchmark is always available.
    fn commit_with(
        &self,
        checks: Vec<Check>,
        changes: Vec<Change>,
        _: OnUnavailable,
    ) -> Result<(), Failure> {
        if let Some(name) = self.subject_name(&changes) {
            self.journal.set_subject_name(&name);
        }
        let checks = checks
            .into_iter()
            .map(convert::check)
            .collect::<Result<_, _>>()?;
        let changes = changes
            .into_iter()
            .map(|change| convert::change(&self.parts.sealer, change))
            .collect::<Result<_, _>>()?;
        let update = self.journal.take_update();
        let commit = Commit {
            fence: self.lease.clone(),
            checks,
            changes,
            transaction: Some(update.clone()),
            ..Commit::default()
        };
        self.waiter
            .block_on(self.parts.store.commit(commit))
            .map_err(|error| {
                self.journal.restore(update);
                convert::failure(&error)
            })
    }

    fn wakeups(&self, subject: &Reference) -> Result<Vec<Wakeup>, Failure> {
        let subject = convert::reference(subject)?;
        let wakeups = self.waiter.block_on(self.parts.store.wakeups(&subject));
        let wakeups = wakeups.map_err(|error| convert::failure(&error))?;
        Ok(wakeups
            .into_iter()
            .map(|due| convert::wakeup_out(due.wakeup))
            .collect())
    }
}

impl Secrets for NativePlatform<'_> {
    fn reveal(&self, owner: &Reference, name: &str) -> Result<Option<Secret>, Failure> {
        let owner = convert::reference(owner)?;
        let sealed = self.waiter.block_on(self.parts.store.sealed(&owner, name));
        let Some(sealed) = sealed.map_err(|error| convert::failure(&error))? else {
            return Ok(None);
        };
        let value = self.parts.sealer.unseal(&owner, name, &sealed);
        let value = value.map_err(|error| Failure::Internal(error.to_string()))?;
        Ok(Some(Secret::new(value.expose_secret())))
    }

    fn reveal_setting(&self, name: &str) -> Result<Option<Secret>, Failure> {
        let known = name == spark_customer::settings::CLIENT_SECRET;
        Ok(known.then(|| Secret::new(self.parts.client_secret.expose_secret())))
    }
}

impl Http for NativePlatform<'_> {
    fn use_proxies(&self, http: Option<&Secret>, https: Option<&Secret>) -> Result<(), Failure> {
        let parse = |field: &str, proxy: Option<&Secret>| {
            let parsed = proxy.map(|proxy| ProxyUrl::parse(&SecretString::from(proxy.expose())));
            parsed
                .transpose()
                .map_err(|error| Failure::Invalid(vec![FieldError::new(field, error.to_string())]))
        };
        self.proxies.replace(Proxies {
            http: parse("http", http)?,
            https: parse("https", https)?,
        });
        Ok(())
    }

    fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let needed = self.parts.limits.request_time;
        let left = self
            .lease_until
            .saturating_sub(self.parts.clock.monotonic());
        if left < needed {
            return Err(HttpError::Limit("the lease ends too soon".to_owned()));
        }
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let proxies = self.proxies.borrow().clone();
        let exchange = async {
            let deadline = tokio::time::Instant::now() + needed;
            let response = self.parts.client.send(request, &proxies, deadline);
            let response = self.phases.time(Phase::Http, response).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(HttpResponse::from_parts(head, body.into()))
        };
        self.waiter
            .block_on(exchange)
            .map_err(|error: relation_host::egress::EgressError| {
                HttpError::Network(error.to_string())
            })
    }
}

impl plugin::TransactionLog for NativePlatform<'_> {
    fn log(&self, level: Level, message: &str) {
        let now = self.parts.clock.now();
        self.journal
            .log(now, convert::level(level), message.to_owned());
    }

    /// Records nothing: no benchmark has calls with parts.
    fn record_part(&self, _: &str, _: UnixMillis, _: Result<&str, &str>) {}

    /// Returns none: benchmarks interrupt no call.
    fn interrupted(&self) -> Option<UnixMillis> {
        None
    }

    fn progress(&self, done: u32, total: u32, message: &str) {
        self.journal.set_progress(Progress {
            done,
            total,
            message: message.to_owned(),
        });
        let now = self.parts.clock.monotonic();
        if now.saturating_sub(self.reported.get()) >= PROGRESS_INTERVAL {
            self.reported.set(now);
            let update = self.journal.take_update();
            if self
                .waiter
                .block_on(self.parts.store.report(update.clone()))
                .is_err()
            {
                self.journal.restore(update);
            }
        }
    }
}

impl Environment for NativePlatform<'_> {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.parts.clock.now().0)
    }

    fn random(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        // Without random bytes there would be no keys; what follows then fails on its own.
        let _ = getrandom::fill(&mut bytes);
        bytes
    }

    fn settings(&self) -> Result<Vec<(String, String)>, Failure> {
        let settings = self.parts.settings.iter();
        Ok(settings
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
}

/// Several threads may use a call's platform, one after the other.
const _: fn() = || {
    fn may_move<T: Send>() {}
    may_move::<Arc<Parts>>();
    may_move::<Journal>();
    may_move::<Proxies>();
    may_move::<Lease>();
};
