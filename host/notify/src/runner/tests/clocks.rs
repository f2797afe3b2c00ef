//! A clock that was ahead, and is set back: nothing that was reported is lost or delays a notice.

use super::*;

impl World {
    /// Sets the clock of the hosts back, and has the store correct what was scheduled before, as a dispatcher does.
    pub(super) async fn set_clock_back(&self, time: Duration) {
        let now = self.clock.now().0 - u64::try_from(time.as_millis()).unwrap();
        self.clock.set_wall(Timestamp(now));
        self.store.redate(Timestamp(now)).await.unwrap();
    }

    /// Stores a notice with the state of its record, and runs what becomes due in an hour. Returns the kinds that were
    /// reported.
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
async fn recovery_at_the_time_of_its_problem_is_told() {
    let (world, _) = world().await;
    let (raised, cleared) = (NoticeChange::Raised, NoticeChange::Cleared);
    let alert = Alert::REAUTHORIZE;
    // The ids of the notices, which differ by record, do not matter.
    for number in 2..10 {
        let record = world.add_record(number, NODE, 90 * DAY).await;
        world.tell(&record, "reauthorize", &alert, raised, 1).await;
        world.set_clock_back(HOUR).await;
        let told = world.tell(&record, "connected", &alert, cleared, 2).await;
        assert_eq!(told, [NoticeKind::Recovered], "{number}");
    }
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

#[tokio::test]
async fn threshold_that_stays_crossed_is_told_once() {
    let (world, record) = world().await;
    let (raised, alert) = (NoticeChange::Raised, Alert::expiring(30));
    world.clock.advance(62 * DAY);
    let told = world.tell(&record, "expiring", &alert, raised, 1).await;
    assert_eq!(told, [NoticeKind::Expiring]);
    world.set_clock_back(DAY).await;
    let told = world.tell(&record, "expiring", &alert, raised, 2).await;
    assert_eq!(told, []);
    assert_eq!(world.states().await, [DeliveryState::Confirmed]);
}

/// The clock is ahead by 40 days. `quiet` says whether the notice still waits when it is set back.
async fn check_early_threshold(quiet: bool) {
    let (world, record) = world().await;
    if quiet {
        let hours = json!({"from": "23:00", "to": "22:00", "zone": "UTC"});
        let settings = json!({"recipients": ["noc@provider.example"], "quiet_hours": hours});
        world.set("sys.Provider", settings).await;
    }
    let (raised, cleared) = (NoticeChange::Raised, NoticeChange::Cleared);
    let alert = Alert::expiring(14);
    world.clock.advance(76 * DAY);
    let told = world.tell(&record, "expiring", &alert, raised, 1).await;
    assert_eq!(told.len(), usize::from(!quiet));
    world.set_clock_back(40 * DAY).await;
    let told = world.tell(&record, "connected", &alert, cleared, 2).await;
    assert_eq!(told, [], "it has worked all the time");
    world.run_for(40 * DAY).await;
    world.tell(&record, "expiring", &alert, raised, 3).await;
    world.run_for(DAY).await;
    assert_eq!(world.states().await, [DeliveryState::Confirmed]);
}

#[tokio::test]
async fn threshold_told_too_early_is_told_in_its_time() {
    check_early_threshold(false).await;
    check_early_threshold(true).await;
}
