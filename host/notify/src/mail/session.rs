//! One SMTP session: commands, bounded replies, and the content.

use std::fmt::Display;
use std::io;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::{Auth, Ehlo};
use lettre::transport::smtp::extension::{ClientId, ServerInfo};
use lettre::transport::smtp::response::{Response, Severity};
use secrecy::ExposeSecret;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::options::Login;

/// A connection to a server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The reason why a command did not succeed.
#[derive(Debug)]
pub(super) enum SessionError {
    /// The server replied with 4xx or 5xx.
    Refused(Response),
    /// The connection failed.
    Io(io::Error),
    /// The server closed the connection instead of a reply.
    Closed,
    /// The reply is not one of SMTP, too long, or not one to this command.
    Protocol(String),
}

/// A session over a stream.
pub(super) struct Session<S> {
    stream: BufReader<S>,
}

impl<S: Stream> Session<S> {
    /// The maximum length of a line of a reply; RFC 5321 permits 512 bytes.
    const MAX_LINE: u64 = 4096;
    /// The maximum number of lines of a reply.
    const MAX_LINES: usize = 100;
    /// The maximum number of challenges in `AUTH`.
    const MAX_CHALLENGES: usize = 4;

    pub(super) fn new(stream: S) -> Self {
        let stream = BufReader::new(stream);
        Self { stream }
    }

    /// Returns the stream for TLS.
    ///
    /// # Errors
    /// The server has sent more than its reply. Such bytes would otherwise be read as replies of the encrypted session.
    pub(super) fn into_stream(self) -> Result<S, SessionError> {
        if self.stream.buffer().is_empty() {
            return Ok(self.stream.into_inner());
        }
        let reason = "the server sent data between its reply to STARTTLS and TLS";
        Err(SessionError::Protocol(reason.to_owned()))
    }

    /// Reads the server's greeting.
    pub(super) async fn read_greeting(&mut self) -> Result<(), SessionError> {
        let reply = self.read_reply().await?;
        expect(&reply, Severity::PositiveCompletion)
    }

    /// Sends `EHLO` and returns the server's extensions.
    pub(super) async fn hello(&mut self, name: &ClientId) -> Result<ServerInfo, SessionError> {
        let reply = self.send_command(Ehlo::new(name.clone())).await?;
        expect(&reply, Severity::PositiveCompletion)?;
        // Keywords have no case. lettre's parser has no line of white space in mind, and panics at it.
        let lines = reply.message().map(|line| line.trim().to_ascii_uppercase());
        let reply = Response::new(reply.code(), lines.collect());
        let info = ServerInfo::from_response(&reply);
        info.map_err(|error| SessionError::Protocol(error.to_string()))
    }

    /// Logs in with the first mechanism that the server has.
    pub(super) async fn log_in(
        &mut self,
        server: &ServerInfo,
        login: &Login,
    ) -> Result<(), SessionError> {
        let mechanism = server.get_auth_mechanism(&[Mechanism::Plain, Mechanism::Login]);
        let mechanism = mechanism.ok_or_else(|| {
            let reason =
                "the server offers neither AUTH PLAIN nor AUTH LOGIN, but a user is configured";
            SessionError::Protocol(reason.to_owned())
        })?;
        let secret = login.secret.expose_secret().to_owned();
        let credentials = Credentials::new(login.user.clone(), secret);
        // Errors of lettre could contain a challenge, but not more.
        let wrong =
            |_| SessionError::Protocol("the server's challenge is not one of AUTH".to_owned());
        let first = Auth::new(mechanism, credentials.clone(), None).map_err(wrong)?;
        let mut reply = self.send_command(first).await?;
        for _ in 0..Self::MAX_CHALLENGES {
            if !reply.has_code(334) {
                break;
            }
            let next = Auth::new_from_response(mechanism, credentials.clone(), &reply);
            reply = self.send_command(next.map_err(wrong)?).await?;
        }
        expect(&reply, Severity::PositiveCompletion)
    }

    /// Sends a command and returns a reply that is not a refusal.
    pub(super) async fn send_command(
        &mut self,
        command: impl Display,
    ) -> Result<Response, SessionError> {
        self.write(command.to_string().as_bytes()).await?;
        self.read_reply().await
    }

    /// Sends the content without its end.
    pub(super) async fn send_content(&mut self, content: &[u8]) -> Result<(), SessionError> {
        self.write(&stuff_dots(content)).await
    }

    /// Sends the end of the content; from here on, the server may have accepted it.
    pub(super) async fn finish_content(&mut self) -> Result<Response, SessionError> {
        let reply = self.send_command(".\r\n").await?;
        expect(&reply, Severity::PositiveCompletion)?;
        Ok(reply)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).await.map_err(SessionError::Io)?;
        stream.flush().await.map_err(SessionError::Io)
    }

    async fn read_reply(&mut self) -> Result<Response, SessionError> {
        let mut text = String::new();
        for _ in 0..Self::MAX_LINES {
            let mut line = self.read_line().await?;
            if line.len() == 3 {
                // RFC 5321, 4.2: the space before no text may be left out.
                line.push(' ');
            }
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            text.push_str(&line);
            text.push_str("\r\n");
            if is_last {
                return match text.parse::<Response>() {
                    Ok(reply) if reply.is_positive() => Ok(reply),
                    Ok(reply) => Err(SessionError::Refused(reply)),
                    Err(_) => Err(SessionError::Protocol(format!(
                        "its reply is not one of SMTP: {line}"
                    ))),
                };
            }
        }
        let reason = format!("its reply has more than {} lines", Self::MAX_LINES);
        Err(SessionError::Protocol(reason))
    }

    async fn read_line(&mut self) -> Result<String, SessionError> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(Self::MAX_LINE);
        let read = limited.read_until(b'\n', &mut line).await;
        read.map_err(SessionError::Io)?;
        match line.strip_suffix(b"\n") {
            Some(line) => {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                Ok(String::from_utf8_lossy(line).into_owned())
            }
            None if line.len() as u64 == Self::MAX_LINE => {
                let reason = format!(
                    "a line of its reply is longer than {} bytes",
                    Self::MAX_LINE
                );
                Err(SessionError::Protocol(reason))
            }
            None => Err(SessionError::Closed),
        }
    }
}

/// Fails for a reply of another severity, such as 250 to `DATA`.
pub(super) fn expect(reply: &Response, severity: Severity) -> Result<(), SessionError> {
    if reply.code().severity == severity {
        return Ok(());
    }
    let reason = format!(
        "its reply is not one to this command: {}",
        format_reply(reply)
    );
    Err(SessionError::Protocol(reason))
}

/// Formats a reply in one line.
pub(super) fn format_reply(reply: &Response) -> String {
    let lines: Vec<&str> = reply.message().collect();
    format!("{} {}", reply.code(), lines.join(" "))
}

/// Doubles a dot at the beginning of a line (RFC 5321, 4.5.2) and ends the last line.
fn stuff_dots(content: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(content.len() + 64);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed
}
