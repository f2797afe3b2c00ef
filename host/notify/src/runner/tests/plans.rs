//! The preview of a record is what the runner delivers.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::super::facts::{RecordFacts as _, load_settings};
use super::super::preview_record;
use super::*;
use crate::routing::Hold;
use crate::routing::{ConnectionFacts, Delivery, thresholds_within};
use crate::settings::Defaults;
use crate::settings::tests::level;
use crate::settings::tests::strategies::{PATH, levels};

const GRANT: &str = "organization";
/// The time after the expiry in which notices are compared: shorter than three reminders.
const AFTER: Duration = Duration::from_secs(17 * 86_400);

/// A delivery: its recipient, channel, kind, threshold and time.
type Entry = (String, String, NoticeKind, u64, DateTime<Utc>);

fn entry(delivery: &Delivery, kind: NoticeKind, threshold_ms: u64) -> Entry {
    let channel = delivery.channel.as_str().to_owned();
    (
        delivery.recipient_key.clone(),
        channel,
        kind,
        threshold_ms,
        delivery.earliest,
    )
}

impl World {
    pub(super) async fn facts(&self, record: &Pkid) -> Option<ConnectionFacts> {
        self.host().facts.find(record, GRANT).await.unwrap()
    }

    /// Returns the thresholds that apply to a record, as the plugin gets them.
    pub(super) async fn thresholds(&self, facts: &ConnectionFacts) -> Vec<Duration> {
        let defaults = Defaults::default();
        let settings = load_settings(self.store.as_ref(), &facts.node, &defaults).await;
        let fields = settings.unwrap().resolved.fields;
        let values = fields.thresholds.values.iter();
        let values: Vec<Duration> = values.map(|each| each.value.as_duration()).collect();
        thresholds_within(&values, facts.lifetime)
    }

    /// Checks the expiry as the plugin does. Raises an alert for the smallest crossed threshold, unless it or a smaller
    /// one was raised in this generation. Raises another one after the expiry.
    pub(super) async fn check_expiry(
        &self,
        record: &Pkid,
        raised: &mut BTreeSet<(Pkid, u64, Duration)>,
    ) {
        let Some(facts) = self.facts(record).await else {
            return;
        };
        let (now, expires) = (self.now(), facts.expires.unwrap());
        let number = u64::try_from(raised.len()).unwrap() + 1;
        let mut key = (record.clone(), facts.generation, Duration::ZERO);
        if expires <= now {
            if raised.insert(key) {
                self.change_record(record, facts.node.as_str(), |body| {
                    body["state"] = "expired".into()
                })
                .await;
                self.notice(record, &Alert::EXPIRED, NoticeChange::Raised, number)
                    .await;
            }
            return;
        }
        let left = (expires - now).to_std().unwrap();
        let thresholds = self.thresholds(&facts).await;
        let Some(crossed) = thresholds.into_iter().filter(|each| left <= *each).min() else {
            return;
        };
        let is_new = raised.iter().all(|(of, generation, told)| {
            (of, *generation) != (record, facts.generation) || *told > crossed
        });
        key.2 = crossed;
        if is_new && raised.insert(key) {
            let alert = Alert {
                threshold: crossed,
                ..Alert::expiring(0)
            };
            self.notice(record, &alert, NoticeChange::Raised, number)
                .await;
        }
    }
}

