//! Writes in groups: each is made once, whatever becomes of the others.

use futures_util::future::join_all;

use super::proxy::{Cut, Proxy};
use super::*;
use crate::Store as _;

/// Writes texts at the same time. The first ones take a moment, so that the others wait for their group.
async fn write_together(
    store: &PostgresStore,
    texts: &[String],
) -> Vec<Result<String, WriteError>> {
    let writes = texts.iter().enumerate().map(async |(number, text)| {
        let before = if number < 2 { 0.3 } else { 0.0 };
        write_in_group(store, text, before).await
    });
    join_all(writes).await
}

fn texts(name: &str) -> Vec<String> {
    (0..40).map(|number| format!("{name}-{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_are_made_in_groups() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, _) = open_new(cluster).await;
    for prepare in [true, false] {
        let mut options = options(database.url());
        options.prepare = prepare;
        let store = PostgresStore::open(options).await.unwrap();
        let texts = texts(&format!("prepared-{prepare}"));
        for (text, result) in texts.iter().zip(write_together(&store, &texts).await) {
            assert_eq!(result.unwrap(), format!("done {text}"));
            assert_eq!(count(cluster, &database, text), 1, "{text}");
        }
        let statistics = store.statistics().await.unwrap();
        assert_eq!(statistics.grouped_writes, 40);
        // While the first ones are written, the others come.
        assert!(statistics.groups <= 20, "{}", statistics.groups);
        assert_eq!(statistics.queued_writes, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_write_of_a_group_fails_alone() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, store) = open_new(cluster).await;
    let refuse = "CREATE FUNCTION public.check_tried() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION USING ERRCODE = 'RL003', MESSAGE = 'bad';
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON public.tried FOR EACH ROW WHEN (NEW.text LIKE '%-7')
        EXECUTE FUNCTION public.check_tried()";
    cluster.execute(database.name(), refuse).unwrap();
    let texts = texts("some");
    for (text, result) in texts.iter().zip(write_together(&store, &texts).await) {
        let is_refused = text.ends_with("-7");
        match result {
            Ok(result) => assert!(!is_refused && result == format!("done {text}"), "{text}"),
            Err(WriteError::Refused { code, .. }) => assert!(is_refused && code == "RL003"),
            Err(WriteError::Store(error)) => panic!("{text}: {error}"),
        }
        assert_eq!(count(cluster, &database, text), u32::from(!is_refused));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_a_group_whose_answer_is_lost_are_there_once() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, _) = open_new(cluster).await;
    let proxy = Proxy::start(cluster);
    let store = open(&proxy.url(&database)).await;
    for cut in [Cut::Before, Cut::Sent, Cut::Answered] {
        let texts = texts(&format!("{cut:?}"));
        proxy.cut(&texts[21], cut);
        for (text, result) in texts.iter().zip(write_together(&store, &texts).await) {
            assert_eq!(result.unwrap(), format!("done {text}"));
            assert_eq!(count(cluster, &database, text), 1, "{text}");
        }
        assert!(proxy.has_cut());
    }
    let lost = store.statistics().await.unwrap().lost_answers;
    assert!(lost.made > 1 && lost.prevented > 1, "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_nobody_waits_for_is_not_sent() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, store) = open_new(cluster).await;
    let running = async |number: u32| {
        let running = format!(
            "count(*) = {number} FROM pg_stat_activity
            WHERE datname = '{}' AND state = 'active' AND query LIKE '%try_v1%'",
            database.name()
        );
        wait_for(cluster, &running).await;
    };
    let first = write_in_group(&store, "first", 4.0);
    let second = async {
        running(1).await;
        write_in_group(&store, "second", 4.0).await
    };
    let given_up = async {
        running(2).await;
        // It is polled once.
        let write = write_in_group(&store, "given up", 0.0);
        tokio::time::timeout(Duration::ZERO, write).await
    };
    let (first, second, given_up) = tokio::join!(first, second, given_up);
    assert!(first.is_ok() && second.is_ok() && given_up.is_err());
    write_in_group(&store, "last", 0.0).await.unwrap();
    assert_eq!(count(cluster, &database, "given up"), 0);
    assert_eq!(count(cluster, &database, "last"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_waits_for_a_lock_does_not_delay_its_group() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, store) = open_new(cluster).await;
    let lock = "CREATE FUNCTION public.wait_for_lock() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(8, 8);
            RETURN NEW;
        END $$;
        CREATE TRIGGER wait BEFORE INSERT ON public.tried FOR EACH ROW WHEN (NEW.text LIKE '%-7')
        EXECUTE FUNCTION public.wait_for_lock()";
    cluster.execute(database.name(), lock).unwrap();
    let holder = open(database.url()).await;
    let hold = "CREATE FUNCTION public.hold_v1(p_write uuid) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(8, 8);
            PERFORM pg_sleep(4.5);
            RETURN relation.wrote_v1(p_write, '');
        END $$";
    cluster.execute(database.name(), hold).unwrap();
    let held = tokio::spawn(async move { holder.write("public.hold_v1", &[]).await });
    let locked =
        "count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 8 AND granted";
    wait_for(cluster, locked).await;
    let texts = texts("some");
    let writes = texts.iter().map(async |text| {
        let written = write_in_group(&store, text, 0.0).await;
        (written, held.is_finished())
    });
    let mut late = Vec::new();
    for (text, (written, is_late)) in texts.iter().zip(join_all(writes).await) {
        assert_eq!(written.unwrap(), format!("done {text}"));
        assert_eq!(count(cluster, &database, text), 1, "{text}");
        if is_late {
            late.push(text);
        }
    }
    // Those that were sent on the same connection when the group was repeated wait too: one in six of its 16 writes.
    assert!(late.contains(&&texts[7]) && late.len() <= 4, "{late:?}");
    held.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_learn_of_an_outage() {
    let Some(cluster) = Cluster::start("").unwrap() else {
        return;
    };
    let (database, _) = open_new(&cluster).await;
    let mut options = options(database.url());
    options.patience = Duration::from_secs(1);
    let store = PostgresStore::open(options).await.unwrap();
    cluster.crash().unwrap();
    let texts = texts("some");
    for (text, written) in texts.iter().zip(write_together(&store, &texts).await) {
        let Err(WriteError::Store(error)) = written else {
            panic!("{text} was written");
        };
        assert!(
            matches!(error, crate::StoreError::Unavailable(_)),
            "{error}"
        );
    }
}
