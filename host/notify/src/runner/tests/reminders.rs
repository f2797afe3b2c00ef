//! Reminders of connections that do not work.

use super::super::remind::REMIND;
use super::thresholds::run_on_two_for;
use super::*;

const REMINDED: &str = r#"{"recipients": ["noc@provider.example"], "reminder": "7d"}"#;

/// Starts a world in which a connection expires at the start.
async fn expired_world(settings: &str) -> (World, Pkid) {
    let world = World::with_settings(serde_json::from_str(settings).unwrap()).await;
    let record = world.add_record(1, NODE, Duration::ZERO).await;
    world.expire(&record, 1).await;
    (world, record)
}

impl World {
    async fn set_state(&self, record: &Pkid, state: &str) {
        self.change_record(record, NODE, |body| body["state"] = state.into())
            .await;
    }

    pub(super) async fn expire(&self, record: &Pkid, number: u64) {
        self.set_state(record, "expired").await;
        self.notice(record, &Alert::EXPIRED, NoticeChange::Raised, number)
            .await;
    }

    /// Takes what was reported: the kind and the days since the start.
    pub(super) fn told(&self) -> Vec<(NoticeKind, i64)> {
        let sent = self.channels.take().into_iter();
        let told = sent.map(|sent| (sent.kinds()[0], (sent.at - to_time(START)).num_days()));
        told.collect()
    }

    async fn chains(&self) -> usize {
        let filter = relation_host::types::Filter {
            model: super::super::ROUTING_MODEL.to_owned(),
            hierarchy: None,
            equals: Vec::new(),
        };
        let mut chains = 0;
        for document in self.store.find(&filter, None, 1000).await.unwrap().items {
            let wakeups = self.store.wakeups(&document.reference).await.unwrap();
            chains += wakeups
                .iter()
                .filter(|each| each.wakeup.id == REMIND)
                .count();
        }
        chains
    }
}

fn expired(days: &[i64]) -> Vec<(NoticeKind, i64)> {
    days.iter().map(|day| (NoticeKind::Expired, *day)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reminders_are_told_until_the_connection_works() {
    let (world, record) = expired_world(REMINDED).await;
    run_on_two_for(&world, 30 * DAY).await;
    assert_eq!(world.told(), expired(&[0, 7, 14, 21, 28]));
    assert_eq!(world.chains().await, 1);
    let deliveries = world.deliveries_from("sys").await;
    let mut numbers: Vec<u32> = deliveries.iter().map(|each| each.reminder).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    world.set_state(&record, "connected").await;
    world
        .notice(&record, &Alert::EXPIRED, NoticeChange::Cleared, 2)
        .await;
    run_on_two_for(&world, 30 * DAY).await;
    assert_eq!(world.told(), [(NoticeKind::Recovered, 30)]);
    assert_eq!(world.chains().await, 0);
}

#[tokio::test]
async fn reminder_that_is_switched_on_later_is_told() {
    let (world, _) = expired_world(r#"{"recipients": []}"#).await;
    world.run_for(20 * DAY).await;
    assert_eq!(world.told(), []);
    world
        .set("sys.Provider", serde_json::from_str(REMINDED).unwrap())
        .await;
    world.run_for(10 * DAY).await;
    assert_eq!(world.told(), expired(&[21, 28]));
}

#[tokio::test]
async fn reminders_outlive_the_time_of_their_documents() {
    let (world, _) = expired_world(r#"{"recipients": ["noc@provider.example"]}"#).await;
    world.run_for(200 * DAY).await;
    assert_eq!(world.told(), expired(&[0]));
    world
        .set("sys.Provider", serde_json::from_str(REMINDED).unwrap())
        .await;
    world.run_for(2 * DAY).await;
    assert_eq!(world.told(), expired(&[201]));
}

#[tokio::test]
async fn later_problem_replaces_the_chain() {
    let (world, record) = expired_world(REMINDED).await;
    world.run_for(DAY).await;
    world.set_state(&record, "reauthorize").await;
    world
        .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 2)
        .await;
    world.run_for(2 * DAY).await;
    assert_eq!(world.chains().await, 1);
    world.run_for(14 * DAY).await;
    let told: Vec<_> = world.told();
    let again = [1, 8, 15].map(|day| (NoticeKind::Reauthorize, day));
    assert_eq!(told, [expired(&[0]), again.to_vec()].concat());
}

#[tokio::test]
async fn deleted_record_is_not_reminded() {
    let (world, record) = expired_world(REMINDED).await;
    world.run_for(DAY).await;
    world.told();
    let deleted = Change::Delete(Reference::record(record));
    world.commit(vec![deleted]).await;
    world.run_for(30 * DAY).await;
    assert_eq!(world.told(), []);
    assert_eq!(world.chains().await, 0);
}
