//! Writes whose answer is lost: each is there exactly once.

use super::proxy::{Cut, Proxy};
use super::*;
use crate::Store as _;

#[tokio::test(flavor = "multi_thread")]
async fn write_whose_answer_is_lost_is_there_once() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, _) = open_new(cluster).await;
    for prepare in [true, false] {
        let proxy = Proxy::start(cluster);
        let mut options = options(&proxy.url(&database));
        options.prepare = prepare;
        let store = PostgresStore::open(options).await.unwrap();
        // The server may still run the write when its outcome is asked for: before or after it has stored the marker.
        for (before, after) in [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3)] {
            for cut in [Cut::Before, Cut::Sent, Cut::Answered] {
                let text = format!("{cut:?} {before} {after} {prepare}");
                proxy.cut(&text, cut);
                let result = write_slowly(&store, &text, before, after).await.unwrap();
                assert!(proxy.has_cut());
                assert_eq!(result, format!("done {text}"));
                assert_eq!(count(cluster, &database, &text), 1, "{text}");
            }
        }
        let statistics = store.statistics().await.unwrap();
        let lost = statistics.lost_answers;
        assert!(
            lost.made >= 3 && lost.made + lost.prevented >= 9,
            "{lost:?}"
        );
        assert!(
            lost.unknown == 0 && statistics.reconnects > 0,
            "{statistics:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_of_a_terminated_server_process_is_there_once() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, store) = open_new(cluster).await;
    let running = format!(
        "pg_stat_activity WHERE datname = '{}' AND state = 'active' AND query LIKE '%try_v1%'",
        database.name()
    );
    let (result, ()) = tokio::join!(write_slowly(&store, "x", 0.2, 0.0), async {
        wait_for(cluster, &format!("count(*) = 1 FROM {running}")).await;
        let terminate = format!("SELECT pg_terminate_backend(pid) FROM {running}");
        cluster.execute("postgres", &terminate).unwrap();
    });
    assert_eq!(result.unwrap(), "done x");
    assert_eq!(count(cluster, &database, "x"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_is_lost_or_doubled_when_the_server_crashes() {
    let Some(cluster) = Cluster::start("").unwrap() else {
        return;
    };
    let (database, store) = open_new(&cluster).await;
    let writes = async {
        for number in 0..100 {
            let text = |worker: usize| format!("{worker}.{number}");
            let (one, two, three) = (text(1), text(2), text(3));
            let done = tokio::join!(
                write_in_group(&store, &one, 0.0),
                write_in_group(&store, &two, 0.0),
                write_text(&store, &three)
            );
            assert_eq!(done.0.unwrap(), format!("done {one}"));
            assert_eq!(done.1.unwrap(), format!("done {two}"));
            assert_eq!(done.2.unwrap(), format!("done {three}"));
        }
    };
    let crashes = async {
        for least in [20, 120, 220] {
            let enough = format!("SELECT count(*) >= {least} FROM public.tried");
            while cluster.execute(database.name(), &enough).unwrap() != "t" {
                tokio::task::yield_now().await;
            }
            tokio::task::block_in_place(|| cluster.restart().unwrap());
        }
    };
    tokio::join!(writes, crashes);
    let counted = "SELECT count(*), count(DISTINCT text) FROM public.tried";
    assert_eq!(
        cluster.execute(database.name(), counted).unwrap(),
        "300|300"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_has_its_code_and_changes_nothing() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, store) = open_new(cluster).await;
    let refuse =
        "CREATE FUNCTION public.refuse_v1(p_write uuid) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.tried VALUES ('refused');
            RAISE EXCEPTION USING ERRCODE = 'RL002', MESSAGE = '{\"found\":1}';
        END $$";
    cluster.execute(database.name(), refuse).unwrap();
    let error = store.write("public.refuse_v1", &[]).await.unwrap_err();
    let WriteError::Refused { code, detail } = error else {
        panic!("{error:?}");
    };
    assert_eq!((code.as_str(), detail.as_str()), ("RL002", "{\"found\":1}"));
    assert_eq!(count(cluster, &database, "refused"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_repeated() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, store) = open_new(cluster).await;
    let function =
        "CREATE FUNCTION public.lock_v1(p_write uuid, p_first int, p_second int) RETURNS text
        LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock(9, p_first);
            PERFORM pg_sleep(0.3);
            PERFORM pg_advisory_xact_lock(9, p_second);
            RETURN relation.wrote_v1(p_write, 'both');
        END $$";
    cluster.execute(database.name(), function).unwrap();
    let lock = async |first: i32, second: i32| {
        let parameters: super::super::Parameters<'_> =
            &[(&first, Type::INT4), (&second, Type::INT4)];
        store.write("public.lock_v1", parameters).await.unwrap()
    };
    let (one, other) = tokio::join!(lock(1, 2), lock(2, 1));
    assert_eq!((one.as_str(), other.as_str()), ("both", "both"));
}
