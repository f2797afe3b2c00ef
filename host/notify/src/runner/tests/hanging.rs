//! Servers that do not respond.

use super::*;

/// Starts all runs that are due, and waits until `count` of them have ended.
async fn start_due(host: &TestHost, count: usize) -> Vec<DueWakeup> {
    let due = host.find_due().await.unwrap();
    let mut runs = tokio::task::JoinSet::new();
    for due in due.clone() {
        let host = host.clone();
        runs.spawn(async move { host.run(&due).await.unwrap() });
    }
    for _ in 0..count {
        runs.join_next().await.unwrap().unwrap();
    }
    runs.detach_all();
    due
}

#[tokio::test]
async fn silent_mail_server_delays_no_webhook() {
    let mailboxes = (0..8).map(|number| json!(format!("noc{number}@silent.example")));
    let mut recipients: Vec<Value> = mailboxes.collect();
    recipients.push(json!({"type": "webhook", "name": "hooks", "url": "https://hooks.example/a"}));
    let world = World::with_settings(json!({"recipients": recipients})).await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    *world.channels.hangs.lock() = Some("@silent.example".to_owned());
    let alert = &Alert::REAUTHORIZE;
    world.notice(&record, alert, NoticeChange::Raised, 1).await;

    let host = world.host();
    assert_eq!(start_due(&host, 1).await.len(), 1);
    // Five of the mails hang, and three wait for their ends.
    assert_eq!(start_due(&host, 1).await.len(), 9);
    assert_eq!(world.channels.take().len(), 1);
    world.clock.advance(Duration::from_secs(5));
    let waiting = async {
        loop {
            let all = host
                .store
                .due(START.after(HOUR), 64, KindFilter::All)
                .await
                .unwrap();
            let soon = |due: &&DueWakeup| due.wakeup.due <= START.after(Duration::from_secs(125));
            if all.iter().filter(soon).count() == 3 {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap();
}
