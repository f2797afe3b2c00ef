//! What becomes of a refresh under each fault, in each way in which Webex refreshes: the table of
//! `docs/faults.md`, row by row through the real component.
//!
//! A group of rows is one test. It runs the rows, judges each by the class of its fault, and
//! compares what it saw with the group's section of the page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

mod afterwards;
mod bodies;
mod judge;
mod page;
mod row;
mod rows;
mod sweep;

use page::PAGE;
use row::Group;

/// Every group, in the order of the page.
const GROUPS: &[fn() -> Group] = &[
    rows::plain::group,
    rows::statuses::group,
    rows::refusals::group,
    rows::patience::group,
    rows::patience::near_the_end,
    rows::slow::group,
    rows::garbled::group,
    rows::lives::group,
    rows::echoes::group,
    rows::certificates::group,
    rows::proxies::tunnels,
    rows::proxies::plain,
    rows::store::stores,
    rows::store::leases,
    rows::clocks::group,
];

#[tokio::test(flavor = "multi_thread")]
async fn answers_as_they_should_be() {
    sweep::run(rows::plain::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_by_status() {
    sweep::run(rows::statuses::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals() {
    sweep::run(rows::refusals::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_patience() {
    sweep::run(rows::patience::group()).await;
    sweep::run(rows::patience::near_the_end()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_or_make_no_sense() {
    sweep::run(rows::garbled::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_and_fields_that_make_no_sense() {
    sweep::run(rows::lives::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_webex_repeats() {
    sweep::run(rows::echoes::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_come_too_late() {
    sweep::run(rows::slow::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_certificates() {
    sweep::run(rows::certificates::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_with_tunnels() {
    sweep::run(rows::proxies::tunnels()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_of_plain_http() {
    sweep::run(rows::proxies::plain()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_fail_before_the_commit() {
    sweep::run(rows::store::stores()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_that_are_lost_before_the_commit() {
    sweep::run(rows::store::leases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_jump() {
    sweep::run(rows::clocks::group()).await;
}

#[test]
fn the_page_has_a_section_for_every_group_and_no_other() {
    let titles: Vec<_> = GROUPS.iter().map(|group| group().title).collect();
    PAGE.has_exactly(&titles);
}
