//! Runs the attempts and checks the error texts and which servers were contacted.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use super::{ALLOW, Attempt, Outcome, Rule, sections};
use crate::tests::harness::{ScriptedResolver, Server, ServerConnection, call_via};
use crate::{Client, ClientOptions, Policy, Proxies, ProxyUrl};

/// Servers that an attempt may contact. The ports in the files stand for the actual free ports.
struct Servers {
    /// `127.0.0.1:8080`, which is listed.
    listed: Server,
    /// `127.0.0.2:8080`, which is not listed and must never be contacted.
    forbidden: Server,
    /// `127.0.0.1:3128`.
    proxy: Server,
}

impl Servers {
    async fn start(redirect: Option<&str>) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let listed = server(anywhere, "127.0.0.1", redirect).await;
        let beside = SocketAddr::from(([127, 0, 0, 2], listed.address.port()));
        Self {
            forbidden: server(beside, "127.0.0.2", None).await,
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

    /// Replaces the written ports by the actual ones.
    fn real(&self, written: &str) -> String {
        let ports = self.ports();
        ports.iter().fold(written.to_owned(), |text, (from, to)| {
            text.replace(from, to)
        })
    }

    /// Replaces the actual ports by the written ones.
    fn written(&self, real: &str) -> String {
        let ports = self.ports();
        ports
            .iter()
            .fold(real.to_owned(), |text, (to, from)| text.replace(from, to))
    }
}

/// Starts a server that responds with its name, or with a redirect.
async fn server(address: SocketAddr, name: &'static str, redirect: Option<&str>) -> Server {
    let (status, location) = match redirect {
        None => ("200 OK", String::new()),
        Some(to) => ("302 Found", format!("location: {to}\r\n")),
    };
    let response = format!(
        "HTTP/1.1 {status}\r\n{location}content-length: {}\r\n\r\n{name}",
        name.len()
    );
    Server::start_at(address, move |connection: ServerConnection| {
        let response = response.clone();
        async move { connection.always(&response).await }
    })
    .await
}

/// Builds the request like a component: scheme, authority, path and fields separately.
fn request(attempt: &Attempt, servers: &Servers) -> Result<Request<Full<Bytes>>, String> {
    let refused = |part: &str, reason: &dyn std::fmt::Display| format!("the {part}: {reason}");
    let url = servers.real(&attempt.url);
    let (scheme, rest) = url.split_once(':').unwrap();
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let split = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    let path = attempt.path.as_deref().unwrap_or(path);
    let path = format!("{path}{}", "a".repeat(attempt.path_padding));
    let scheme = Scheme::try_from(scheme).map_err(|reason| refused("scheme", &reason))?;
    let authority =
        Authority::try_from(authority).map_err(|reason| refused("authority", &reason))?;
    let path = PathAndQuery::try_from(path).map_err(|reason| refused("path", &reason))?;
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(path);
    let uri = uri.build().map_err(|reason| refused("address", &reason))?;
    let method = attempt.method.as_deref().unwrap_or("GET");
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|reason| refused("method", &reason))?;
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
            .map_err(|reason| refused("name of the header field", &reason))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|reason| refused("value of the header field", &reason))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// The result of an attempt.
#[derive(Debug)]
struct AttemptReport {
    outcome: Outcome,
    /// The number of name lookups.
    lookups: usize,
    /// Connections to permitted servers.
    connections: usize,
    /// Connections to the forbidden server.
    forbidden_connections: usize,
    may_have_been_sent: bool,
}

impl AttemptReport {
    fn not_sent(outcome: Outcome) -> Self {
        Self {
            outcome,
            lookups: 0,
            connections: 0,
            forbidden_connections: 0,
            may_have_been_sent: false,
        }
    }

    /// Returns whether the attempt had no forbidden effect.
    fn is_safe(&self, rule: Rule) -> bool {
        let response = matches!(self.outcome, Outcome::Response(_));
        let looks_up = matches!(rule, Rule::Address | Rule::Checked | Rule::ProxyAddress);
        self.forbidden_connections == 0
            && self.connections == usize::from(response)
            && self.lookups <= usize::from(looks_up)
            && !self.may_have_been_sent
    }
}

async fn run_attempt(attempt: &Attempt) -> AttemptReport {
    let servers = Servers::start(attempt.redirect.as_deref()).await;
    let mut names = ScriptedResolver::default();
    for (name, lookups) in &attempt.dns {
        let lookups: Vec<Vec<&str>> = lookups
            .iter()
            .map(|lookup| lookup.iter().map(String::as_str).collect())
            .collect();
        let lookups: Vec<&[&str]> = lookups.iter().map(Vec::as_slice).collect();
        names = names.with(name, &lookups);
    }
    let lookups = names.lookup_count();
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
            Err(error) => return AttemptReport::not_sent(Outcome::Error(error.to_string())),
        },
    };
    let request = match request(attempt, &servers) {
        Ok(request) => request,
        Err(reason) => return AttemptReport::not_sent(Outcome::NotCreated(reason)),
    };
    let response = call_via(&client, request, &proxies).await;
    let may_have_been_sent = matches!(&response, Err(error) if error.may_have_been_sent());
    let outcome = match response {
        Ok((status, name)) => Outcome::Response(format!("{} from {name}", status.as_u16())),
        Err(error) => Outcome::Error(servers.written(&error.to_string())),
    };
    AttemptReport {
        outcome,
        lookups: lookups.load(Ordering::SeqCst),
        connections: servers.listed.connections() + servers.proxy.connections(),
        forbidden_connections: servers.forbidden.connections(),
        may_have_been_sent,
    }
}

#[tokio::test]
async fn attempts_end_with_exact_texts_and_send_nothing() {
    let mut wrong = String::new();
    for section in sections() {
        for attempt in &section.attempt {
            let report = run_attempt(attempt).await;
            if report.outcome != attempt.outcome || !report.is_safe(attempt.rule) {
                wrong += &format!(
                    "{}: {} ({})\n  expected {:?}\n  got      {report:?}\n",
                    section.title, attempt.description, attempt.url, attempt.outcome
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
                attempt.description
            );
        }
    }
}

#[test]
fn rules_are_covered_and_attempt_names_unique() {
    let sections = sections();
    let attempts: Vec<&Attempt> = sections.iter().flat_map(|one| &one.attempt).collect();
    let tried: BTreeSet<Rule> = attempts.iter().map(|attempt| attempt.rule).collect();
    assert_eq!(tried, Rule::ALL.into());
    for section in &sections {
        let names: BTreeSet<&str> = section
            .attempt
            .iter()
            .map(|one| &*one.description)
            .collect();
        assert_eq!(names.len(), section.attempt.len(), "{}", section.title);
    }
}
