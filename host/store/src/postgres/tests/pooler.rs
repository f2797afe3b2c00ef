//! PgBouncer in transaction mode: no state of a session is assumed.

use relation_test_postgres::Bouncer;

use super::*;
use crate::postgres::OpenError;

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_works() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let Some(bouncer) = Bouncer::start(cluster).unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let mut options = options(&bouncer.url(database.name()));
    options.prepare = false;
    let one = PostgresStore::open(options.clone()).await.unwrap();
    let other = PostgresStore::open(options).await.unwrap();
    cluster.execute(database.name(), TRY).unwrap();
    for number in 0..50 {
        let texts = [format!("one {number}"), format!("other {number}")];
        let (wrote, too, read) = tokio::join!(
            write_text(&one, &texts[0]),
            write_text(&other, &texts[1]),
            read_one(&one)
        );
        assert_eq!(wrote.unwrap(), format!("done {}", texts[0]));
        assert_eq!(too.unwrap(), format!("done {}", texts[1]));
        assert_eq!(read.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_user_are_checked_behind_a_pooler() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    for (setting, value) in [
        ("default_transaction_isolation", "repeatable read"),
        ("synchronous_commit", "off"),
    ] {
        let set = |change: &str| {
            let change = format!("ALTER DATABASE {} {change}", database.name());
            cluster.execute("postgres", &change).unwrap();
        };
        set(&format!("SET {setting} = '{value}'"));
        let mut pooled = options(database.url());
        pooled.prepare = false;
        let error = PostgresStore::open(pooled).await.unwrap_err();
        assert!(
            matches!(error, OpenError::Setting { name, .. } if name == setting),
            "{error}"
        );
        // Without a pooler, the session has settings of its own.
        drop(open(database.url()).await);
        set(&format!("RESET {setting}"));
    }
}
