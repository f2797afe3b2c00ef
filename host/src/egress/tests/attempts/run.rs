//! Makes the attempts: what the component is told, and whom anything was sent to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use super::{ALLOW, Attempt, Outcome, Rule, sections};
use crate::egress::tests::harness::{Names, Served, Server, call_by};
use crate::egress::{Client, ClientOptions, Policy, Proxies, ProxyUrl};

/// Servers that an attempt may meet. The written ports stand for those that were free.
struct Servers {
    /// `127.0.0.1:8080`, which is listed.
    listed: Server,
    /// `127.0.0.2:8080`, which is not: nobody may ever come there.
    trap: Server,
    /// `127.0.0.1:3128`.
    proxy: Server,
}

impl Servers {
    async fn start(redirect: Option<&str>) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let listed = server(anywhere, "127.0.0.1", redirect).await;
        let beside = SocketAddr::from(([127, 0, 0, 2], listed.address.port()));
        Self {
            trap: server(beside, "127.0.0.2", None).await,
            proxy: server(anywhere, "the proxy", redirect).await,
            listed,
        }
    }

    fn ports(&self) -> [(&'static str, String); 2] {
        [
            (":8080", format!(":{}", self.listed.address.port())),
            (":3128", format!(":{}", self.proxy.address.port())),
        ]
    }

    /// With the ports of the servers.
    fn real(&self, written: &str) -> String {
        let ports = self.ports();
        ports.iter().fold(written.to_owned(), |text, (from, to)| {
            text.replace(from, to)
        })
    }

    /// With the ports as written.
    fn written(&self, real: &str) -> String {
        let ports = self.ports();
        ports
            .iter()
            .fold(real.to_owned(), |text, (to, from)| text.replace(from, to))
    }
}

/// A server that answers with its name, or with a redirect.
async fn server(address: SocketAddr, name: &'static str, redirect: Option<&str>) -> Server {
    let (status, location) = match redirect {
        None => ("200 OK", String::new()),
        Some(to) => ("302 Found", format!("location: {to}\r\n")),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\n{location}content-length: {}\r\n\r\n{name}",
        name.len()
    );
    Server::start_at(address, move |served: Served| {
        let answer = answer.clone();
        async move { served.always(&answer).await }
    })
    .await
}

/// The request as a component writes it: scheme, authority, path and fields, each by itself.
fn request(attempt: &Attempt, servers: &Servers) -> Result<Request<Full<Bytes>>, String> {
    let refused = |part: &str, why: &dyn std::fmt::Display| format!("the {part}: {why}");
    let url = servers.real(&attempt.url);
    let (scheme, rest) = url.split_once(':').unwrap();
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let split = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    let path = attempt.path.as_deref().unwrap_or(path);
    let path = format!("{path}{}", "a".repeat(attempt.path_padding));
    let scheme = Scheme::try_from(scheme).map_err(|why| refused("scheme", &why))?;
    let authority = Authority::try_from(authority).map_err(|why| refused("authority", &why))?;
    let path = PathAndQuery::try_from(path).map_err(|why| refused("path", &why))?;
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(path);
    let uri = uri.build().map_err(|why| refused("address", &why))?;
    let method = attempt.method.as_deref().unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes()).map_err(|why| refused("method", &why))?;
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    *request.method_mut() = method;
    let mut fields = attempt.headers.clone();
    if attempt.header_padding > 0 {
        fields.push(("x-long".to_owned(), "v".repeat(attempt.header_padding)));
    }
    fields.extend((0..attempt.more_headers).map(|n| (format!("x-{n}"), "v".to_owned())));
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|why| refused("name of the header field", &why))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|why| refused("value of the header field", &why))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// What came of an attempt.
#[derive(Debug)]
struct Made {
    outcome: Outcome,
    /// Lookups of names.
    lookups: usize,
    /// Connections to servers that may be reached.
    connections: usize,
    /// Connections to the one that may not.
    trapped: usize,
    may_have_been_sent: bool,
}

impl Made {
    fn nothing(outcome: Outcome) -> Self {
        Self {
            outcome,
            lookups: 0,
            connections: 0,
            trapped: 0,
            may_have_been_sent: false,
        }
    }

