//! A client that may reach two servers, by `http` and by `https`, and its requests.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relation_e2e::tls::Authority;
use relation_host::egress::{Client, ClientOptions, EgressError, Policy, Proxies, ProxyUrl};
use tokio::time::Instant;

use crate::servers::Target;

/// The two servers, and the authority of their certificates.
pub struct TargetServers {
    pub authority: Authority,
    pub http: Target,
    pub https: Target,
}

impl TargetServers {
    pub async fn new() -> Self {
        let authority = Authority::new("authority of a test");
        Self {
            http: Target::http().await,
            https: Target::https(&authority).await,
            authority,
        }
    }

    pub fn targets(&self) -> [&Target; 2] {
        [&self.http, &self.https]
    }

    /// Creates a client that may use these proxies, named as `scheme://address`.
    pub fn client(&self, proxies: &[&str]) -> Client {
        let allow = self.targets().map(|target| target.url.clone());
        let proxies: Vec<String> = proxies.iter().map(|&proxy| proxy.to_owned()).collect();
        let policy = Policy::parse(&allow)
            .and_then(|policy| policy.with_proxies(&proxies))
            .unwrap();
        let options = ClientOptions {
            extra_ca_file: Some(self.authority.file()),
            ..ClientOptions::default()
        };
        Client::new(policy, options).unwrap()
    }
}

/// Returns a proxy string with an account, as a customer's administrator writes it.
pub fn with_account(proxy: &str, (user, password): (&str, &str)) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (scheme, address) = proxy.split_once("://").unwrap();
    format!(
        "{scheme}://{}:{}@{address}/",
        encoded(user),
        encoded(password)
    )
}

/// Returns the same proxy for both schemes.
pub fn proxies_for(proxy: &str) -> Proxies {
    let proxy = ProxyUrl::parse(&proxy.to_owned().into()).unwrap();
    Proxies {
        http: Some(proxy.clone()),
        https: Some(proxy),
    }
}

/// Gets `url` and reads the whole response.
pub async fn get(
    client: &Client,
    url: &str,
    proxies: &Proxies,
) -> Result<(StatusCode, String), EgressError> {
    let request = Request::get(url).body(Empty::<Bytes>::new()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let response = client.send(request, proxies, deadline).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
