//! A forward proxy with a password, for customers who reach Webex through one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A proxy that runs until the test ends. It serves one request per connection.
pub struct Proxy {
    address: String,
    passed: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts a proxy that forwards requests with this `Proxy-Authorization`, such as
    /// `Basic dXNlcjpwYXNz`, and rejects the rest.
    pub fn start(authorization: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens").to_string();
        let passed = Arc::new(AtomicUsize::new(0));
        let (counter, authorization) = (Arc::clone(&passed), authorization.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let (counter, authorization) = (Arc::clone(&counter), authorization.clone());
                // The client reports a broken connection.
                std::thread::spawn(move || serve(client, &authorization, &counter).ok());
            }
        });
        Self { address, passed }
    }

    /// Returns its address, as `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns how many requests it has forwarded.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }
}

fn serve(client: TcpStream, authorization: &str, passed: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let mut client = client;
    let allowed = head.lines().any(|line| {
        line.split_once(": ").is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("proxy-authorization") && value == authorization
        })
    });
    if !allowed {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                       proxy-authenticate: Basic realm=\"test\"\r\n\
                       content-length: 0\r\nconnection: close\r\n\r\n";
        return client.write_all(refusal.as_bytes());
    }
    passed.fetch_add(1, Ordering::Relaxed);
    let mut words = head.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let authority = target.strip_prefix("http://").unwrap_or(target);
    let authority = authority.split('/').next().unwrap_or_default();
    let mut server = TcpStream::connect(authority)?;
    if method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        server.write_all(head.as_bytes())?;
    }
    let mut back = server.try_clone()?;
    std::thread::spawn(move || {
        let copied = std::io::copy(&mut back, &mut client);
        let _ = client.shutdown(Shutdown::Both);
        copied.ok()
    });
    std::io::copy(&mut reader, &mut server)?;
    server.shutdown(Shutdown::Write)
}
