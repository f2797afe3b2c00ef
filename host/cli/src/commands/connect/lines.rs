//! Reads the lines of stdin on a separate thread, which the end of the program does not wait for.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;

use super::callback_text::{Awaited, joined, may_continue};
use crate::failure::{Failed, Kind};
use crate::streams::stderr;

/// The longest line that is read, in bytes. A callback has about 1 KiB.
const LINE: u64 = 16 * 1024;
/// The lines of one paste come within this time of each other.
const PASTE: Duration = Duration::from_millis(200);
/// How many pastes are looked at for one consent.
const PASTES: u32 = 5;
/// More lines than this belong to no address.
const LINES: usize = 32;

/// The lines that are still to come.
pub struct Lines {
    lines: mpsc::Receiver<io::Result<SecretString>>,
    /// A line that was read and belongs to the next paste.
    back: Option<SecretString>,
    asks: bool,
}

impl Lines {
    /// Starts reading. `asks` says whether a person is asked for each paste.
    pub fn read(asks: bool) -> Result<Self, Failed> {
        let (sender, lines) = mpsc::channel(1);
        let reader = std::thread::Builder::new().name("stdin".to_owned());
        reader
            .spawn(move || {
                loop {
                    let mut line = zeroize::Zeroizing::new(Vec::new());
                    let read = io::stdin().lock().take(LINE).read_until(b'\n', &mut line);
                    let read = match read {
                        Ok(0) => return,
                        Ok(_) => Ok(SecretString::from(String::from_utf8_lossy(&line).trim())),
                        Err(error) => Err(error),
                    };
                    let failed = read.is_err();
                    if sender.blocking_send(read).is_err() || failed {
                        return;
                    }
                }
            })
            .map_err(|error| unread(&error))?;
        Ok(Self {
            lines,
            back: None,
            asks,
        })
    }

    /// Waits for the callback of this consent. Calls `refused` with the reason for each paste that is
    /// not the callback; another paste may follow.
    pub async fn callback(
        &mut self,
        awaited: Awaited<'_>,
        mut refused: impl FnMut(&str) -> Result<(), Failed>,
    ) -> Result<SecretString, Failed> {
        let mut fault = None;
        for left in (0..PASTES).rev() {
            if self.asks {
                stderr::ask("address: ");
            }
            let paste = match self.paste(awaited).await? {
                Paste::Callback(address) => return Ok(address),
                Paste::Other(text) => text,
                Paste::End => break,
            };
            let why = awaited.fault(paste.expose_secret());
            fault = Some(why);
            if left > 0 && !self.lines.is_closed() {
                refused(why)?;
            }
        }
        Err(match fault {
            Some(why) => Failed::usage(format!("this is not the address after the consent: {why}")),
            None => {
                Failed::usage("stdin held no address: give the one to which Webex sent the browser")
            }
        }
        .hint(super::AGAIN))
    }

    async fn paste(&mut self, awaited: Awaited<'_>) -> Result<Paste, Failed> {
        let mut lines = Vec::new();
        let mut found = None;
        while lines.len() < LINES {
            let next = match lines.is_empty() {
                true => self.next().await?,
                false => match tokio::time::timeout(PASTE, self.next()).await {
                    Ok(next) => next?,
                    Err(_) => break,
                },
            };
            let Some(line) = next else { break };
            if line.expose_secret().is_empty() {
                continue;
            }
            if found.is_some() && !may_continue(line.expose_secret()) {
                self.back = Some(line);
                break;
            }
            // A wrapped line comes first; it may be followed by another try.
            let alone = awaited.find(line.expose_secret());
            lines.push(line);
            found = awaited
                .find(joined(&lines).expose_secret())
                .or(alone)
                .or(found);
        }
        Ok(match (found, lines.is_empty()) {
            (Some(address), _) => Paste::Callback(address),
            (None, false) => Paste::Other(joined(&lines)),
            (None, true) => Paste::End,
        })
    }

    async fn next(&mut self) -> Result<Option<SecretString>, Failed> {
        if let Some(line) = self.back.take() {
            return Ok(Some(line));
        }
        let line = self.lines.recv().await.transpose();
        line.map_err(|error| unread(&error))
    }
}

/// A paste, by its content.
enum Paste {
    Callback(SecretString),
    /// Another text.
    Other(SecretString),
    /// The end of stdin.
    End,
}

fn unread(error: &io::Error) -> Failed {
    let what = format!("cannot read the address of the callback from stdin: {error}");
    Failed::new(Kind::Failed, what)
}
