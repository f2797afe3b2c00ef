//! Scripted servers and resolvers for the tests of the egress.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::{Client, ClientOptions, EgressError, Policy, Proxies, ProxyUrl, Resolve};

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// One connection of a server.
pub(super) struct ServerConnection {
    /// The connection's number at its server, counted from 1.
    pub(super) number: usize,
    pub(super) stream: Box<dyn Io>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl ServerConnection {
    /// Reads the next request, head and body; `None` after the client has closed.
    pub(super) async fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while !is_whole(&bytes) {
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        self.requests.lock().push(text.clone());
        Some(text)
    }

    pub(super) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.ok();
        self.stream.flush().await.ok();
    }

    /// Responds to every request with `text` until the client closes.
    pub(super) async fn always(mut self, text: &str) {
        while self.request().await.is_some() {
            self.write(text).await;
        }
    }

    /// Reads without responding until the client closes.
    pub(super) async fn silent(mut self) {
        let mut buffer = [0; 4096];
        while matches!(self.stream.read(&mut buffer).await, Ok(read) if read > 0) {}
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    match field(head, "content-length") {
        Some(length) => body.len() >= length.parse::<usize>().unwrap(),
        None => field(head, "transfer-encoding").is_none() || body.ends_with("0\r\n\r\n"),
    }
}

/// Returns the value of a header field in a request's text.
pub(super) fn field<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let lines = request.lines().skip(1).take_while(|line| !line.is_empty());
    let mut fields = lines.filter_map(|line| line.split_once(": "));
    let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) async fn start<F, S>(handler: F) -> Self
    where
        F: Fn(ServerConnection) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(anywhere, handler).await
    }

    pub(super) async fn start_at<F, S>(address: SocketAddr, handler: F) -> Self
    where
        F: Fn(ServerConnection) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (server.connections.clone(), server.requests.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                let requests = requests.clone();
                tokio::spawn(handler(ServerConnection {
                    number,
                    stream: Box::new(stream),
                    requests,
                }));
            }
        });
        server
    }

    /// Starts a server that responds to every request with `text`.
    pub(super) async fn responding(text: &'static str) -> Self {
        Self::start(move |connection| connection.always(text)).await
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns the requests read so far, on all connections.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

/// Names with their addresses at the first, second, … lookup; the last lookup repeats.
#[derive(Default)]
pub(super) struct ScriptedResolver {
    lookups: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    lookup_count: Arc<AtomicUsize>,
}

impl ScriptedResolver {
    /// Returns the number of lookups, for all names.
    pub(super) fn lookup_count(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.lookup_count)
    }

    pub(super) fn with(self, name: &str, lookups: &[&[&str]]) -> Self {
        let parse =
            |addresses: &&[&str]| addresses.iter().map(|one| one.parse().unwrap()).collect();
        let lookups = lookups.iter().map(parse).collect();
        self.lookups.lock().insert(name.to_owned(), lookups);
        self
    }
}

#[async_trait]
impl Resolve for ScriptedResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.lookup_count.fetch_add(1, Ordering::SeqCst);
        let mut names = self.lookups.lock();
        let lookups = names.get_mut(name);
        let lookups = lookups.ok_or_else(|| io::Error::other("name or service not known"))?;
        Ok(if lookups.len() > 1 {
            lookups.remove(0)
        } else {
            lookups[0].clone()
        })
    }
}

pub(super) fn policy(allow: &[&str], proxies: &[&str]) -> Policy {
    let owned = |entries: &[&str]| {
        entries
            .iter()
            .map(|&entry| entry.into())
            .collect::<Vec<_>>()
    };
    Policy::parse(&owned(allow))
        .unwrap()
        .with_proxies(&owned(proxies))
        .unwrap()
}

pub(super) fn client(allow: &[&str]) -> Client {
    Client::new(policy(allow, &[]), ClientOptions::default()).unwrap()
}

pub(super) fn client_with(allow: &[&str], options: ClientOptions) -> Client {
    Client::new(policy(allow, &[]), options).unwrap()
}

pub(super) fn get(url: impl AsRef<str>) -> Request<Full<Bytes>> {
    Request::get(url.as_ref()).body(Full::default()).unwrap()
}

pub(super) fn post(url: impl AsRef<str>, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(url.as_ref()).body(body.into()).unwrap()
}

pub(super) fn proxy(url: impl Into<String>) -> ProxyUrl {
    ProxyUrl::parse(&url.into().into()).unwrap()
}

/// Returns the same proxy for both schemes.
pub(super) fn via(url: impl Into<String>) -> Proxies {
    let proxy = proxy(url);
    Proxies {
        http: Some(proxy.clone()),
        https: Some(proxy),
    }
}

pub(super) fn within(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// Sends a request and reads the whole response.
pub(super) async fn call_via(
    client: &Client,
    request: Request<Full<Bytes>>,
    proxies: &Proxies,
) -> Result<(StatusCode, String), EgressError> {
    let response = client.send(request, proxies, within(60)).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

/// Works like [`call_via`], without a proxy.
pub(super) async fn call(
    client: &Client,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, String), EgressError> {
    call_via(client, request, &Proxies::default()).await
}
