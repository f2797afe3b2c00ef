//! Addresses at which a server of a test will listen.

use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};

/// Ports below those that Linux gives to outgoing connections and to listeners without a port, so that nothing else gets
/// one by chance before the server listens.
const PORTS: Range<u16> = 10_000..30_000;

/// Returns an address of this machine at which no program listens. A process gets each only once.
///
/// # Errors
///
/// If no port is free.
pub fn free_address(host: &str) -> Result<SocketAddr> {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    // Processes that run at the same time begin at different places.
    let start = (std::process::id() as usize).wrapping_mul(7_919);
    (0..PORTS.len())
        .find_map(|_| {
            let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
            let port = PORTS.clone().nth(start.wrapping_add(taken) % PORTS.len())?;
            TcpListener::bind((host, port)).ok()?.local_addr().ok()
        })
        .with_context(|| format!("no port of {host} from {} is free", PORTS.start))
}
