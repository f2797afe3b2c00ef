//! A host that dies at any store operation: every recipient is told, and a repetition has the same id.

use std::collections::BTreeMap;

use super::*;

/// Runs a host until it dies or nothing is due.
async fn run_until_death(host: &TestHost, is_dead: &AtomicBool) {
    loop {
        match host.find_due().await {
            Ok(due) if due.is_empty() => return,
            Ok(due) => {
                for due in due {
                    let _ = host.run(&due).await;
                }
            }
            Err(_) => {}
        }
        if is_dead.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// Kills a host at each operation of a scenario, and checks the messages in the end. Each of the `told` pairs of a
/// notice and a recipient is delivered once or twice, with one id. Returns the number of operations at which the host
/// died.
async fn kill_everywhere<F: Future<Output = World>>(prepare: impl Fn() -> F, told: usize) -> usize {
    let mut deaths = 0;
    for is_after in [false, true] {
        for operation in 0..500 {
            let world = prepare().await;
            let (host, is_dead) = world.mortal_host(operation, is_after);
            run_until_death(&host, &is_dead).await;
            if !is_dead.load(Ordering::SeqCst) {
                break;
            }
            deaths += 1;
            world.run_for(3 * HOUR).await;
            let mut ids = BTreeMap::<(String, String), Vec<String>>::new();
            for sent in world.channels.take() {
                for notice in sent.message.notices() {
                    let pair = (notice.id.clone(), sent.to.clone());
                    ids.entry(pair).or_default().push(sent.id.clone());
                }
            }
            let death = format!("{operation} {is_after}: {ids:?}");
            assert_eq!(ids.len(), told, "{death}");
            for ids in ids.values() {
                assert!(
                    ids.len() <= 2 && ids.iter().all(|id| *id == ids[0]),
                    "{death}"
                );
            }
            let states = world.states().await;
            let all_told = states
                .iter()
                .all(|state| *state == DeliveryState::Confirmed);
            assert!(all_told, "{death} {states:?}");
        }
    }
    deaths
}

#[tokio::test]
async fn kill_at_any_operation_tells_each_once_or_twice() {
    let prepare = || async {
        let recipients = json!(["noc@provider.example",
            {"type": "webhook", "name": "tickets", "url": "https://tickets.example/notices"}]);
        let world = World::with_settings(json!({"recipients": recipients})).await;
        let record = world.add_record(1, NODE, 90 * DAY).await;
        world
            .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 1)
            .await;
        world
    };
    let deaths = kill_everywhere(prepare, 2).await;
    assert!(deaths > 40, "{deaths}");
}

#[tokio::test]
async fn kill_at_any_operation_keeps_a_digest() {
    let prepare = || async {
        let settings = json!({"recipients": ["noc@provider.example"], "budget": 1});
        let world = World::with_settings(settings).await;
        // The first is sent alone. The others wait for the budget, and are due together.
        for numbers in [1..=1, 2..=3] {
            for number in numbers {
                let record = world.add_record(number, NODE, 90 * DAY).await;
                world
                    .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 1)
                    .await;
            }
            world.run_due().await;
        }
        world.clock.advance(2 * HOUR);
        assert_eq!(world.channels.take().len(), 1);
        world
    };
    let deaths = kill_everywhere(prepare, 2).await;
    assert!(deaths > 40, "{deaths}");
}
