//! 90 days on two hosts: each threshold is reported exactly once, whatever happens meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use super::thresholds::run_on_two_for;
use super::*;

/// The records of the test, and the alerts that the plugin has raised.
struct Quarter {
    world: World,
    records: Vec<Pkid>,
    raised: BTreeSet<(Pkid, u64, Duration)>,
}

impl Quarter {
    /// Lets days pass, in each of which the plugin checks all records twice, and two hosts run.
    async fn run_days(&mut self, days: u32) {
        for _ in 0..days * 2 {
            self.check().await;
            run_on_two_for(&self.world, 12 * HOUR).await;
        }
    }

    async fn check(&mut self) {
        for record in self.records.clone() {
            self.world.check_expiry(&record, &mut self.raised).await;
        }
    }

    /// Changes the settings of a node, and has its connections checked.
    async fn set(&mut self, path: &str, body: Value) {
        self.world.set(path, body).await;
        let changes = settings::recheck_changes(&node(path), self.world.now());
        self.world.commit(changes).await;
        run_on_two_for(&self.world, HOUR).await;
        let checked = std::mem::take(&mut self.world.rechecks.lock().checked);
        for record in checked {
            let record: Pkid = record.parse().unwrap();
            self.world.check_expiry(&record, &mut self.raised).await;
        }
        run_on_two_for(&self.world, HOUR).await;
    }

    /// Takes what a recipient was told of a record: the threshold in days, 0 for the expiry.
    async fn told(&self) -> BTreeMap<(u32, String), Vec<u64>> {
        let mut told = BTreeMap::<_, Vec<u64>>::new();
        let mut deliveries = self.world.deliveries_from("sys").await;
        deliveries.sort_by_key(|each| each.created);
        for each in deliveries {
            if each.state != DeliveryState::Confirmed || each.notice.kind == NoticeKind::Recovered {
                continue;
            }
            let number = u32::from_str_radix(&each.notice.record, 16).unwrap();
            let to = each.delivery.recipient.key();
            told.entry((number, to))
                .or_default()
                .push(each.threshold_ms / 86_400_000);
        }
        told
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_threshold_is_told_once_in_90_days() {
    let noc = "noc@provider.example";
    let settings = json!({"recipients": [noc], "budget": 1000});
    let world = World::with_settings(settings).await;
    world
        .set(
            "sys.Other",
            json!({"recipients": ["noc@other.example"], "thresholds": ["20d", "1d"]}),
        )
        .await;
    let mut records = Vec::new();
    for number in 1..=5 {
        records.push(world.add_record(number, NODE, 90 * DAY).await);
    }
    let mut quarter = Quarter {
        world,
        records,
        raised: BTreeSet::new(),
    };
    quarter.run_days(62).await; // 30 days were reported.
    // The clock of the hosts is set back by a day, and continues.
    quarter.world.set_clock_back(DAY).await;
    quarter.run_days(3).await; // 64
    // New thresholds: 28 and 27 days are past, and 26 are left. One notice reports the tightest.
    let thresholds = json!(["30d", "28d", "27d", "14d", "7d", "2d"]);
    let changed = json!({"recipients": [noc], "budget": 1000, "thresholds": thresholds});
    quarter.set("sys.Provider", changed).await;
    quarter.run_days(1).await; // 65
    let [refreshed, moved, deleted] = [0, 1, 2].map(|index: usize| quarter.records[index].clone());
    // The first is connected again, the second moves, and the third is deleted.
    quarter
        .world
        .change_record(&refreshed, NODE, |body| {
            body["generation"] = 2.into();
            body["expires"] = serde_json::to_value(to_time(START.after(200 * DAY))).unwrap();
        })
        .await;
    let cleared = Alert::expiring(27);
    quarter
        .world
        .notice(&refreshed, &cleared, NoticeChange::Cleared, 1_000)
        .await;
    quarter
        .world
        .change_record(&moved, "sys.Other.Contoso", |_| {})
        .await;
    let delete = Change::Delete(Reference::record(deleted.clone()));
    quarter.world.commit(vec![delete]).await;
    quarter.run_days(30).await; // 95
    let told = quarter.told().await;
    let provider = |number: u32| {
        told.get(&(number, noc.to_owned()))
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(provider(1), [30, 27], "refreshed in between");
    assert_eq!(provider(2), [30, 27], "moved");
    let other = told.get(&(2, "noc@other.example".to_owned())).cloned();
    assert_eq!(other, Some(vec![20, 1, 0]), "moved");
    assert_eq!(provider(3), [30, 27], "deleted");
    for number in [4, 5] {
        assert_eq!(provider(number), [30, 27, 14, 7, 2, 0], "{number}");
    }
    let sent = quarter.world.channels.take();
    let ids: BTreeSet<&str> = sent.iter().map(|sent| sent.id.as_str()).collect();
    assert_eq!(ids.len(), sent.len(), "none is sent twice");
}
