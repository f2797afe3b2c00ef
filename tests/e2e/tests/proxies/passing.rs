//! What passes: plain requests and tunnels, with and without accounts, over IPv4, IPv6 and TLS.

use crate::squid::Squid;
use crate::tinyproxy::{Options, Tinyproxy};
use crate::way::{Ways, by, get, with_account};

/// Reserved characters of URLs, of the header field and of squid's own helper; and one of two bytes.
const ODD: (&str, &str) = ("us@er.name", "p:a/s%s@?#[ä]&+ ");

/// Each server is reached through the proxy, twice, and sees nothing of the proxy's account.
async fn passes(ways: &Ways, proxy: &str, account: Option<(&str, &str)>) {
    let client = ways.client(&[proxy]);
    let proxies = match account {
        Some(account) => by(&with_account(proxy, account)),
        None => by(proxy),
    };
    for target in ways.targets() {
        let before = target.seen().len();
        for n in 0..2 {
            let url = format!("{}/v1/people?n={n}", target.url);
            let answer = get(&client, &url, &proxies).await;
            let answer = answer.unwrap_or_else(|error| panic!("{proxy}, {url}: {error}"));
            assert_eq!(
                (answer.0.as_u16(), &*answer.1),
                (200, "ok"),
                "{proxy}, {url}"
            );
        }
        let seen = target.seen().split_off(before);
        assert_eq!(seen.len(), 2, "{proxy}, {}", target.url);
        for (n, head) in seen.iter().enumerate() {
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
async fn tinyproxy_passes_requests_on() {
    let ways = Ways::new().await;
    for host in ["127.0.0.1", "::1"] {
        for account in [None, Some(("user", "pass.word-1_"))] {
            let options = Options {
                account,
                ..Options::default()
            };
            let Some(proxy) = Tinyproxy::start(host, &options) else {
                return;
            };
            passes(&ways, &format!("http://{}", proxy.address), account).await;
            let asked = proxy.requests();
            let plain = format!("GET {}/v1/people?n=0 HTTP/1.1", ways.http.url);
            let tunnel = format!("CONNECT {} HTTP/1.1", ways.https.address);
            assert!(asked.contains(&plain), "{asked:?}");
            assert_eq!(
                asked.iter().filter(|line| **line == tunnel).count(),
                1,
                "the tunnel is kept: {asked:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn squid_passes_requests_on() {
    let ways = Ways::new().await;
    for account in [None, Some(ODD)] {
        let accounts: Vec<_> = account.into_iter().collect();
        let Some(squid) = Squid::start(&ways.authority, &accounts) else {
            return;
        };
        for proxy in [
            format!("http://{}", squid.http),
            format!("http://{}", squid.http6),
            format!("https://{}", squid.https),
        ] {
            let before = squid.served().len();
            passes(&ways, &proxy, account).await;
            let served = relation_e2e::process::eventually("squid has logged", || {
                let served = squid.served().split_off(before);
                (served.len() >= 3).then_some(served)
            });
            let described: Vec<_> = served
                .iter()
                .map(|one| (one.status, &*one.method, &*one.target))
                .collect();
            let plain = [0, 1].map(|n| format!("{}/v1/people?n={n}", ways.http.url));
            let authority = ways.https.address.to_string();
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
                "the connection to {proxy} is kept"
            );
        }
    }
}
