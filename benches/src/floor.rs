//! Measures the floor: what the machine itself needs for one round trip and for one durable write.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc;

use anyhow::{Context as _, Result, anyhow};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, oneshot};

/// Size of a record in bytes: a page, the least that a database writes.
const RECORD: usize = 4096;

/// Maximum number of records in one group: the store's own limit.
const GROUP: usize = 256;

/// Number of records in the file. It is filled beforehand and then overwritten in a circle, like a
/// write-ahead log, so that no write has to make the file longer.
const FILE_RECORDS: usize = 4096;

type Reply = oneshot::Sender<io::Result<()>>;

/// A file of records, each durable when `append` returns. One thread writes and `fdatasync`s them.
pub struct Appender {
    queue: Option<mpsc::Sender<Reply>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Appender {
    /// Creates the file `name` in `directory`. With `group`, waiting records are made durable
    /// together; otherwise each record has an `fdatasync` of its own.
    pub fn start(directory: &Path, name: &str, group: bool) -> Result<Self> {
        let mut file = File::create(directory.join(name)).context("making a file of records")?;
        file.write_all(&vec![0; RECORD * FILE_RECORDS])?;
        file.sync_all()?;
        let (queue, waiting) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("appender".into())
            .spawn(move || append_all(&file, &waiting, if group { GROUP } else { 1 }))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Writes one record; it is durable when this returns.
    pub async fn append(&self) -> Result<()> {
        let (reply, done) = oneshot::channel();
        let queue = self.queue.as_ref().context("the appender is closed")?;
        queue
            .send(reply)
            .map_err(|_| anyhow!("the appender ended"))?;
        done.await??;
        Ok(())
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn append_all(file: &File, waiting: &mpsc::Receiver<Reply>, most: usize) {
    let records = vec![0x5a; RECORD * most];
    let mut at = 0;
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        group.extend(waiting.try_iter().take(most - 1));
        if at + group.len() > FILE_RECORDS {
            at = 0;
        }
        let bytes = records.get(..RECORD * group.len()).unwrap_or_default();
        let offset = u64::try_from(at * RECORD).unwrap_or_default();
        let written = file
            .write_all_at(bytes, offset)
            .and_then(|()| file.sync_data());
        at += group.len();
        for reply in group {
            let outcome = match &written {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            // A caller that has stopped waiting needs no result.
            let _ = reply.send(outcome);
        }
    }
}

/// One connection per lane, for token requests without an HTTP library.
pub struct RawConnections {
    lanes: Vec<Mutex<TcpStream>>,
    request: Vec<u8>,
    response_length: usize,
}

impl RawConnections {
    /// Opens `lanes` connections.
    pub async fn connect(lanes: usize, to: SocketAddr, response_length: usize) -> Result<Self> {
        let mut connected = Vec::with_capacity(lanes);
        for _ in 0..lanes {
            let stream = TcpStream::connect(to).await.context("connecting")?;
            stream.set_nodelay(true)?;
            connected.push(Mutex::new(stream));
        }
        let body = "grant_type=refresh_token&refresh_token=R&client_id=C0ffee&client_secret=s";
        let request = format!(
            "POST /v1/access_token HTTP/1.1\r\nhost: {to}\r\naccept: application/json\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Self {
            lanes: connected,
            request: request.into_bytes(),
            response_length,
        })
    }

    /// Sends one request and reads its whole response.
    pub async fn round_trip(&self, lane: usize) -> Result<()> {
        let stream = self.lanes.get(lane).context("no such lane")?;
        let mut stream = stream.lock().await;
        stream.write_all(&self.request).await?;
        let mut response = vec![0; self.response_length];
        stream.read_exact(&mut response).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_beyond_the_file_size_are_written() {
        let directory = tempfile::tempdir().unwrap();
        for group in [true, false] {
            let appender = Appender::start(directory.path(), "records", group).unwrap();
            let most = if group { FILE_RECORDS + 1 } else { 3 };
            futures_util::future::try_join_all((0..most).map(|_| appender.append()))
                .await
                .unwrap();
        }
        let length = std::fs::metadata(directory.path().join("records")).unwrap();
        assert_eq!(length.len(), u64::try_from(RECORD * FILE_RECORDS).unwrap());
    }
}
