//! A mail server, and the channel to one recipient through it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Starttls};
use lettre::transport::smtp::extension::Extension;
use lettre::transport::smtp::response::{Response, Severity};
use relation_egress::Resolve;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;

use crate::{Attempt, Channel, DeliveryError, DeliveryErrorKind, Receipt};

use super::address::MailAddress;
use super::connect::{AddressCheck, ConnectError, connect};
use super::content::{Recipient, write_mail};
use super::failure::{Cause, Step, describe, tidy_reply};
use super::message::build_message;
use super::options::{CheckedOptions, MailOptions, MailOptionsError, Plaintext, TlsMode};
use super::session::{Session, Stream, expect, format_reply};
use super::tls;

/// The time for a farewell: its reply has no meaning.
const QUIT_LIMIT: Duration = Duration::from_secs(1);

type BoxStream = Box<dyn Stream>;

/// A mail server that takes messages for any recipient. Each attempt has a connection of its own.
pub struct MailServer {
    pub(super) options: CheckedOptions,
    resolver: Arc<dyn Resolve>,
    check: AddressCheck,
    tls: OnceCell<Arc<ClientConfig>>,
}

impl MailServer {
    /// Checks the settings.
    ///
    /// # Errors
    /// All settings that cannot be used.
    pub fn new(
        options: MailOptions,
        resolver: Arc<dyn Resolve>,
        check: AddressCheck,
    ) -> Result<Self, MailOptionsError> {
        Ok(Self {
            options: options.check()?,
            resolver,
            check,
            tls: OnceCell::new(),
        })
    }

    /// Returns host and port, for texts.
    fn name(&self) -> String {
        format!("{}:{}", self.options.host, self.options.port)
    }

    /// Connects to a permitted address of the server.
    async fn connect(&self) -> Result<TcpStream, ConnectError> {
        let options = &self.options;
        let check = |address: std::net::IpAddr| {
            let is_clear = options.tls == TlsMode::None && options.plaintext == Plaintext::Loopback;
            if is_clear && !address.is_loopback() {
                let reason =
                    "is not a loopback address, and `plaintext` permits no other without TLS";
                return Err(format!("{address} {reason}"));
            }
            (self.check)(address)
        };
        let (resolver, limit) = (self.resolver.as_ref(), options.connect_limit);
        connect(&options.host, options.port, resolver, &check, limit).await
    }

