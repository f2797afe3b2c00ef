//! What fails, in which words, and whether the request may have been sent.

use relation_host::egress::{Client, EgressError};

use crate::daemon;
use crate::servers::Target;
use crate::squid::Squid;
use crate::tinyproxy::{Options, Tinyproxy};
use crate::way::{Ways, by, get, with_account};

const ACCOUNT: (&str, &str) = ("alice", "canary-password");

async fn fails(client: &Client, url: &str, proxy: &str) -> EgressError {
    let error = get(client, url, &by(proxy))
        .await
        .expect_err("it cannot pass");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("canary"), "{shown}");
    error
}

/// Both servers are out of reach with a wrong password, another user's, and none.
async fn wants_an_account(ways: &Ways, proxy: &str) {
    for target in ways.targets() {
        for written in [
            with_account(proxy, ("alice", "canary-wrong")),
            with_account(proxy, ("canary", ACCOUNT.1)),
        ] {
            let refused =
                "refused the user name or password (407); correct them in the proxy setting";
            is_refused(ways, target, proxy, &written, refused).await;
        }
        let wanted = "wants a user name and password (407); add them to the proxy setting";
        is_refused(ways, target, proxy, proxy, wanted).await;
    }
}

async fn is_refused(ways: &Ways, target: &Target, proxy: &str, written: &str, words: &str) {
    let client = ways.client(&[proxy]);
    let before = target.seen().len();
    let error = fails(&client, &target.url, written).await;
    assert_eq!(error.to_string(), format!("proxy `{proxy}` {words}"));
    assert!(!error.may_have_been_sent());
    assert_eq!(target.seen().len(), before);
    // The client is none the worse for it.
    let right = by(&with_account(proxy, ACCOUNT));
    get(&client, &target.url, &right).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn squid_wants_the_right_account() {
    let ways = Ways::new().await;
    if let Some(squid) = Squid::start(&ways.authority, &[ACCOUNT]) {
        wants_an_account(&ways, &format!("http://{}", squid.http)).await;
        wants_an_account(&ways, &format!("https://{}", squid.https)).await;
    }
}

/// It says 407 of a missing account, and 401 of a wrong one: of a plain request that could as well be
/// the server's word.
#[tokio::test(flavor = "multi_thread")]
async fn tinyproxy_wants_the_right_account() {
    let ways = Ways::new().await;
    let options = Options {
        account: Some(ACCOUNT),
        ..Options::default()
    };
    let Some(tinyproxy) = Tinyproxy::start("127.0.0.1", &options) else {
        return;
    };
    let proxy = format!("http://{}", tinyproxy.address);
    let wanted = "wants a user name and password (407); add them to the proxy setting";
    for target in ways.targets() {
        is_refused(&ways, target, &proxy, &proxy, wanted).await;
    }
    let wrong = with_account(&proxy, ("alice", "canary-wrong"));
    let refused = "refused the user name or password (401); correct them in the proxy setting";
    is_refused(&ways, &ways.https, &proxy, &wrong, refused).await;
    let answer = get(&ways.client(&[&proxy]), &ways.http.url, &by(&wrong)).await;
    assert_eq!(answer.unwrap().0.as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_there_is_named() {
    let ways = Ways::new().await;
    for host in ["127.0.0.1", "::1"] {
        let proxy = format!("http://{}", daemon::free_address(host));
        let client = ways.client(&[&proxy]);
        for target in ways.targets() {
            let error = fails(&client, &target.url, &with_account(&proxy, ACCOUNT)).await;
            assert_eq!(
                error.to_string(),
                format!("cannot connect to proxy `{proxy}`: Connection refused (os error 111)")
            );
            assert!(!error.may_have_been_sent());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_no_tls_server_or_not_believed_is_named() {
    let ways = Ways::new().await;
    let stranger = Ways::new().await;
    if let Some(squid) = Squid::start(&stranger.authority, &[]) {
        for (proxy, words) in [
            (
                format!("https://{}", squid.http),
                "it does not speak TLS on this port",
            ),
            (
                format!("https://{}", squid.https),
                "its certificate is signed by an authority that this host does not trust; if it \
                 should, add the authority's certificate to `egress.extra-ca`",
            ),
        ] {
            let client = ways.client(&[&proxy]);
            for target in ways.targets() {
                let error = fails(&client, &target.url, &with_account(&proxy, ACCOUNT)).await;
                assert_eq!(
                    error.to_string(),
                    format!("no secure connection to proxy `{proxy}`: {words}")
                );
                assert!(!error.may_have_been_sent());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_the_proxy_does_not_open_is_told_with_the_status() {
    let ways = Ways::new().await;
    let elsewhere = Options {
        tunnels_to: Some(1),
        ..Options::default()
    };
    if let Some(proxy) = Tinyproxy::start("127.0.0.1", &elsewhere) {
        let proxy = format!("http://{}", proxy.address);
        let error = fails(&ways.client(&[&proxy]), &ways.https.url, &proxy).await;
        assert_eq!(
            error.to_string(),
            format!("proxy `{proxy}` refused to open a tunnel to the target (403)")
        );
        assert!(!error.may_have_been_sent());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_proxy_cannot_reach_is_told_with_the_status() {
    let mut ways = Ways::new().await;
    // Nobody is there.
    ways.http.url = format!("http://{}", daemon::free_address("127.0.0.1"));
    ways.https.url = format!("https://{}", daemon::free_address("127.0.0.1"));
    let tinyproxy = Tinyproxy::start("127.0.0.1", &Options::default());
    let squid = Squid::start(&ways.authority, &[]);
    let statuses = [
        tinyproxy.as_ref().map(|proxy| (proxy.address, 500)),
        squid.as_ref().map(|squid| (squid.http, 503)),
    ];
    for (address, status) in statuses.into_iter().flatten() {
        let proxy = format!("http://{address}");
        let client = ways.client(&[&proxy]);
        let error = fails(&client, &ways.https.url, &proxy).await;
        assert_eq!(
            error.to_string(),
            format!("proxy `{proxy}` refused to open a tunnel to the target ({status})")
        );
        assert!(!error.may_have_been_sent());
        // For a plain request the proxy's answer is as good as the server's.
        let answer = get(&client, &ways.http.url, &by(&proxy)).await.unwrap();
        assert_eq!(answer.0.as_u16(), status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_dies_in_the_middle_of_an_answer_leaves_the_request_in_doubt() {
    let ways = Ways::new().await;
    for target in ways.targets() {
        let Some(mut proxy) = Tinyproxy::start("127.0.0.1", &Options::default()) else {
            return;
        };
        let url = format!("http://{}", proxy.address);
        let client = ways.client(&[&url]);
        let half = format!("{}/half", target.url);
        let request = tokio::spawn(async move { get(&client, &half, &by(&url)).await });
        // The first half is on its way, and nothing else will come.
        while target.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        proxy.daemon.kill();
        let error = request.await.unwrap().expect_err("nothing came");
        assert!(matches!(error, EgressError::Closed { .. }), "{error:?}");
        assert!(error.may_have_been_sent());
        assert!(
            error
                .to_string()
                .ends_with("the request may have been carried out"),
            "{error}"
        );
    }
}
