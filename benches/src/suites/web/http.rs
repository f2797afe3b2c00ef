//! A small client: HTTP/1.1 over one connection, without anything that would cost more than the server.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The maximum time of a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to the server.
pub struct Connection {
    stream: TcpStream,
    head: String,
    received: Vec<u8>,
}

impl Connection {
    /// Connects with an API key.
    pub async fn open(address: SocketAddr, key: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            head: format!(
                "Host: {address}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
            ),
            received: Vec::new(),
        })
    }

    /// Sends a request without waiting for the response.
    pub async fn send(&mut self, method: &str, path: &str, body: &str) -> Result<()> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{}Content-Length: {length}\r\n\r\n{body}",
            self.head
        );
        Ok(self.stream.write_all(request.as_bytes()).await?)
    }

    /// Sends a request; returns the body of the response, which must be a success.
    pub async fn request(&mut self, method: &str, path: &str, body: &str) -> Result<&[u8]> {
        self.send(method, path, body).await?;
        self.received.clear();
        let (head, length) = loop {
            self.receive().await?;
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                let head = self.received.get(..end).unwrap_or_default();
                let head = std::str::from_utf8(head)?.to_ascii_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.context("a response has no length")?.trim().parse()?;
                break (head, end + 4 + length);
            }
        };
        while self.received.len() < length {
            self.receive().await?;
        }
        let start = find(&self.received, b"\r\n\r\n").unwrap_or_default() + 4;
        let body = self.received.get(start..).unwrap_or_default();
        ensure!(
            head.starts_with("http/1.1 2"),
            "{method} {path}: {head}\n{}",
            String::from_utf8_lossy(body)
        );
        Ok(body)
    }

    /// Sends a request; returns the JSON of the response.
    pub async fn json(&mut self, method: &str, path: &str, body: &str) -> Result<Value> {
        Ok(serde_json::from_slice(
            self.request(method, path, body).await?,
        )?)
    }

    /// Waits until the received bytes contain a text, and forgets them.
    pub async fn wait_for(&mut self, text: &str) -> Result<()> {
        while find(&self.received, text.as_bytes()).is_none() {
            self.receive().await?;
        }
        self.received.clear();
        Ok(())
    }

    async fn receive(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.received);
        match tokio::time::timeout(RESPONSE_TIMEOUT, read).await {
            Ok(Ok(1..)) => Ok(()),
            Ok(Ok(_)) => bail!("the server has closed a connection"),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => bail!("the server has not responded for {RESPONSE_TIMEOUT:?}"),
        }
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
