//! Failures through proxies: their messages, and whether the request may have been sent.

use relation_e2e::process::free_address;
use relation_host::egress::{Client, EgressError};

use crate::servers::Target;
use crate::squid::Squid;
use crate::targets::{TargetServers, get, proxies_for, with_account};
use crate::tinyproxy::{Options, Tinyproxy};

const ACCOUNT: (&str, &str) = ("alice", "canary-password");

async fn expect_error(client: &Client, url: &str, proxy: &str) -> EgressError {
    let error = get(client, url, &proxies_for(proxy))
        .await
        .expect_err("it cannot pass");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("canary"), "{shown}");
    error
}

/// Asserts that both servers are unreachable with a wrong password, another user's, and none.
async fn assert_wants_account(servers: &TargetServers, proxy: &str) {
    for target in servers.targets() {
        for written in [
            with_account(proxy, ("alice", "canary-wrong")),
            with_account(proxy, ("canary", ACCOUNT.1)),
        ] {
            let refused =
                "refused the user name or password (407); correct them in the proxy setting";
            assert_refused(servers, target, proxy, &written, refused).await;
        }
        let wanted = "wants a user name and password (407); add them to the proxy setting";
        assert_refused(servers, target, proxy, proxy, wanted).await;
    }
}

async fn assert_refused(
    servers: &TargetServers,
    target: &Target,
    proxy: &str,
    written: &str,
    words: &str,
) {
    let client = servers.client(&[proxy]);
    let before = target.requests().len();
    let error = expect_error(&client, &target.url, written).await;
    assert_eq!(error.to_string(), format!("proxy `{proxy}` {words}"));
    assert!(!error.may_have_been_sent());
    assert_eq!(target.requests().len(), before);
    // The client still works.
    let right = proxies_for(&with_account(proxy, ACCOUNT));
    get(&client, &target.url, &right).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn squid_wants_the_right_account() {
    let servers = TargetServers::new().await;
    if let Some(squid) = Squid::start(&servers.authority, &[ACCOUNT]) {
        assert_wants_account(&servers, &format!("http://{}", squid.http)).await;
        assert_wants_account(&servers, &format!("https://{}", squid.https)).await;
    }
}

/// The proxy sends 407 for a missing account, and 401 for a wrong one. For a plain request, 401 could come from the
/// server as well.
#[tokio::test(flavor = "multi_thread")]
async fn tinyproxy_wants_the_right_account() {
    let servers = TargetServers::new().await;
    let options = Options {
        account: Some(ACCOUNT),
        ..Options::default()
    };
    let Some(tinyproxy) = Tinyproxy::start("127.0.0.1", &options) else {
        return;
    };
    let proxy = format!("http://{}", tinyproxy.address);
    let wanted = "wants a user name and password (407); add them to the proxy setting";
    for target in servers.targets() {
        assert_refused(&servers, target, &proxy, &proxy, wanted).await;
    }
    let wrong = with_account(&proxy, ("alice", "canary-wrong"));
    let refused = "refused the user name or password (401); correct them in the proxy setting";
    assert_refused(&servers, &servers.https, &proxy, &wrong, refused).await;
    let response = get(
        &servers.client(&[&proxy]),
        &servers.http.url,
        &proxies_for(&wrong),
    )
    .await;
    assert_eq!(response.unwrap().0.as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_proxy_is_named() {
    let servers = TargetServers::new().await;
    for host in ["127.0.0.1", "::1"] {
        let proxy = format!("http://{}", free_address(host));
        let client = servers.client(&[&proxy]);
        for target in servers.targets() {
            let error = expect_error(&client, &target.url, &with_account(&proxy, ACCOUNT)).await;
            assert_eq!(
                error.to_string(),
                format!("cannot connect to proxy `{proxy}`: Connection refused (os error 111)")
            );
            assert!(!error.may_have_been_sent());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_without_trusted_tls_is_named() {
    let servers = TargetServers::new().await;
    let untrusted = TargetServers::new().await;
    if let Some(squid) = Squid::start(&untrusted.authority, &[]) {
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
            let client = servers.client(&[&proxy]);
            for target in servers.targets() {
                let error =
                    expect_error(&client, &target.url, &with_account(&proxy, ACCOUNT)).await;
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
async fn refused_tunnel_is_reported_with_the_status() {
    let servers = TargetServers::new().await;
    let elsewhere = Options {
        tunnels_to: Some(1),
        ..Options::default()
    };
    if let Some(proxy) = Tinyproxy::start("127.0.0.1", &elsewhere) {
        let proxy = format!("http://{}", proxy.address);
        let error = expect_error(&servers.client(&[&proxy]), &servers.https.url, &proxy).await;
        assert_eq!(
            error.to_string(),
            format!("proxy `{proxy}` refused to open a tunnel to the target (403)")
        );
        assert!(!error.may_have_been_sent());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_target_is_reported_with_the_status() {
    let mut servers = TargetServers::new().await;
    // No program listens there.
    servers.http.url = format!("http://{}", free_address("127.0.0.1"));
    servers.https.url = format!("https://{}", free_address("127.0.0.1"));
    let tinyproxy = Tinyproxy::start("127.0.0.1", &Options::default());
    let squid = Squid::start(&servers.authority, &[]);
    let statuses = [
        tinyproxy.as_ref().map(|proxy| (proxy.address, 500)),
        squid.as_ref().map(|squid| (squid.http, 503)),
    ];
    for (address, status) in statuses.into_iter().flatten() {
        let proxy = format!("http://{address}");
        let client = servers.client(&[&proxy]);
        let error = expect_error(&client, &servers.https.url, &proxy).await;
        assert_eq!(
            error.to_string(),
            format!("proxy `{proxy}` refused to open a tunnel to the target ({status})")
        );
        assert!(!error.may_have_been_sent());
        // For a plain request the proxy's response looks like the server's.
        let response = get(&client, &servers.http.url, &proxies_for(&proxy))
            .await
            .unwrap();
        assert_eq!(response.0.as_u16(), status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_dying_mid_response_leaves_request_uncertain() {
    let servers = TargetServers::new().await;
    for target in servers.targets() {
        let Some(mut proxy) = Tinyproxy::start("127.0.0.1", &Options::default()) else {
            return;
        };
        let url = format!("http://{}", proxy.address);
        let client = servers.client(&[&url]);
        let half = format!("{}/half", target.url);
        let request = tokio::spawn(async move { get(&client, &half, &proxies_for(&url)).await });
        // The first half is on its way, and no more will come.
        while target.requests().is_empty() {
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