    /// Sends a message over a connection, in at most the time of an attempt.
    pub(super) async fn send<S: Stream + 'static>(
        &self,
        connection: impl Future<Output = Result<S, ConnectError>> + Send,
        to: &MailAddress,
        message: &[u8],
    ) -> Result<Receipt, DeliveryError> {
        let login = self.options.login.as_ref();
        let mut step = Step::default();
        let sent = self.send_at_step(connection, to, message, &mut step);
        let result = match timeout(self.options.attempt_limit, sent).await {
            Ok(result) => result,
            Err(_) => Err(Cause::Timeout),
        };
        match result {
            Ok((reply, mut session)) => {
                // After the attempt's time, which must not turn an accepted message into an unknown one.
                let _ = timeout(QUIT_LIMIT, session.send_command(Quit)).await;
                Ok(Receipt {
                    confirmed: true,
                    reply: tidy_reply(&format_reply(&reply), login),
                })
            }
            Err(cause) => {
                let error = describe(&self.name(), step, cause, login);
                tracing::debug!("mail was not sent: {error}");
                Err(error)
            }
        }
    }

    async fn send_at_step<S: Stream + 'static>(
        &self,
        connection: impl Future<Output = Result<S, ConnectError>> + Send,
        to: &MailAddress,
        message: &[u8],
        step: &mut Step,
    ) -> Result<(Response, Session<BoxStream>), Cause> {
        let options = &self.options;
        let stream = connection.await.map_err(|error| {
            *step = error.step;
            Cause::Setup(error.reason)
        })?;
        let mut session = match options.tls {
            TlsMode::Implicit => {
                *step = Step::Tls;
                let stream = self.encrypt(stream).await?;
                let mut session = Session::new(Box::new(stream) as BoxStream);
                *step = Step::Greeting;
                session.read_greeting().await?;
                session
            }
            TlsMode::StartTls => {
                let mut session = Session::new(stream);
                *step = Step::Greeting;
                session.read_greeting().await?;
                *step = Step::Hello;
                let server = session.hello(&options.ehlo).await?;
                *step = Step::StartTls;
                if !server.supports_feature(Extension::StartTls) {
                    let reason =
                        "the server does not offer STARTTLS, and no message is sent without TLS";
                    return Err(Cause::Setup(reason.to_owned()));
                }
                let reply = session.send_command(Starttls).await?;
                expect(&reply, Severity::PositiveCompletion)?;
                let stream = session.into_stream()?;
                *step = Step::Tls;
                let stream = self.encrypt(stream).await?;
                Session::new(Box::new(stream) as BoxStream)
            }
            TlsMode::None => {
                let mut session = Session::new(Box::new(stream) as BoxStream);
                *step = Step::Greeting;
                session.read_greeting().await?;
                session
            }
        };
        let reply = self.transfer(&mut session, to, message, step).await?;
        Ok((reply, session))
    }

    /// Performs the handshake, in which the server proves to have the configured name.
    async fn encrypt<S: Stream>(&self, stream: S) -> Result<TlsStream<S>, Cause> {
        let config = self.tls.get_or_try_init(|| async {
            let extra = self.options.extra_ca.clone();
            // Reads some hundred files on some systems.
            let built = tokio::task::spawn_blocking(move || tls::build(&extra)).await;
            built.map_err(|error| {
                format!("the certificate authorities could not be read: {error}")
            })?
        });
        let config = config.await.map_err(Cause::Setup)?;
        let name = tls::server_name(&self.options.host).ok_or_else(|| {
            let reason = "`host` is not a name that a certificate can be issued for";
            Cause::Setup(reason.to_owned())
        })?;
        let connected = TlsConnector::from(config.clone())
            .connect(name, stream)
            .await;
        connected.map_err(|error| Cause::Setup(tls::explain(&error)))
    }

    /// Transfers the message in a session after the greeting and TLS.
    async fn transfer(
        &self,
        session: &mut Session<BoxStream>,
        to: &MailAddress,
        message: &[u8],
        step: &mut Step,
    ) -> Result<Response, Cause> {
        let options = &self.options;
        *step = Step::Hello;
        let server = session.hello(&options.ehlo).await?;
        if let Some(login) = &options.login {
            *step = Step::LogIn;
            session.log_in(&server, login).await?;
        }
        *step = Step::Sender;
        let sender = Some(options.envelope_sender.address());
        let reply = session.send_command(Mail::new(sender, Vec::new())).await?;
        expect(&reply, Severity::PositiveCompletion)?;
        *step = Step::Recipient;
        let reply = session
            .send_command(Rcpt::new(to.address(), Vec::new()))
            .await?;
        expect(&reply, Severity::PositiveCompletion)?;
        *step = Step::Data;
        let reply = session.send_command(Data).await?;
        expect(&reply, Severity::PositiveIntermediate)?;
        *step = Step::Content;
        session.send_content(message).await?;
        *step = Step::Accept;
        Ok(session.finish_content().await?)
    }
}

/// Delivers messages to one recipient by e-mail.
#[derive(Clone)]
pub struct MailChannel {
    server: Arc<MailServer>,
    recipient: Recipient,
}

impl MailChannel {
    /// Creates the channel.
    #[must_use]
    pub fn new(server: Arc<MailServer>, recipient: Recipient) -> Self {
        Self { server, recipient }
    }
}

#[async_trait]
impl Channel for MailChannel {
    async fn deliver(&self, attempt: &Attempt<'_>) -> Result<Receipt, DeliveryError> {
        let text = write_mail(attempt.message, &self.recipient, attempt.now);
        let built = text.and_then(|text| {
            build_message(
                &self.server.options,
                &self.recipient.address,
                &text,
                attempt,
            )
        });
        let message = built.map_err(|reason| DeliveryError {
            kind: DeliveryErrorKind::Permanent,
            text: format!("the e-mail cannot be written: {reason}"),
        })?;
        let connection = self.server.connect();
        self.server
            .send(connection, &self.recipient.address, &message)
            .await
    }
}
