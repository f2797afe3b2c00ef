//! A token endpoint that costs next to nothing: one thread, one canned answer.
//!
//! It answers every request with the same tokens and full lives, as Webex does in its usual mode:
//! the refresh token stays, its clock starts anew. The emulated Webex is faithful and dear; here
//! the other side has to be so cheap that what is measured is ours.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The refresh token of every customer; the answers repeat it.
pub const REFRESH_TOKEN: &str = "UmVmcmVzaA_P0A1_00000000-0000-4000-8000-000000000001";
/// The access token of every answer.
pub const ACCESS_TOKEN: &str = "QWNjZXNz_P0A1_00000000-0000-4000-8000-000000000001";

/// The longest request that is read, in bytes; real ones have less than a thousand.
const LONGEST: usize = 16 * 1024;

/// The token endpoint's JSON answer: lives of 14 and 90 days, as Webex gives them.
pub fn token_response() -> String {
    format!(
        r#"{{"scope":"spark-admin:organizations_read spark-admin:licenses_read spark-admin:roles_read spark-admin:people_read spark-admin:locations_read spark-admin:workspaces_read spark-admin:workspace_locations_read identity:tokens_read identity:tokens_write","expires_in":1209599,"token_type":"Bearer","refresh_token":"{REFRESH_TOKEN}","refresh_token_expires_in":7775999,"access_token":"{ACCESS_TOKEN}"}}"#
    )
}

/// The whole answer as it goes over the wire.
fn wire_answer() -> Vec<u8> {
    let body = token_response();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
         trackingid: BENCH_00000000-0000-4000-8000-000000000002\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A running server; it stops when this is dropped.
pub struct TokenServer {
    address: SocketAddr,
    answer_length: usize,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl TokenServer {
    /// Starts it on a free port of 127.0.0.1, with a thread and a runtime of its own.
    pub fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("listening")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let answer = wire_answer();
        let answer_length = answer.len();
        let thread = std::thread::Builder::new()
            .name("token-server".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, answer) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            answer_length,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bytes of each answer, head and body.
    pub fn answer_length(&self) -> usize {
        self.answer_length
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

async fn accept(listener: std::net::TcpListener, answer: Vec<u8>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    // Lives as long as the process, which is a benchmark: sharing it costs nothing per request.
    let answer: &'static [u8] = Vec::leak(answer);
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // A client that goes away ends its connection; that is no news.
            let _ = serve(stream, answer).await;
        });
    }
}

async fn serve(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(LONGEST);
    loop {
        let length = loop {
            if let Some(length) = request_length(&read) {
                break length;
            }
            if read.len() > LONGEST || stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        stream.write_all(answer).await?;
        read.drain(..length);
    }
}

/// The length of the first request in `bytes`, when all of it is there.
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
