//! The contract of [`Store`] as a test suite for any implementation.
//!
//! Implement [`Stores`] for your store and call [`run`] from a test. Each case starts with an empty
//! store; its name states the tested promise.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a case that meets the unexpected must fail"
)]

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use super::Store;

mod builders;
mod calls;
mod checks;
mod deadlines;
mod documents;
mod keys;
mod queue;
mod restart;
mod retention;
mod search;
mod secrets;
mod transactions;
pub mod transfer;
mod transfer_contents;
mod wakeups;

/// One location for data, such as a new temporary file, and the stores that open it.
#[async_trait]
pub trait Stores: Send + Sync + 'static {
    /// Opens the location: empty the first time, later with its data. Two stores that are open
    /// concurrently represent two hosts on the same data.
    async fn open(&self) -> Arc<dyn Store>;

    /// Returns whether data survives when all stores are dropped and one is opened again. A store in
    /// memory returns false, and skips those cases.
    fn lasting(&self) -> bool {
        true
    }
}

/// One promise and its test.
pub struct Case {
    /// The promise, as `topic::sentence`.
    pub name: &'static str,
    run: fn(Arc<dyn Stores>) -> CaseFuture,
}

type CaseFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Case {
    /// Runs the case on an empty location; panics when the promise is broken.
    pub async fn run(&self, stores: Arc<dyn Stores>) {
        (self.run)(stores).await;
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Runs every case, each on its own location from `make`, and panics at the end with the names of the
/// failed ones. Needs a tokio runtime.
pub async fn run(make: impl AsyncFn() -> Arc<dyn Stores>) {
    let mut failed = Vec::new();
    for case in CASES {
        let stores = make().await;
        let running = tokio::spawn((case.run)(stores));
        if running.await.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "not kept: {failed:#?}");
}

macro_rules! cases {
    ($($topic:ident::$name:ident),* $(,)?) => {
        &[$(Case {
            name: concat!(stringify!($topic), "::", stringify!($name)),
            run: |stores| Box::pin($topic::$name(stores)),
        }),*]
    };
}

/// All cases.
pub const CASES: &[Case] = cases![
    documents::document_is_read_back_unchanged,
    documents::several_documents_come_in_the_requested_order,
    documents::each_put_raises_the_version,
    documents::changes_apply_in_the_order_given,
    documents::commit_that_fails_late_changes_nothing,
    documents::a_body_that_is_not_an_object_is_refused,
    documents::a_repeated_key_is_refused,
    documents::deleting_an_absent_item_is_not_an_error,
    documents::a_large_body_is_kept_whole,
    documents::reads_see_every_write_that_returned,
    secrets::sealed_value_is_stored_replaced_and_removed,
    secrets::a_secret_needs_its_owner,
    secrets::delete_removes_the_secrets,
    keys::a_data_key_is_added_once,
    keys::all_data_keys_are_wrapped_by_one_key,
    keys::rewrap_is_atomic_and_needs_the_current_keys,
    keys::commit_with_an_older_data_key_is_refused,
    keys::older_keys_option_allows_an_older_data_key,
    keys::reseal_never_overwrites_a_newer_value,
    keys::secrets_are_listed_in_pages_by_data_key,
    keys::quarantine_ends_when_replaced_or_found_sound,
    keys::the_use_of_keys_is_counted,
    keys::a_key_is_retired_when_nothing_needs_it,
    keys::key_of_quarantined_secrets_is_retired_on_demand,
    keys::a_retired_key_seals_nothing_any_more,
    checks::a_version_check_holds_or_nothing_changes,
    checks::an_absence_check_holds_or_nothing_changes,
    checks::uniqueness_ignores_only_the_excepted_document,
    checks::concurrent_adds_of_one_name_succeed_once,
    checks::no_update_is_lost_when_versions_are_checked,
    search::listings_are_complete_ordered_without_repeats,
    search::paths_beside_a_subtree_are_outside,
    search::a_neighbor_whose_path_begins_alike_is_not_below,
    search::a_document_is_found_where_and_as_it_is_now,
    search::listing_continues_after_a_deleted_document,
    search::a_cursor_of_another_listing_is_refused,
    search::sorted_listings_are_complete_in_every_place,
    search::sorted_listing_follows_moves_and_renames,
    search::a_cursor_belongs_to_one_order,
    search::order_without_an_index_is_refused,
    search::counts_stop_at_their_bound,
    wakeups::scheduling_again_replaces_and_resets_the_wakeup,
    wakeups::a_revision_is_never_used_twice,
    wakeups::a_wakeup_needs_its_subject,
    wakeups::delete_removes_the_wakeups,
    wakeups::cancel_removes_only_the_named_wakeup,
    wakeups::due_wakeups_are_ordered_and_unique_by_subject,
    wakeups::a_deadline_is_kept_moved_and_removed,
    wakeups::due_wakeups_are_ordered_by_deadline,
    wakeups::due_wakeups_are_chosen_by_kind,
    wakeups::backlog_is_ordered_by_deadline,
    wakeups::leased_subject_is_not_due_until_the_lease_expires,
    wakeups::all_wakeups_are_listed_by_time,
    wakeups::due_wakeups_are_counted_up_to_a_bound,
    wakeups::next_due_is_the_earliest_due_time,
    deadlines::deadlines_are_counted_by_kind,
    wakeups::redate_makes_wakeups_of_a_fast_clock_due,
    calls::redate_shortens_leases_of_a_fast_clock,
    calls::one_call_at_a_time_holds_a_subject,
    calls::concurrent_claims_succeed_once,
    calls::a_lease_that_expired_can_be_claimed,
    calls::a_lost_lease_writes_nothing,
    calls::a_released_lease_writes_nothing,
    calls::an_epoch_is_never_used_twice,
    calls::settled_moved_or_canceled_wakeup_is_gone,
    calls::a_call_that_ran_removes_its_wakeup,
    calls::a_wakeup_that_its_own_call_moved_stays,
    calls::a_call_that_failed_leaves_its_wakeup_for_later,
    calls::retry_invalidates_wakeups_read_before,
    calls::ending_twice_is_ending_once,
    calls::a_call_that_lost_its_lease_settles_nothing,
    calls::a_call_may_delete_its_own_subject,
    calls::a_call_without_a_subject_holds_nothing,
    calls::recovery_releases_what_has_expired,
    calls::interrupted_call_is_reported_to_the_next,
    calls::interrupted_call_cannot_continue,
    calls::deleted_subject_forgets_its_interruption,
    calls::call_can_end_as_interrupted,
    transactions::transaction_is_recorded_from_begin_to_end,
    transactions::update_is_written_with_its_commit,
    transactions::update_after_the_end_is_dropped,
    transactions::update_of_an_unknown_transaction_is_refused,
    transactions::an_id_is_used_once,
    transactions::listings_are_newest_first_filtered_and_complete,
    transactions::listings_select_ids_by_prefix,
    transactions::listings_select_transactions_by_node,
    transactions::parts_are_listed_with_their_transaction_only,
    retention::old_transactions_are_removed_in_steps,
    retention::a_running_transaction_is_never_removed,
    retention::pruning_removes_exactly_the_old_transactions,
    queue::queued_call_runs_under_the_id_of_its_transaction,
    queue::submission_is_atomic,
    queue::failed_attempt_is_queued_again,
    queue::queued_call_begins_once,
    queue::queued_call_that_lost_its_lease_ends_nothing,
    queue::queued_call_of_a_dead_host_is_queued_again,
    queue::bulk_ends_with_its_last_call,
    queue::calls_of_a_bulk_are_listed_where_the_bulk_is_not,
    queue::kept_request_is_removed_with_its_transaction,
    retention::callback_is_removed_with_its_transaction,
    restart::data_survives_a_restart,
    restart::epochs_and_revisions_continue_after_a_restart,
    restart::a_second_host_sees_and_respects_the_first,
];
