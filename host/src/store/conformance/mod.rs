//! What every [`Store`] promises, as tests that any implementation can run.
//!
//! Implement [`Stores`] for yours and call [`run`] from a test. Each case starts from an empty store
//! and says what it shows by its name.
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

mod calls;
mod checks;
mod documents;
mod given;
mod keys;
mod restart;
mod retention;
mod search;
mod secrets;
mod transactions;
mod wakeups;

/// One place for data, such as a new temporary file, and the stores that open it.
#[async_trait]
pub trait Stores: Send + Sync + 'static {
    /// Opens the place: empty the first time, later with what is there. Two that are open at once
    /// are two hosts on the same data.
    async fn open(&self) -> Arc<dyn Store>;

    /// Whether what was written is still there when all stores were dropped and one is opened
    /// again. A store in memory says no, and is spared those cases.
    fn lasting(&self) -> bool {
        true
    }
}

/// One promise and the test of it.
pub struct Case {
    /// What is promised, as `topic::sentence`.
    pub name: &'static str,
    run: fn(Arc<dyn Stores>) -> Running,
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Case {
    /// Runs it on a place that nothing was written to yet; panics when the promise is broken.
    pub async fn run(&self, stores: Arc<dyn Stores>) {
        (self.run)(stores).await;
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Runs every case, each on a place of its own that `make` gives, and panics at the end with the
/// names of those that failed. Needs a tokio runtime.
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
    documents::a_document_comes_back_as_it_was_put,
    documents::several_come_in_the_order_asked_for,
    documents::each_put_raises_the_version,
    documents::changes_apply_in_the_order_given,
    documents::a_commit_that_fails_late_changes_nothing,
    documents::a_body_that_is_no_json_object_is_refused,
    documents::a_key_that_is_named_twice_is_refused,
    documents::deleting_what_does_not_exist_is_no_error,
    documents::a_large_body_is_kept_whole,
    documents::reads_see_every_write_that_returned,
    secrets::a_sealed_value_is_kept_replaced_and_removed,
    secrets::a_secret_needs_its_owner,
    secrets::delete_takes_the_secrets_along,
    keys::a_data_key_is_added_once,
    keys::all_data_keys_are_wrapped_by_one_key,
    keys::data_keys_are_wrapped_anew_all_at_once_and_only_as_they_were_read,
    keys::what_is_sealed_with_another_key_than_the_newest_is_refused,
    keys::a_host_that_cannot_open_the_newest_key_may_say_so,
    keys::a_reseal_never_overwrites_what_was_sealed_meanwhile,
    keys::secrets_are_listed_in_pages_by_what_they_are_sealed_with,
    keys::a_quarantine_lasts_until_the_secret_is_replaced_or_found_sound,
    keys::the_use_of_keys_is_counted,
    keys::a_key_is_retired_when_nothing_needs_it,
    keys::a_key_of_secrets_that_do_not_open_is_retired_on_demand,
    keys::a_retired_key_seals_nothing_any_more,
    checks::a_version_check_holds_or_nothing_changes,
    checks::an_absence_check_holds_or_nothing_changes,
    checks::uniqueness_counts_everybody_but_the_one_excepted,
    checks::a_name_is_taken_once_however_many_ask_at_once,
    checks::no_update_is_lost_when_versions_are_checked,
    search::every_listing_is_complete_ordered_and_without_repeats,
    search::a_neighbour_whose_path_begins_alike_is_not_below,
    search::a_document_is_found_where_and_as_it_is_now,
    search::a_listing_goes_on_behind_a_document_that_is_gone,
    search::a_cursor_of_another_listing_is_refused,
    wakeups::scheduling_again_moves_raises_and_resets,
    wakeups::a_revision_is_never_used_twice,
    wakeups::a_wakeup_needs_its_subject,
    wakeups::delete_takes_the_wakeups_along,
    wakeups::cancelling_removes_the_one_that_is_named,
    wakeups::what_is_due_comes_earliest_first_and_once_for_each_subject,
    wakeups::a_deadline_is_kept_moved_and_removed,
    wakeups::of_what_is_due_the_earliest_deadline_comes_first,
    wakeups::a_kind_of_wakeups_can_be_left_out,
    wakeups::a_backlog_is_worked_off_by_deadline,
    wakeups::what_is_held_is_not_due_until_the_lease_expires,
    wakeups::all_wakeups_are_listed_by_time,
    wakeups::the_next_moment_is_that_of_the_earliest,
    wakeups::redating_makes_due_what_a_clock_ahead_scheduled,
    calls::redating_lets_a_lease_of_a_clock_ahead_expire,
    calls::one_call_at_a_time_holds_a_subject,
    calls::of_many_claims_at_once_one_succeeds,
    calls::a_lease_that_expired_can_be_claimed,
    calls::a_lost_lease_writes_nothing,
    calls::a_released_lease_writes_nothing,
    calls::an_epoch_is_never_used_twice,
    calls::an_answered_moved_or_cancelled_wakeup_is_gone,
    calls::a_call_that_ran_removes_its_wakeup,
    calls::a_wakeup_that_its_own_call_moved_stays,
    calls::a_call_that_failed_leaves_its_wakeup_for_later,
    calls::a_retry_makes_earlier_findings_stale,
    calls::ending_twice_is_ending_once,
    calls::a_call_that_lost_its_lease_settles_nothing,
    calls::a_call_may_delete_its_own_subject,
    calls::a_call_without_a_subject_holds_nothing,
    calls::recovery_releases_what_has_expired,
    calls::a_call_that_was_cut_off_is_told_to_the_next,
    calls::a_call_that_was_cut_off_cannot_go_on,
    calls::nothing_is_remembered_of_what_is_deleted,
    calls::a_call_that_says_so_was_cut_off,
    transactions::a_transaction_is_told_from_begin_to_end,
    transactions::news_belong_to_their_commit,
    transactions::news_that_come_too_late_are_dropped,
    transactions::news_of_nothing_are_refused,
    transactions::an_id_is_used_once,
    transactions::listings_are_newest_first_filtered_and_complete,
    retention::old_transactions_are_removed_in_steps,
    retention::a_running_transaction_is_never_removed,
    retention::whatever_is_stored_nothing_younger_goes_and_nothing_older_stays,
    restart::everything_is_there_after_a_restart,
    restart::epochs_and_revisions_go_on_after_a_restart,
    restart::a_second_host_sees_and_respects_the_first,
];
