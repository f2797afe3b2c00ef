//! Stores that grant leases wrongly.

use parking_lot::Mutex;

use relation_host::store::layer::StoreLayer;
use relation_host::store::{BeginOutcome, CallEnd, CallStart, Commit, Lease, Store, StoreError};
use relation_host::types::{Pkid, Reference, Timestamp};

use super::store;

/// A defect of leases.
enum LeaseDefect {
    /// Lets all calls run and write concurrently.
    None,
    /// Lets a call write that has lost its lease.
    Unfenced,
    /// Reports no interrupted call.
    NotReported,
    /// Always reports an interrupted call.
    AlwaysReported,
    /// Grants the lease of another record to the calls that check documents and secrets: these
    /// leases.
    OfAnotherRecord(Mutex<Vec<Lease>>),
}

/// Number of calls of `checks` before the end of documents and secrets.
const CALLS: usize = 2;

/// Returns the record that the suite uses as another one (`tests/host-conformance/src/samples.rs`).
fn another(record: &Reference) -> Reference {
    let own = record.pkid.as_str();
    let digit = if own.starts_with('0') { '1' } else { '0' };
    let pkid = format!("{digit}{}", &own[1..]);
    Reference::record(Pkid::try_from(pkid).unwrap())
}

impl LeaseDefect {
    /// Returns the lease as the store knows it.
    fn set_right(&self, lease: &mut Option<Lease>) {
        if let (Self::OfAnotherRecord(given), Some(lease)) = (self, lease) {
            let given = given.lock();
            if let Some(own) = given.iter().find(|own| own.epoch == lease.epoch) {
                *lease = own.clone();
            }
        }
    }
}

impl StoreLayer for LeaseDefect {
    async fn begin(
        &self,
        inner: &dyn Store,
        mut begin: CallStart,
    ) -> Result<BeginOutcome, StoreError> {
        let (now, action) = (begin.now, begin.transaction.action.clone());
        let subject = match self {
            // No lease is checked, and no call is kept out.
            Self::None => begin.subject.take(),
            _ => None,
        };
        let mut begun = inner.begin(begin).await?;
        let BeginOutcome::Started(lease) = &mut begun else {
            return Ok(begun);
        };
        if let Some(subject) = subject {
            *lease = Some(Lease {
                subject,
                epoch: 1,
                expires: Timestamp(u64::MAX),
                interrupted: None,
            });
        }
        if let Some(lease) = lease {
            match self {
                Self::NotReported => lease.interrupted = None,
                Self::AlwaysReported => lease.interrupted = Some(now),
                Self::OfAnotherRecord(given) if action == "modify" => {
                    let mut given = given.lock();
                    if given.len() < CALLS {
                        given.push(lease.clone());
                        lease.subject = another(&lease.subject);
                    }
                }
                _ => {}
            }
        }
        Ok(begun)
    }

    async fn commit(&self, inner: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        if let Self::None | Self::Unfenced = self {
            commit.fence = None;
        }
        self.set_right(&mut commit.fence);
        inner.commit(commit).await
    }

    async fn end(&self, inner: &dyn Store, mut end: CallEnd) -> Result<(), StoreError> {
        if let Self::None = self {
            end.lease = None;
        }
        self.set_right(&mut end.lease);
        inner.end(end).await
    }
}

fn of_another_record() -> LeaseDefect {
    LeaseDefect::OfAnotherRecord(Mutex::default())
}

broken_hosts! {
    host_without_leases: store(LeaseDefect::None) => ["calls.one-at-a-time", "storage.commit.fenced"];
    fence_is_not_checked: store(LeaseDefect::Unfenced) => ["storage.commit.fenced"];
    interruption_is_not_reported: store(LeaseDefect::NotReported) => ["transactions.interrupted.reported"];
    interruption_is_always_reported: store(LeaseDefect::AlwaysReported) => [
        "transactions.interrupted.none",
        "transactions.interrupted.cleared",
    ];
    lease_is_for_another_record: store(of_another_record()) => [
        "storage.commit.own-record",
        "secrets.own-record",
    ];
}
