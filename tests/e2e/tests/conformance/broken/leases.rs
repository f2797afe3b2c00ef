//! Stores that give out leases as they should not.

use std::sync::Mutex;

use relation_host::store::layer::StoreLayer;
use relation_host::store::{Begin, BeginOutcome, Commit, End, Lease, Store, StoreError};
use relation_host::types::{Pkid, Reference, Timestamp};

use super::store;

/// What is wrong with leases.
enum Leases {
    /// Every call may run, and write, at once.
    None,
    /// Who has lost one may write.
    Unfenced,
    /// Nobody is told of a call that was cut off.
    Untold,
    /// Everybody is told of one.
    Retold,
    /// They are another record's, in the calls that check documents and secrets: those that were.
    OfAnother(Mutex<Vec<Lease>>),
}

/// How many calls of `checks` come to the end of documents and secrets.
const CALLS: usize = 2;

/// The record that the suite takes for another's (`tests/host-conformance/src/samples.rs`).
fn another(record: &Reference) -> Reference {
    let own = record.pkid.as_str();
    let digit = if own.starts_with('0') { '1' } else { '0' };
    let pkid = format!("{digit}{}", &own[1..]);
    Reference::record(Pkid::try_from(pkid).unwrap())
}

impl Leases {
    /// The lease as the store knows it.
    fn set_right(&self, lease: &mut Option<Lease>) {
        if let (Self::OfAnother(given), Some(lease)) = (self, lease) {
            let given = given.lock().unwrap();
            if let Some(own) = given.iter().find(|own| own.epoch == lease.epoch) {
                *lease = own.clone();
            }
        }
    }
}

impl StoreLayer for Leases {
    async fn begin(&self, inner: &dyn Store, mut begin: Begin) -> Result<BeginOutcome, StoreError> {
        let (now, action) = (begin.now, begin.transaction.action.clone());
        let subject = match self {
            // Nobody is asked, and nobody is kept out.
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
                Self::Untold => lease.interrupted = None,
                Self::Retold => lease.interrupted = Some(now),
                Self::OfAnother(given) if action == "modify" => {
                    let mut given = given.lock().unwrap();
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

    async fn end(&self, inner: &dyn Store, mut end: End) -> Result<(), StoreError> {
        if let Self::None = self {
            end.lease = None;
        }
        self.set_right(&mut end.lease);
        inner.end(end).await
    }
}

fn of_another() -> Leases {
    Leases::OfAnother(Mutex::default())
}

broken_hosts! {
    a_host_without_leases: store(Leases::None) => ["calls.one-at-a-time", "storage.commit.fenced"];
    a_fence_that_is_open: store(Leases::Unfenced) => ["storage.commit.fenced"];
    calls_that_were_cut_off_without_a_word: store(Leases::Untold) => ["transactions.interrupted.told"];
    calls_that_are_always_said_to_be_cut_off: store(Leases::Retold) => [
        "transactions.interrupted.none",
        "transactions.interrupted.cleared",
    ];
    leases_of_another_record: store(of_another()) => [
        "storage.commit.own-record",
        "secrets.own-record",
    ];
}
