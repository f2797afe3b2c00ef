//! A clock that was ahead, and is set back: nothing that was told is lost or delays a notice.

use super::*;

impl World {
    /// Sets the clock of the hosts back, and has the store correct what was scheduled before, as a dispatcher does.
    pub(super) async fn set_clock_back(&self, time: Duration) {
        let now = self.clock.now().0 - u64::try_from(time.as_millis()).unwrap();
        self.clock.set_wall(Timestamp(now));
        self.store.redate(Timestamp(now)).await.unwrap();
    }

    /// Stores a notice with the state of its record, and runs what becomes due in an hour. Returns the kinds that were
    /// told.
    async fn tell(
        &self,
        record: &Pkid,
        state: &str,
        alert: &Alert,
        change: NoticeChange,
        number: u64,
    ) -> Vec<NoticeKind> {
        self.change_record(record, NODE, |body| body["state"] = state.into())
            .await;
        self.notice(record, alert, change, number).await;
        self.run_for(HOUR).await;
        let sent = self.channels.take();
        sent.iter().flat_map(Sent::kinds).collect()
    }
}

async fn world() -> (World, Pkid) {
    let world = World::with_settings(json!({"recipients": ["noc@provider.example"]})).await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    (world, record)
}

#[tokio::test]
async fn told_problem_is_kept_and_its_end_told() {
    let (world, record) = world().await;
    let (raised, cleared) = (NoticeChange::Raised, NoticeChange::Cleared);
    let alert = Alert::REAUTHORIZE;
    let told = world.tell(&record, "reauthorize", &alert, raised, 1).await;
    assert_eq!(told, [NoticeKind::Reauthorize]);
    world.set_clock_back(2 * DAY).await;
    world.run_for(HOUR).await;
    assert_eq!(world.states().await, [DeliveryState::Confirmed]);
    let told = world.tell(&record, "connected", &alert, cleared, 2).await;
    assert_eq!(told, [NoticeKind::Recovered]);
    // Both are deleted in their time.
    world.run_for(179 * DAY).await;
    assert_eq!(world.states().await.len(), 2);
    world.run_for(4 * DAY).await;
    assert_eq!(world.states().await, []);
    assert_eq!(world.store.next_due(None).await.unwrap(), None);
}

#[tokio::test]
async fn later_recovery_neither_holds_nor_replaces_a_failure() {
    let (world, record) = world().await;
    let (raised, cleared) = (NoticeChange::Raised, NoticeChange::Cleared);
    let first = Alert::REAUTHORIZE;
    world.tell(&record, "reauthorize", &first, raised, 1).await;
    world.tell(&record, "connected", &first, cleared, 2).await;
    world.set_clock_back(2 * DAY).await;
    let second = Alert::EXPIRED;
    let told = world.tell(&record, "expired", &second, raised, 3).await;
    assert_eq!(told, [NoticeKind::Expired]);
    let told = world.tell(&record, "connected", &second, cleared, 4).await;
    assert_eq!(told, [NoticeKind::Recovered]);
}

#[tokio::test]
async fn later_messages_use_up_no_budget() {
    let world =
        World::with_settings(json!({"recipients": ["noc@provider.example"], "budget": 1})).await;
    let raised = NoticeChange::Raised;
    for number in 1..=2 {
        let record = world.add_record(number, NODE, 90 * DAY).await;
        let alert = Alert::REAUTHORIZE;
        let told = world.tell(&record, "reauthorize", &alert, raised, 1).await;
        assert_eq!(told, [NoticeKind::Reauthorize], "{number}");
        world.set_clock_back(2 * DAY).await;
    }
}
