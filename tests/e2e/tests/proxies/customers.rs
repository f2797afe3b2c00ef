//! Customers with their own proxies, working concurrently through one client.

use std::collections::{BTreeMap, BTreeSet};

use relation_e2e::process::eventually;

use crate::squid::Squid;
use crate::targets::{TargetServers, get, proxies_for, with_account};
use crate::tinyproxy::{Options, Tinyproxy};

const ALICE: (&str, &str) = ("alice", "1");
const BOB: (&str, &str) = ("bob", "2");
const CAROL: (&str, &str) = ("carol", "3");

/// Number of requests from each customer to each server.
const REQUESTS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn two_customers_never_share_a_connection() {
    let servers = TargetServers::new().await;
    let options = Options {
        account: Some(ALICE),
        ..Options::default()
    };
    let Some(tinyproxy) = Tinyproxy::start("127.0.0.1", &options) else {
        return;
    };
    let Some(squid) = Squid::start(&servers.authority, &[BOB, CAROL]) else {
        return;
    };
    let first = format!("http://{}", tinyproxy.address);
    let second = format!("http://{}", squid.http);
    let client = servers.client(&[&first, &second]);
    let customers = [(ALICE, &first), (BOB, &second), (CAROL, &second)];
    let mut at_work = Vec::new();
    for (account, proxy) in customers {
        for n in 0..REQUESTS {
            for target in servers.targets() {
                let url = format!("{}/{}/{n}", target.url, account.0);
                let proxies = proxies_for(&with_account(proxy, account));
                let client = client.clone();
                at_work.push(tokio::spawn(
                    async move { get(&client, &url, &proxies).await },
                ));
            }
        }
        // The pool has idle connections of the previous customer when the next customer's requests begin.
        tokio::task::yield_now().await;
    }
    for request in at_work {
        let (status, _) = request.await.unwrap().unwrap();
        assert_eq!(status.as_u16(), 200);
    }
    // A tunnel is in squid's log once it has ended.
    drop(client);

    let plain = |name: &str| format!("{}/{name}/", servers.http.url);
    let requests = tinyproxy.requests();
    let (gets, tunnels): (Vec<_>, Vec<_>) =
        requests.iter().partition(|line| line.starts_with("GET "));
    assert_eq!(gets.len(), REQUESTS);
    assert!(
        gets.iter().all(|line| line.contains(&plain("alice"))),
        "{gets:?}"
    );
    assert!((1..=REQUESTS).contains(&tunnels.len()), "{tunnels:?}");

    let served = eventually("squid has logged", || {
        let served = squid.access_log();
        let plain = served.iter().filter(|one| one.method == "GET").count();
        let tunnels: BTreeSet<&str> = served
            .iter()
            .filter(|one| one.method == "CONNECT")
            .map(|one| &*one.user)
            .collect();
        (plain == 2 * REQUESTS && tunnels.len() == 2).then_some(served)
    });
    let mut users: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
    for one in &served {
        assert_eq!(one.status, 200, "{one:?}");
        users.entry(one.client_port).or_default().insert(&one.user);
        if one.method == "GET" {
            assert!(one.target.starts_with(&plain(&one.user)), "{one:?}");
        }
    }
    for (port, users) in users {
        assert_eq!(
            users.len(),
            1,
            "the connection from {port} was shared: {users:?}"
        );
    }
}
