//! The tasks of an open store.

use super::*;
use crate::postgres::upkeep::{Holder, beat, remove_old};
use crate::{HostShare, Store as _, WakeupStore as _};

#[tokio::test(flavor = "multi_thread")]
async fn old_ids_of_writes_and_old_hosts_are_removed() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, store) = open_new(cluster).await;
    let old = "INSERT INTO relation.writes (id, at)
        SELECT gen_random_uuid(), now() - interval '25 hours' FROM generate_series(1, 6000);
        INSERT INTO relation.writes (id, at) VALUES (gen_random_uuid(), now() - interval '23 hours');
        INSERT INTO relation.holders VALUES ('old', '', '', now() - interval '2 hours')";
    cluster.execute(database.name(), old).unwrap();
    remove_old(store.connections.shared()).await.unwrap();
    let left = "SELECT (SELECT count(*) FROM relation.writes), (SELECT string_agg(id, ',') FROM relation.holders)";
    let left = cluster.execute(database.name(), left).unwrap();
    assert_eq!(left, format!("1|{}", store.holder));
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_a_dispatcher_share_the_wakeups() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, one) = open_new(cluster).await;
    let two = PostgresStore::open(options(database.url())).await.unwrap();
    // A store without a dispatcher, as that of a command.
    let _command = PostgresStore::open(options(database.url())).await.unwrap();
    let beat_all = async |stores: &[&PostgresStore]| {
        for store in stores {
            let holder = Holder {
                id: store.holder.clone(),
                name: String::new(),
            };
            beat(store.connections.shared(), &holder).await.unwrap();
        }
    };
    assert_eq!(one.share(), HostShare::WHOLE);
    beat_all(&[&one]).await;
    assert_eq!(one.share(), HostShare::WHOLE);
    assert_eq!(two.share(), HostShare::WHOLE);
    beat_all(&[&one, &two, &one]).await;
    let rank = u32::from(one.holder > two.holder);
    assert_eq!(one.share(), HostShare::new(rank, 2));
    assert_eq!(two.share(), HostShare::new(1 - rank, 2));
    let statistics = one.statistics().await.unwrap();
    assert_eq!(statistics.hosts, Some(3));
    assert!(statistics.clock_skew_millis.abs() < 1000);
    assert!(statistics.dead_rows.is_some() && statistics.oldest_transaction.is_some());
    drop(two);
    beat_all(&[&one]).await;
    assert_eq!(one.share(), HostShare::WHOLE);
    assert_eq!(one.statistics().await.unwrap().hosts, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn inspection_tells_the_state_of_the_database() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let mut options = options(database.url());
    options.host_name = "host-1".to_owned();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let inspection = PostgresStore::inspect(&options).await.unwrap();
    assert_eq!(inspection.schema_version, inspection.known_schema_version);
    assert!(inspection.fsync && inspection.full_page_writes);
    assert!(!inspection.tls && !inspection.read_only);
    assert_eq!(inspection.synchronous_commit, "on");
    assert_eq!(inspection.synchronous_standby_names, "");
    assert!(inspection.clock_skew_millis.abs() < 1000);
    assert!(store.clock_skew_millis().abs() < 1000);
    let names: Vec<&str> = inspection
        .hosts
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    assert_eq!(names, ["host-1"]);
    assert_eq!(inspection.tables.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_store_ends_its_connections() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, store) = open_new(cluster).await;
    write_text(&store, "x").await.unwrap();
    drop(store);
    let none = format!(
        "count(*) = 0 FROM pg_stat_activity WHERE datname = '{}'",
        database.name()
    );
    wait_for(cluster, &none).await;
}