    /// What must hold besides the words.
    fn is_sound(&self, rule: Rule) -> bool {
        let answered = matches!(self.outcome, Outcome::Answer(_));
        let looks_up = matches!(rule, Rule::Address | Rule::Checked | Rule::ProxyAddress);
        self.trapped == 0
            && self.connections == usize::from(answered)
            && self.lookups <= usize::from(looks_up)
            && !self.may_have_been_sent
    }
}

async fn made(attempt: &Attempt) -> Made {
    let servers = Servers::start(attempt.redirect.as_deref()).await;
    let mut names = Names::default();
    for (name, lookups) in &attempt.dns {
        let lookups: Vec<Vec<&str>> = lookups
            .iter()
            .map(|lookup| lookup.iter().map(String::as_str).collect())
            .collect();
        let lookups: Vec<&[&str]> = lookups.iter().map(Vec::as_slice).collect();
        names = names.with(name, &lookups);
    }
    let asked = names.asked();
    let allow = match &attempt.allow {
        Some(entries) => entries.clone(),
        None => ALLOW.map(str::to_owned).to_vec(),
    };
    let real = |entries: &[String]| -> Vec<String> {
        entries.iter().map(|entry| servers.real(entry)).collect()
    };
    let policy = Policy::parse(&real(&allow))
        .and_then(|policy| policy.with_proxies(&real(&attempt.proxies)))
        .unwrap();
    let client = Client::with_resolver(policy, ClientOptions::default(), Arc::new(names)).unwrap();
    let proxies = match &attempt.proxy {
        None => Proxies::default(),
        Some(written) => match ProxyUrl::parse(&servers.real(written).into()) {
            Ok(proxy) => Proxies {
                http: Some(proxy.clone()),
                https: Some(proxy),
            },
            Err(error) => return Made::nothing(Outcome::Error(error.to_string())),
        },
    };
    let request = match request(attempt, &servers) {
        Ok(request) => request,
        Err(why) => return Made::nothing(Outcome::Unwritable(why)),
    };
    let answer = call_by(&client, request, &proxies).await;
    let may_have_been_sent = matches!(&answer, Err(error) if error.may_have_been_sent());
    let outcome = match answer {
        Ok((status, name)) => Outcome::Answer(format!("{} from {name}", status.as_u16())),
        Err(error) => Outcome::Error(servers.written(&error.to_string())),
    };
    Made {
        outcome,
        lookups: asked.load(Ordering::SeqCst),
        connections: servers.listed.connections() + servers.proxy.connections(),
        trapped: servers.trap.connections(),
        may_have_been_sent,
    }
}

#[tokio::test]
async fn each_attempt_ends_with_its_exact_words_and_nothing_was_sent() {
    let mut wrong = String::new();
    for section in sections() {
        for attempt in &section.attempt {
            let made = made(attempt).await;
            if made.outcome != attempt.outcome || !made.is_sound(attempt.rule) {
                wrong += &format!(
                    "{}: {} ({})\n  expected {:?}\n  got      {made:?}\n",
                    section.title, attempt.what, attempt.url, attempt.outcome
                );
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn an_error_names_the_setting_of_its_rule() {
    for attempt in sections().iter().flat_map(|section| &section.attempt) {
        if let (Outcome::Error(text), Some(setting)) = (&attempt.outcome, attempt.rule.setting()) {
            assert!(
                text.contains(&format!("`{setting}`")),
                "{}: {text}",
                attempt.what
            );
        }
    }
}

#[test]
fn each_rule_is_tried_and_each_attempt_has_a_name_of_its_own() {
    let sections = sections();
    let attempts: Vec<&Attempt> = sections.iter().flat_map(|one| &one.attempt).collect();
    let tried: BTreeSet<Rule> = attempts.iter().map(|attempt| attempt.rule).collect();
    assert_eq!(tried, Rule::ALL.into());
    for section in &sections {
        let names: BTreeSet<&str> = section.attempt.iter().map(|one| &*one.what).collect();
        assert_eq!(names.len(), section.attempt.len(), "{}", section.title);
    }
}
