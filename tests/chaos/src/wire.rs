//! The network between one host and the servers of the database: a port for each server, which can cut connections in the
//! middle of a frame, and swallow everything.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;

/// The number of servers that a host knows.
pub const SLOTS: usize = 2;

/// The sockets of the servers, by slot; none: no server listens.
pub type Servers = Arc<Mutex<[Option<PathBuf>; SLOTS]>>;

/// The treatment of the connections of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// Grows with each cut: older connections end in the middle of the next data.
    cuts: u64,
    /// Whether data is held back in both directions.
    is_black_hole: bool,
}

/// The network of one host.
#[derive(Clone)]
pub struct Wire {
    addresses: [SocketAddr; SLOTS],
    state: watch::Sender<State>,
}

impl Wire {
    /// Begins to listen.
    pub async fn start(servers: &Servers) -> Result<Self> {
        let state = watch::Sender::new(State::default());
        let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); SLOTS];
        for (slot, address) in addresses.iter_mut().enumerate() {
            let listener = TcpListener::bind(*address).await?;
            *address = listener.local_addr()?;
            tokio::spawn(run(listener, slot, Arc::clone(servers), state.clone()));
        }
        Ok(Self { addresses, state })
    }

    /// Returns the URL of the database behind it.
    pub fn url(&self, database: &str) -> String {
        let servers = self.addresses.map(|address| address.to_string()).join(",");
        format!("postgres://postgres@{servers}/{database}?sslmode=disable&connect_timeout=2")
    }

    /// Ends every connection in the middle of what is sent next.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Holds back all data from now on, also that of new connections.
    pub fn open_black_hole(&self) {
        self.state.send_modify(|state| state.is_black_hole = true);
    }

    /// Lets data pass again. What was held back arrives late, or with `resets` never.
    pub fn close_black_hole(&self, resets: bool) {
        self.state.send_modify(|state| {
            state.is_black_hole = false;
            state.cuts += u64::from(resets);
        });
    }
}

async fn run(listener: TcpListener, slot: usize, servers: Servers, state: watch::Sender<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let (servers, state) = (Arc::clone(&servers), state.subscribe());
        tokio::spawn(async move {
            let server = servers.lock()[slot].clone();
            let Some(server) = server else { return };
            let Ok(server) = UnixStream::connect(server).await else {
                return;
            };
            let _ = client.set_nodelay(true);
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // Both directions end together.
            tokio::select! {
                () = forward(from_client, to_server, state.clone()) => {}
                () = forward(from_server, to_client, state) => {}
            }
        });
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) {
    let cuts = state.borrow().cuts;
    let mut data = vec![0; 1 << 14];
    while let Ok(length @ 1..) = from.read(&mut data).await {
        let Ok(passing) = state
            .wait_for(|state| !state.is_black_hole)
            .await
            .map(|now| *now)
        else {
            return;
        };
        let is_cut = passing.cuts != cuts;
        let part = if is_cut {
            fastrand::usize(0..length)
        } else {
            length
        };
        if to.write_all(&data[..part]).await.is_err() || is_cut {
            return;
        }
    }
}
