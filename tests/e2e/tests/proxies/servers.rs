//! Servers behind the proxies: one by `http` and one by `https`, which return the request they
//! received.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use relation_e2e::tls::Authority;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server at 127.0.0.1.
pub struct Target {
    pub address: SocketAddr,
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Target {
    pub async fn http() -> Self {
        Self::start(None).await
    }

    pub async fn https(authority: &Authority) -> Self {
        Self::start(Some(authority.acceptor("127.0.0.1", 2999))).await
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::default();
        let target = Self {
            address,
            url: format!("http{}://{address}", if tls.is_some() { "s" } else { "" }),
            requests: Arc::clone(&requests),
        };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, requests) = (tls.clone(), Arc::clone(&requests));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &requests).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &requests).await;
                            }
                        }
                    }
                });
            }
        });
        target
    }

    /// Returns the heads of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

/// Responds to requests without a body until the client closes the connection. A request for
/// `/half` gets half a response and nothing more.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, requests: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
        let half = text.contains("/half ");
        requests.lock().push(text);
        let response: &[u8] = if half {
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"
        } else {
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        };
        if stream.write_all(response).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}
