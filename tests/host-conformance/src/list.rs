//! Every check: its name, which stays, what it says of a host, and what decides it.

use crate::checks::{commit, documents, egress, find, limits, malformed, scheduling, secrets};
use crate::checks::{proxies, surroundings};
use crate::samples::Scene;
use crate::state::State;
use crate::verdict::Outcome;

/// What decides a check.
pub enum Since {
    /// One call, by this function.
    Checks(fn(&Scene) -> Outcome),
    /// Wakeups.
    Delivery,
    /// The driver's further calls; without them it is skipped, and why.
    Driver(&'static str),
}

/// One check.
pub struct Entry {
    /// Its name. What is before the first full stop is its group: a call of `checks` takes one.
    pub id: &'static str,
    /// What a host does that passes it.
    pub says: &'static str,
    /// What decides it.
    pub since: Since,
}

/// The check that wakeups and concurrent calls share.
pub const ONE_AT_A_TIME: &str = "calls.one-at-a-time";
/// A fresh instance per call.
pub const FRESH: &str = "calls.fresh-instance";

const fn now(id: &'static str, says: &'static str, run: fn(&Scene) -> Outcome) -> Entry {
    Entry {
        id,
        says,
        since: Since::Checks(run),
    }
}

const fn woken(id: &'static str, says: &'static str) -> Entry {
    Entry {
        id,
        says,
        since: Since::Delivery,
    }
}

const fn driven(id: &'static str, says: &'static str, without: &'static str) -> Entry {
    Entry {
        id,
        says,
        since: Since::Driver(without),
    }
}

/// All of them, in the order in which they run.
#[rustfmt::skip]
pub const CHECKS: &[Entry] = &[
    now("storage.get.absent", "a document that does not exist is none", documents::absent),
    now("storage.put.content", "a document is read as it was written", documents::content),
    now("storage.put.version", "the version counts the puts of a document from 1, whatever a put says", documents::version),
    now("storage.put.keys", "a put replaces the keys, and is found by the new ones alone", documents::keys),
    now("storage.get-many.order", "several documents come in the order asked for, none for each that does not exist", documents::many),
    now("storage.find.keys", "what is found has every one of the keys", find::keys),
    now("storage.find.bytes", "a key's value is compared byte for byte", find::bytes),
    now("storage.find.model", "only documents of the model are found", find::model),
    now("storage.find.node", "the scope `node` finds at the node and not below it", find::node),
    now("storage.find.subtree", "the scope `subtree` finds at the node and below it, and not beside it", find::subtree),
    now("storage.find.order", "what is found comes ordered by pkid", find::order),
    now("storage.find.pages", "each document is on one page, and the last page says that it is", find::pages),
    now("storage.find.cap", "a limit above 1000 is capped", find::cap),
    now("storage.find.deleted", "what was deleted is not found", find::deleted),
    now("storage.commit.whole", "a commit that succeeds did all of its changes", commit::whole),
    now("storage.commit.nothing", "a commit whose check fails did none of its changes", commit::nothing),
    now("storage.commit.malformed", "a commit with a malformed document did none of its changes", commit::malformed),
    now("storage.commit.order", "changes are applied in the order given", commit::order),
    now("storage.commit.version-check", "a commit that depends on another version than the stored one is a conflict", commit::version_check),
    now("storage.commit.absent-check", "a commit that depends on the absence of what exists is a conflict", commit::absent_check),
    now("storage.commit.unique-check", "a commit that depends on uniqueness is a conflict with any other match than the one excepted", commit::unique_check),
    now("storage.commit.every-check", "every check has to hold", commit::every_check),
    now("storage.commit.keep", "a commit with `keep` needs a check of the call's record, and is done with one", commit::keep),
    now("storage.commit.idle-removal", "to remove what does not exist is no error", commit::idle_removal),
    now("storage.commit.own-record", "a call writes no other record than its own", commit::own_record),
    now("storage.delete.cascade", "a delete takes the document's secrets and wakeups with it, and no others", commit::cascade),
    now("storage.bounds.body", "a body that is not one JSON object is invalid", malformed::body),
    now("storage.bounds.reference", "a model has 1 to 128 bytes, a pkid 24 lower-case hexadecimal characters, a node 1 to 1024 bytes without empty parts and control characters", malformed::reference),
    now("storage.bounds.reads", "a read of a malformed reference, filter or cursor, or of more than 1000 references, is invalid; a limit of 0 counts as 1", malformed::reads),
    now("storage.bounds.keys", "at most 16 keys, a name of 1 to 64 bytes once, a value of at most 4096", malformed::keys),
    now("secrets.reveal", "a sealed secret is revealed as it was", secrets::reveal),
    now("secrets.absent", "a secret that does not exist is none", secrets::absent),
    now("secrets.replace", "a seal takes the place of the secret of that name", secrets::replace),
    now("secrets.remove", "a secret that was removed is none", secrets::remove),
    now("secrets.own", "a secret belongs to its owner and its name", secrets::own),
    now("secrets.owner", "a secret's owner exists after the commit, or the commit fails", secrets::owner),
    now("secrets.own-record", "a call opens no secret of another record than its own", secrets::own_record),
    now("secrets.setting", "a secret setting is revealed, one that is not configured is none", secrets::setting),
    now("scheduling.list", "the wakeups of a subject are listed as they were scheduled, the earliest first", scheduling::list),
    now("scheduling.move", "a wakeup that is scheduled again is moved", scheduling::moved),
    now("scheduling.cancel", "a wakeup that was cancelled is gone, and no other", scheduling::cancel),
    now("scheduling.subject", "a wakeup's subject exists after the commit, or the commit fails", scheduling::subject),
    now("scheduling.bounds", "an id has 1 to 64 bytes and a payload at most 4096", scheduling::bounds),
    now("config.get", "a setting is read, one that is not configured is none", surroundings::config),
    now("config.secrets", "plain settings tell no secret one", surroundings::config_without_secrets),
    now("random.fresh", "random bytes are as many as asked for, and never the same", surroundings::random),
    now("clock.steady", "the clocks do not go back within a call", surroundings::clock),
    now("transactions.accepts", "any text and any progress is taken", surroundings::transactions),
    now("transactions.interrupted.none", "after a call that ended, nothing was interrupted", surroundings::interrupted),
    now("egress.answer", "status, header and body of an answer arrive", egress::answer),
    now("egress.request", "method, path, header and body of a request arrive", egress::request),
    now("egress.status", "an answer of 503 is an answer", egress::status),
    now("egress.redirect", "a redirect is not followed", egress::redirect),
    now("egress.denied", "what the operator does not allow is refused by `HTTP-request-denied` or `destination-IP-prohibited`, and `last-error` says why", egress::denied),
    now("egress.refused", "a refused connection has a code that says the request was not sent", egress::refused),
    now("egress.deadline", "an answer that does not come in time has a code that leaves open whether the request was sent", egress::deadline),
    now("egress.deadline.unset", "without request options too, an answer that does not come ends within the time of a call, by such a code", egress::deadline_unset),
    now("egress.cut", "an answer that ends early has a code that leaves open whether the request was sent", egress::cut),
    now("egress.size", "an answer of 48 MiB is refused by `HTTP-response-body-size`", egress::size),
    now("egress.last-error", "the latest request's fault is told in words, and none when nothing is wrong", egress::last_error),
    now("egress.proxy.used", "requests go through the proxy that was set, and directly when none is set any more", proxies::used),
    now("egress.proxy.malformed", "a malformed proxy is invalid, with both fields named", proxies::malformed),
    now("egress.proxy.denied", "a proxy that the operator does not allow is refused", proxies::denied),
    now("limits.changes", "a commit of 50 000 changes exceeds a limit that is named", limits::changes),
    now("limits.commit", "a commit of 8 MiB exceeds a limit that is named", limits::commit_size),
    now("limits.requests", "one of 2000 requests in one call is refused by `connection-limit-reached`", limits::requests),
    driven(FRESH, "each call has an instance of its own", "there was one call only"),
    driven(ONE_AT_A_TIME, "one call at a time runs on a record", "the driver made no two calls at once (`meet`, or `turned-away`)"),
    driven("egress.proxy.one-call", "a proxy that was set holds for one call", "no proxy was given, or no call came after that"),
    driven("random.fresh-per-call", "two calls draw different random bytes", "there was one call only"),
    driven("clock.agrees", "the plugin's clock is the one that callers say when they asked by", "the driver did not call `refresh`"),
    driven("storage.commit.fenced", "a call that has lost its lease changes nothing, and is told by `conflict`", "the driver let no call outlive its lease (`outlive`)"),
    driven("storage.commit.durable", "what was committed is there after a restart", "the driver did not restart the host (`restarted`)"),
    driven("transactions.interrupted.told", "a call after one that lost its lease is told when that one began", "the driver let no call outlive its lease (`outlive`)"),
    driven("transactions.interrupted.cleared", "once a call has ended, nothing was interrupted any more", "the driver let no call outlive its lease (`outlive`)"),
    driven("secrets.scrubbed", "no text that leaves a call has a secret that the call has seen", "the driver did not try it (`tell`)"),
    woken("delivery.not-before", "no wakeup comes before it is due"),
    woken("delivery.content", "a wakeup comes as it was scheduled"),
    woken("delivery.once", "a wakeup that was answered does not come again"),
    woken("delivery.order", "wakeups of one subject without deadlines come in the order in which they are due"),
    woken("delivery.deadline", "of wakeups that are due at once, those with the earliest deadline come first, those without one last"),
    woken("delivery.moved", "a wakeup that was moved comes when it is due then"),
    woken("delivery.cancelled", "a wakeup that was cancelled does not come"),
    woken("delivery.deleted", "a wakeup whose subject was deleted does not come"),
    woken("delivery.rescheduled", "a wakeup that its own call schedules anew comes again"),
    woken("delivery.retried", "a wakeup whose call failed comes again later"),
    woken("delivery.retried-after-trap", "a wakeup whose call trapped comes again later, and what that call had committed is kept"),
    woken("delivery.subject", "a wakeup of another document than the record comes, for that document"),
    driven("delete.leaves-nothing", "after `delete` nothing of the record is left", "the answer of `delete` decides it"),
];

/// A group of checks, of which at least one has not run.
pub fn next_group(state: &State) -> Option<&'static str> {
    CHECKS
        .iter()
        .find(|check| {
            matches!(check.since, Since::Checks(_)) && !state.results.contains_key(check.id)
        })
        .map(|check| group(check.id))
}

/// What is before the first full stop.
pub fn group(id: &str) -> &str {
    id.split_once('.').map_or(id, |(group, _)| group)
}
