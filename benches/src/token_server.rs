//! A token endpoint that costs next to nothing: one thread, one canned response.
//!
//! It sends the same tokens with full lifetimes to every request, as Webex does in its usual mode. The refresh token
//! stays; its lifetime starts again. The emulated Webex is faithful but expensive; here the server has to be so cheap
//! that the measurement shows our own cost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The refresh token of every customer; the responses repeat it.
pub const REFRESH_TOKEN: &str = "UmVmcmVzaA_P0A1_00000000-0000-4000-8000-000000000001";
/// The access token in every response.
pub const ACCESS_TOKEN: &str = "QWNjZXNz_P0A1_00000000-0000-4000-8000-000000000001";

/// Maximum size of a request in bytes; real ones have less than a thousand.
const MAX_REQUEST: usize = 16 * 1024;

/// Returns the token endpoint's JSON body, with Webex's lifetimes of 14 and 90 days.
pub fn token_response() -> String {
    format!(
        r#"{{"scope":"spark-admin:organizations_read spark-admin:licenses_read spark-admin:roles_read spark-admin:people_read spark-admin:locations_read spark-admin:workspaces_read spark-admin:workspace_locations_read identity:groups_read identity:tokens_read identity:tokens_write","expires_in":1209599,"token_type":"Bearer","refresh_token":"{REFRESH_TOKEN}","refresh_token_expires_in":7775999,"access_token":"{ACCESS_TOKEN}"}}"#
    )
}

/// Returns the whole response as sent.
fn raw_response() -> Vec<u8> {
    let body = token_response();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
         trackingid: BENCH_00000000-0000-4000-8000-000000000002\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A running server; it stops when dropped.
pub struct TokenServer {
    address: SocketAddr,
    response_length: usize,
    served: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl TokenServer {
    /// Starts a server on a free port of 127.0.0.1, with its own thread and runtime.
    pub fn start() -> Result<Self> {
        Self::start_with(Duration::ZERO)
    }

    /// Starts a server like [`TokenServer::start`] that sends each response after `delay`.
    pub fn start_with(delay: Duration) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("listening")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let response = raw_response();
        let response_length = response.len();
        let served = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&served);
        let thread = std::thread::Builder::new()
            .name("token-server".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, response, delay, counter) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            response_length,
            served,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the size of each response in bytes, head and body.
    pub fn response_length(&self) -> usize {
        self.response_length
    }

    /// Returns the number of responses so far.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    response: Vec<u8>,
    delay: Duration,
    served: Arc<AtomicU64>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    // Leaked until the process ends, which is a benchmark. Sharing it costs nothing per request.
    let response: &'static [u8] = Vec::leak(response);
    while let Ok((stream, _)) = listener.accept().await {
        let served = Arc::clone(&served);
        tokio::spawn(async move {
            // A client that closes the connection is not an error.
            let _ = serve(stream, response, delay, &served).await;
        });
    }
}

async fn serve(
    mut stream: TcpStream,
    response: &[u8],
    delay: Duration,
    served: &AtomicU64,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(MAX_REQUEST);
    loop {
        let length = loop {
            if let Some(length) = request_length(&read) {
                break length;
            }
            if read.len() > MAX_REQUEST || stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        if delay > Duration::ZERO {
            tokio::time::sleep(delay).await;
        }
        served.fetch_add(1, Ordering::Relaxed);
        stream.write_all(response).await?;
        read.drain(..length);
    }
}

/// Returns the length of the first request in `bytes`, if it is complete.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head_length = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(bytes.get(..head_length)?).ok()?;
    let body = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse::<usize>().ok())
        .unwrap_or(0);
    let length = head_length.checked_add(body)?;
    (bytes.len() >= length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_its_length_says() {
        let request =
            b"POST /v1/access_token HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPOST";
        assert_eq!(request_length(request), Some(request.len() - 4));
        assert_eq!(request_length(&request[..request.len() - 5]), None);
        assert_eq!(request_length(b"GET / HTTP/1.1\r\n\r\n"), Some(18));
    }
}
