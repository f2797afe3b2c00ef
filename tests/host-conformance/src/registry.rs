//! All checks: their stable ids, the behavior they require, and how they are decided.

use crate::checks::{commit, documents, egress, find, limits, malformed, scheduling, secrets};
use crate::checks::{environment, proxies};
use crate::outcome::Outcome;
use crate::samples::CheckContext;
use crate::state::State;

/// The way in which a check is decided.
pub enum DecisionMethod {
    /// By this function, in one call.
    Checks(fn(&CheckContext) -> Outcome),
    /// By wakeups.
    Delivery,
    /// By further calls of the driver. Without them the check is skipped for this reason.
    Driver(&'static str),
}

/// A check.
pub struct CheckEntry {
    /// The id. The part before the first full stop is the group; a call of `checks` runs one group.
    pub id: &'static str,
    /// The behavior of a host that passes.
    pub says: &'static str,
    /// The way in which the check is decided.
    pub decided_by: DecisionMethod,
}

/// The check of wakeups and concurrent calls.
pub const ONE_AT_A_TIME: &str = "calls.one-at-a-time";
/// The check of a fresh instance per call.
pub const FRESH: &str = "calls.fresh-instance";

const fn immediate(
    id: &'static str,
    says: &'static str,
    run: fn(&CheckContext) -> Outcome,
) -> CheckEntry {
    CheckEntry {
        id,
        says,
        decided_by: DecisionMethod::Checks(run),
    }
}

const fn by_wakeup(id: &'static str, says: &'static str) -> CheckEntry {
    CheckEntry {
        id,
        says,
        decided_by: DecisionMethod::Delivery,
    }
}

const fn by_driver(id: &'static str, says: &'static str, without: &'static str) -> CheckEntry {
    CheckEntry {
        id,
        says,
        decided_by: DecisionMethod::Driver(without),
    }
}

/// All checks, in the order in which they run.
#[rustfmt::skip]
pub const CHECKS: &[CheckEntry] = &[
    immediate("storage.get.absent", "a document that does not exist is returned as none", documents::absent),
    immediate("storage.put.content", "a document is read as it was written", documents::content),
    immediate("storage.put.version", "the version counts the puts of a document from 1, whatever a put says", documents::version),
    immediate("storage.put.keys", "a put replaces the keys: only the new ones find the document", documents::keys),
    immediate("storage.get-many.order", "several documents are returned in the requested order, with none for each that does not exist", documents::many),
    immediate("storage.find.keys", "a search returns documents that have all given keys", find::keys),
    immediate("storage.find.bytes", "key values are compared byte for byte", find::bytes),
    immediate("storage.find.model", "a search returns only documents of the model", find::model),
    immediate("storage.find.node", "the scope `node` finds documents at the node and not below it", find::node),
    immediate("storage.find.subtree", "the scope `subtree` finds documents at and below the node, and not at its siblings", find::subtree),
    immediate("storage.find.order", "search results are ordered by pkid", find::order),
    immediate("storage.find.pages", "each document is on exactly one page, and the last page has no successor", find::pages),
    immediate("storage.find.cap", "a limit above 1000 is capped", find::cap),
    immediate("storage.find.deleted", "a deleted document is not found", find::deleted),
    immediate("storage.find-pkids", "the primary keys of a search are those of the documents that it returns, on the same pages", find::only_pkids),
    immediate("storage.compare", "a comparison tells documents that are absent, the same, and different in node, body or keys", documents::compared),
    immediate("storage.commit.whole", "a successful commit makes all of its changes", commit::whole),
    immediate("storage.commit.nothing", "a commit whose check fails makes none of its changes", commit::nothing),
    immediate("storage.commit.malformed", "a commit with a malformed document makes none of its changes", commit::malformed),
    immediate("storage.commit.order", "changes are applied in the order given", commit::order),
    immediate("storage.commit.version-check", "a commit that requires another version than the stored one is a conflict", commit::version_check),
    immediate("storage.commit.absent-check", "a commit that requires the absence of an existing document is a conflict", commit::absent_check),
    immediate("storage.commit.unique-check", "a commit that requires uniqueness is a conflict if another document than the excepted one matches", commit::unique_check),
    immediate("storage.commit.every-check", "every check of a commit must hold", commit::every_check),
    immediate("storage.commit.keep", "a commit with `keep` needs a check of the call's record, and is done with one", commit::keep),
    immediate("storage.commit.idle-removal", "removing an item that does not exist is not an error", commit::idle_removal),
    immediate("storage.commit.own-record", "a call writes only its own record", commit::own_record),
    immediate("storage.delete.cascade", "a delete removes the document's secrets and wakeups, and no others", commit::cascade),
    immediate("storage.bounds.body", "a body that is not a single JSON object is invalid", malformed::body),
    immediate("storage.bounds.reference", "a model has 1 to 128 bytes, a pkid 24 lower-case hexadecimal characters, a node 1 to 1024 bytes without empty parts and control characters", malformed::reference),
    immediate("storage.bounds.reads", "a read of a malformed reference, filter or cursor, or of more than 1000 references, is invalid; a limit of 0 counts as 1", malformed::reads),
    immediate("storage.bounds.keys", "a document has at most 64 keys, no pair twice, with names of 1 to 64 bytes and values of at most 4096 bytes", malformed::keys),
    immediate("secrets.reveal", "a sealed secret is revealed unchanged", secrets::reveal),
    immediate("secrets.absent", "a secret that does not exist is returned as none", secrets::absent),
    immediate("secrets.replace", "a new secret replaces the secret of the same name", secrets::replace),
    immediate("secrets.remove", "a removed secret is returned as none", secrets::remove),
    immediate("secrets.own", "a secret belongs to its owner and its name", secrets::own),
    immediate("secrets.owner", "a commit fails unless each new secret's owner exists after it", secrets::owner),
    immediate("secrets.own-record", "a call reveals only secrets of its own record", secrets::own_record),
    immediate("secrets.setting", "a secret setting is revealed, and one that is not configured is none", secrets::setting),
    immediate("scheduling.list", "the wakeups of a subject are listed as they were scheduled, earliest first", scheduling::list),
    immediate("scheduling.move", "a wakeup that is scheduled again is moved", scheduling::moved),
    immediate("scheduling.cancel", "canceling removes the wakeup and no other", scheduling::cancel),
    immediate("scheduling.subject", "a wakeup's subject exists after the commit, or the commit fails", scheduling::subject),
    immediate("scheduling.bounds", "an id has 1 to 64 bytes and a payload at most 4096", scheduling::bounds),
    immediate("config.get", "a setting is read, and one that is not configured is none", environment::config),
    immediate("config.secrets", "plain settings do not contain secret ones", environment::config_without_secrets),
    immediate("random.fresh", "random bytes have the requested number and never repeat", environment::random),
    immediate("clock.steady", "the clocks do not go back within a call", environment::clock),
    immediate("transactions.accepts", "any log text and any progress is accepted", environment::transactions),
    immediate("transactions.interrupted.none", "after a call that ended, no interruption is reported", environment::interrupted),
    immediate("egress.response", "the status, headers and body of a response arrive", egress::response),
    immediate("egress.request", "the method, path, headers and body of a request arrive", egress::request),
    immediate("egress.status", "a response of 503 is a response, not an error", egress::status),
    immediate("egress.redirect", "a redirect is not followed", egress::redirect),
    immediate("egress.denied", "what the operator does not allow is refused by `HTTP-request-denied` or `destination-IP-prohibited`, and `last-error` says why", egress::denied),
    immediate("egress.refused", "a refused connection fails with a code that says the request was not sent", egress::refused),
    immediate("egress.deadline", "a timeout fails with a code that leaves open whether the request was sent", egress::deadline),
    immediate("egress.deadline.unset", "without request options too, a missing response ends within the time of a call, by such a code", egress::deadline_unset),
    immediate("egress.cut", "a response that ends early has a code that leaves open whether the request was sent", egress::cut),
    immediate("egress.size", "a response of 48 MiB is refused by `HTTP-response-body-size`", egress::size),
    immediate("egress.last-error", "the latest request's error has a text, and a successful request has none", egress::last_error),
    immediate("egress.proxy.used", "requests use the configured proxy, and none after it was removed", proxies::used),
    immediate("egress.proxy.malformed", "malformed proxies are invalid, with both fields named", proxies::malformed),
    immediate("egress.proxy.denied", "a proxy that the operator does not allow is refused", proxies::denied),
    immediate("limits.changes", "a commit of 50 000 changes exceeds a limit that is named", limits::changes),
    immediate("limits.commit", "a commit of 8 MiB exceeds a limit that is named", limits::commit_size),
    immediate("limits.requests", "one of 2000 requests in one call is refused by `connection-limit-reached`", limits::requests),
    by_driver(FRESH, "each call has an instance of its own", "there was only one call"),
    by_driver(ONE_AT_A_TIME, "only one call at a time runs on a record", "the driver made no concurrent calls (`meet`, or `turned-away`)"),
    by_driver("egress.proxy.one-call", "a configured proxy applies to one call", "no proxy was given, or no call followed"),
    by_driver("random.fresh-per-call", "two calls draw different random bytes", "there was only one call"),
    by_driver("clock.agrees", "the plugin's clock agrees with the time in callers' requests", "the driver did not call `refresh`"),
    by_driver("storage.commit.fenced", "a call without its lease changes nothing and gets `conflict`", "the driver let no call outlive its lease (`outlive-lease`)"),
    by_driver("storage.commit.kept", "a commit with `keep` during an outage of the store fails with `unavailable` and is applied before the next call", "the driver did not make the store unavailable (`keep`)"),
    by_driver("storage.commit.durable", "commits survive a restart", "the driver did not restart the host (`restarted`)"),
    by_driver("transactions.interrupted.reported", "a call after one that lost its lease learns when that one began", "the driver let no call outlive its lease (`outlive-lease`)"),
    by_driver("transactions.interrupted.cleared", "once a call has ended, no interruption is reported any more", "the driver let no call outlive its lease (`outlive-lease`)"),
    by_driver("secrets.redacted", "no text that leaves a call contains a secret that the call has seen", "the driver did not try it (`expose-secret`)"),
    by_wakeup("delivery.not-before", "no wakeup is delivered before it is due"),
    by_wakeup("delivery.content", "a wakeup is delivered as it was scheduled"),
    by_wakeup("delivery.once", "a wakeup that has run is not delivered again"),
    by_wakeup("delivery.order", "wakeups of one subject without deadlines come in the order in which they are due"),
    by_wakeup("delivery.deadline", "of wakeups that are due, those with the earliest deadline are delivered first, and those without one last"),
    by_wakeup("delivery.moved", "a moved wakeup is delivered at its new due time"),
    by_wakeup("delivery.cancelled", "a canceled wakeup is not delivered"),
    by_wakeup("delivery.deleted", "a wakeup whose subject was deleted is not delivered"),
    by_wakeup("delivery.rescheduled", "a wakeup that its own call schedules again is delivered again"),
    by_wakeup("delivery.retried", "a wakeup whose call failed is retried later"),
    by_wakeup("delivery.retried-after-trap", "a wakeup whose call trapped is retried later, and commits of that call are kept"),
    by_wakeup("delivery.subject", "a wakeup of another document than the record is delivered for that document"),
    by_driver("delete.leaves-nothing", "after `delete` no data of the record remain", "the result of `delete` decides the check"),
];

/// Returns the first group with a check that has not run.
pub fn next_group(state: &State) -> Option<&'static str> {
    CHECKS
        .iter()
        .find(|check| {
            matches!(check.decided_by, DecisionMethod::Checks(_))
                && !state.results.contains_key(check.id)
        })
        .map(|check| group(check.id))
}

/// Returns the part before the first full stop.
pub fn group(id: &str) -> &str {
    id.split_once('.').map_or(id, |(group, _)| group)
}
