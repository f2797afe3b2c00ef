//! Reads pasted callbacks from stdin. A separate thread reads, so that the program can exit while a read
//! blocks.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;

use super::callback_text::{ExpectedCallback, join_lines, may_continue};
use crate::streams::stderr;

/// The maximum length of a line, in bytes. A callback has about 1 KiB.
const MAX_LINE_BYTES: u64 = 16 * 1024;
/// The maximum time between two lines of one paste.
const PASTE_GAP: Duration = Duration::from_millis(200);
/// The maximum number of pastes for one consent.
const MAX_PASTES: u32 = 5;
/// The maximum number of lines in one paste.
const MAX_PASTE_LINES: usize = 32;

/// The lines of stdin.
pub struct StdinLines {
    lines: mpsc::Receiver<io::Result<SecretString>>,
    /// A line that was read and belongs to the next paste.
    pushed_back: Option<SecretString>,
    prompts: bool,
}

impl StdinLines {
    /// Starts the reading thread. `prompts` says whether the terminal shows a prompt for each paste.
    pub fn start(prompts: bool) -> Result<Self, AppError> {
        let (sender, lines) = mpsc::channel(1);
        let reader = std::thread::Builder::new().name("stdin".to_owned());
        reader
            .spawn(move || {
                loop {
                    let mut line = zeroize::Zeroizing::new(Vec::new());
                    let read = io::stdin()
                        .lock()
                        .take(MAX_LINE_BYTES)
                        .read_until(b'\n', &mut line);
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
            .map_err(|error| read_error(&error))?;
        Ok(Self {
            lines,
            pushed_back: None,
            prompts,
        })
    }

    /// Waits for the callback of this consent. Calls `on_rejected` with the reason for each paste that is not
    /// the callback; another paste may follow.
    pub async fn callback(
        &mut self,
        expected: ExpectedCallback<'_>,
        mut on_rejected: impl FnMut(&str) -> Result<(), AppError>,
    ) -> Result<SecretString, AppError> {
        let mut last_mismatch = None;
        for left in (0..MAX_PASTES).rev() {
            if self.prompts {
                stderr::prompt("address: ");
            }
            let paste = match self.paste(expected).await? {
                Paste::Callback(address) => return Ok(address),
                Paste::Other(text) => text,
                Paste::End => break,
            };
            let reason = expected.describe_mismatch(paste.expose_secret());
            last_mismatch = Some(reason);
            if left > 0 && !self.lines.is_closed() {
                on_rejected(reason)?;
            }
        }
        Err(match last_mismatch {
            Some(reason) => AppError::usage(format!(
                "this is not the redirect URL of this consent: {reason}"
            )),
            None => AppError::usage(
                "stdin held no address: give the one to which Webex sent the browser",
            ),
        })
    }

    async fn paste(&mut self, expected: ExpectedCallback<'_>) -> Result<Paste, AppError> {
        let mut lines = Vec::new();
        let mut found = None;
        while lines.len() < MAX_PASTE_LINES {
            let next = match lines.is_empty() {
                true => self.next().await?,
                false => match tokio::time::timeout(PASTE_GAP, self.next()).await {
                    Ok(next) => next?,
                    Err(_) => break,
                },
            };
            let Some(line) = next else { break };
            if line.expose_secret().is_empty() {
                continue;
            }
            if found.is_some() && !may_continue(line.expose_secret()) {
                self.pushed_back = Some(line);
                break;
            }
            // The wrapped lines of one URL take precedence over a line that is a URL by itself.
            let alone = expected.find(line.expose_secret());
            lines.push(line);
            found = expected
                .find(join_lines(&lines).expose_secret())
                .or(alone)
                .or(found);
        }
        Ok(match (found, lines.is_empty()) {
            (Some(address), _) => Paste::Callback(address),
            (None, false) => Paste::Other(join_lines(&lines)),
            (None, true) => Paste::End,
        })
    }

    async fn next(&mut self) -> Result<Option<SecretString>, AppError> {
        if let Some(line) = self.pushed_back.take() {
            return Ok(Some(line));
        }
        let line = self.lines.recv().await.transpose();
        line.map_err(|error| read_error(&error))
    }
}

/// A paste, by its content.
enum Paste {
    Callback(SecretString),
    /// A text that is not the callback.
    Other(SecretString),
    /// The end of stdin.
    End,
}

fn read_error(error: &io::Error) -> AppError {
    let what = format!("cannot read the address of the callback from stdin: {error}");
    AppError::new(ErrorKind::Failed, what)
}
