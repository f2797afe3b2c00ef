//! A refresh under each fault, in each way in which Webex refreshes: the table of `docs/faults.md`,
//! row by row through the real component.
//!
//! Each group of rows is one test. It runs the rows, judges each by the class of its fault, and
//! compares the observations with the group's section of the page.

mod bodies;
mod case;
mod page;
mod recovery;
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
    rows::rate_limits::group,
    rows::rate_limits::near_expiry,
    rows::slow::group,
    rows::garbled::group,
    rows::lifetimes::group,
    rows::echoes::group,
    rows::certificates::group,
    rows::proxies::tunnels,
    rows::proxies::plain,
    rows::store::stores,
    rows::store::leases,
    rows::clocks::group,
];

#[tokio::test(flavor = "multi_thread")]
async fn proper_responses() {
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
async fn rate_limits() {
    sweep::run(rows::rate_limits::group()).await;
    sweep::run(rows::rate_limits::near_expiry()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_or_malformed_responses() {
    sweep::run(rows::garbled::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn implausible_lifetimes_and_fields() {
    sweep::run(rows::lifetimes::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_echoed_by_webex() {
    sweep::run(rows::echoes::group()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_responses() {
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
fn page_sections_match_the_groups() {
    let titles: Vec<_> = GROUPS.iter().map(|group| group().title).collect();
    PAGE.has_exactly(&titles);
}