/// Compares the preview at the start with the deliveries until some time after the expiry.
async fn compare(
    levels: Vec<crate::settings::Level>,
    lifetime: u64,
    left: u64,
) -> Result<(), TestCaseError> {
    let world = World::new();
    for level in &levels {
        let body = serde_json::to_value(&level.settings).unwrap();
        world.set(level.node.as_str(), body).await;
    }
    let record = world
        .add_record(1, PATH[3], Duration::from_secs(left))
        .await;
    world
        .change_record(&record, PATH[3], |body| body["lifetime"] = lifetime.into())
        .await;
    let facts = world.facts(&record).await.unwrap();
    let end = facts.expires.unwrap() + TimeDelta::from_std(AFTER).unwrap();
    let defaults = Defaults::default();
    let planned = preview_record(world.store.as_ref(), &facts, &defaults, world.now()).await;
    let mut expected = BTreeSet::new();
    for planned in planned.unwrap().iter().filter(|planned| planned.at <= end) {
        let plan = &planned.plan;
        let deliveries = plan.deliveries.iter();
        expected.extend(deliveries.map(|each| entry(each, plan.notice.kind, plan.threshold_ms)));
    }
    // The plugin checks at each crossing and at the expiry.
    let mut times: Vec<DateTime<Utc>> = vec![world.now(), facts.expires.unwrap()];
    for threshold in world.thresholds(&facts).await {
        times.push(facts.expires.unwrap() - TimeDelta::from_std(threshold).unwrap());
    }
    times.retain(|time| *time >= world.now());
    times.sort_unstable();
    let mut raised = BTreeSet::new();
    for time in times {
        world.run_for((time - world.now()).to_std().unwrap()).await;
        world.check_expiry(&record, &mut raised).await;
        world.run_due().await;
    }
    // Those that are held are delivered in the next two days.
    world.run_for(AFTER + 2 * DAY).await;
    let told: Vec<StoredDelivery> = world
        .deliveries_from("sys")
        .await
        .into_iter()
        .filter(|each| each.notice.occurred <= end && each.state != DeliveryState::Dropped)
        .collect();
    let mut delivered = BTreeSet::new();
    for each in &told {
        prop_assert_eq!(each.state, DeliveryState::Confirmed);
        let ended = each.ended.unwrap();
        let (earliest, budget) = (each.delivery.earliest, each.delivery.budget);
        prop_assert!(
            ended.date_naive() == earliest.date_naive() || budget < 5,
            "{:?}",
            each
        );
        delivered.insert(entry(&each.delivery, each.notice.kind, each.threshold_ms));
    }
    prop_assert_eq!(delivered, expected);
    Ok(())
}

/// Two thresholds are crossed before the same digest, which reports only the later one.
#[tokio::test]
async fn preview_leaves_out_what_a_later_notice_replaces() {
    let settings = json!({
        "recipients": ["noc@provider.example"], "thresholds": ["50h", "49h"],
        "digest": {"hour": 7, "zone": "UTC"},
    });
    let levels = vec![level(PATH[1], settings)];
    compare(levels, 90 * 86_400, 60 * 3_600).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn preview_is_what_is_delivered(
        levels in levels(),
        lifetime in 600..120 * 86_400_u64,
        left in 3_601..100 * 86_400_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(levels, lifetime, left))?;
    }
}

#[tokio::test]
async fn budget_holds_no_notice_beyond_its_deadline() {
    let settings = json!({"recipients": ["noc@provider.example"], "budget": 1});
    let world = World::with_settings(settings).await;
    for number in 1..=4 {
        let expires_in = match number {
            1 => 90 * DAY,
            _ => HOUR / 2,
        };
        let record = world.add_record(number, NODE, expires_in).await;
        let alert = match number {
            1 => Alert::REAUTHORIZE,
            _ => Alert::expiring(2),
        };
        world.notice(&record, &alert, NoticeChange::Raised, 1).await;
        world.run_due().await;
    }
    assert_eq!(world.channels.take().len(), 1);
    let waiting: Vec<_> = world.deliveries_from("sys").await;
    let waiting = waiting
        .iter()
        .filter(|each| each.state == DeliveryState::Pending);
    let limit = to_time(START.after(HOUR / 3));
    for each in waiting.clone() {
        assert_eq!(each.delivery.holds, [Hold::Budget]);
        assert_eq!(each.delivery.earliest, limit);
    }
    assert_eq!(waiting.count(), 3);
    world.run_for(HOUR / 2).await;
    let sent = world.channels.take();
    assert_eq!(sent.len(), 1, "one message beyond the budget");
    assert_eq!(sent[0].kinds(), [NoticeKind::Expiring; 3]);
    assert_eq!(sent[0].at, limit);
}
