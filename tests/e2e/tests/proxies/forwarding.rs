//! Successful requests: plain and through tunnels, with and without accounts, over IPv4, IPv6 and
//! TLS.

use crate::squid::Squid;
use crate::targets::{TargetServers, get, proxies_for, with_account};
use crate::tinyproxy::{Options, Tinyproxy};

/// Reserved characters of URLs, of the header field and of squid's own helper; and one of two
/// bytes.
const SPECIAL_CHARACTERS: (&str, &str) = ("us@er.name", "p:a/s%s@?#[ä]&+ ");

/// Asserts that each server is reached through the proxy, twice, and does not receive the proxy's
/// account.
async fn assert_forwards(servers: &TargetServers, proxy: &str, account: Option<(&str, &str)>) {
    let client = servers.client(&[proxy]);
    let proxies = match account {
        Some(account) => proxies_for(&with_account(proxy, account)),
        None => proxies_for(proxy),
    };
    for target in servers.targets() {
        let before = target.requests().len();
        for n in 0..2 {
            let url = format!("{}/v1/people?n={n}", target.url);
            let response = get(&client, &url, &proxies).await;
            let response = response.unwrap_or_else(|error| panic!("{proxy}, {url}: {error}"));
            assert_eq!(
                (response.0.as_u16(), &*response.1),
                (200, "ok"),
                "{proxy}, {url}"
            );
        }
        let requests = target.requests().split_off(before);
        assert_eq!(requests.len(), 2, "{proxy}, {}", target.url);
        for (n, head) in requests.iter().enumerate() {
            let first = format!("GET /v1/people?n={n} HTTP/1.");
            assert!(head.starts_with(&first), "{proxy}: {head}");
            let lower = head.to_lowercase();
            assert!(!lower.contains("proxy-authorization"), "{proxy}: {head}");
            assert!(
                lower.contains(&format!("host: {}", target.address)),
                "{proxy}: {head}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tinyproxy_forwards_requests() {
    let servers = TargetServers::new().await;
    for host in ["127.0.0.1", "::1"] {
        for account in [None, Some(("user", "pass.word-1_"))] {
            let options = Options {
                account,
                ..Options::default()
            };
            let Some(proxy) = Tinyproxy::start(host, &options) else {
                return;
            };
            assert_forwards(&servers, &format!("http://{}", proxy.address), account).await;
            let requests = proxy.requests();
            let plain = format!("GET {}/v1/people?n=0 HTTP/1.1", servers.http.url);
            let tunnel = format!("CONNECT {} HTTP/1.1", servers.https.address);
            assert!(requests.contains(&plain), "{requests:?}");
            assert_eq!(
                requests.iter().filter(|line| **line == tunnel).count(),
                1,
                "the tunnel is reused: {requests:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn squid_forwards_requests() {
    let servers = TargetServers::new().await;
    for account in [None, Some(SPECIAL_CHARACTERS)] {
        let accounts: Vec<_> = account.into_iter().collect();
        let Some(squid) = Squid::start(&servers.authority, &accounts) else {
            return;
        };
        for proxy in [
            format!("http://{}", squid.http),
            format!("http://{}", squid.http6),
            format!("https://{}", squid.https),
        ] {
            let before = squid.access_log().len();
            assert_forwards(&servers, &proxy, account).await;
            let served = relation_e2e::process::eventually("squid has logged", || {
                let served = squid.access_log().split_off(before);
                (served.len() >= 3).then_some(served)
            });
            let described: Vec<_> = served
                .iter()
                .map(|one| (one.status, &*one.method, &*one.target))
                .collect();
            let plain = [0, 1].map(|n| format!("{}/v1/people?n={n}", servers.http.url));
            let authority = servers.https.address.to_string();
            assert_eq!(
                described,
                [
                    (200, "GET", &*plain[0]),
                    (200, "GET", &*plain[1]),
                    (200, "CONNECT", &*authority),
                ],
                "{proxy}"
            );
            assert_eq!(
                served[0].client_port, served[1].client_port,
                "the connection to {proxy} is reused"
            );
        }
    }
}
