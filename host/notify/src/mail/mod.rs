//! Delivery by e-mail over SMTP.
//!
//! A [`MailServer`] is the operator's relay; a [`MailChannel`] delivers to one [`Recipient`] through it. The messages
//! and the protocol's commands and replies are those of lettre. The connection is opened here, because:
//! - it must lead to an address that the caller's [`AddressCheck`] permits, while TLS verifies the host's name;
//! - a time-out, a lost reply and a refusal are told apart by the step that was reached;
//! - replies are bounded, and bytes that a server sends before TLS are not taken for replies after it.
//!
//! # Results of an attempt
//! | event | result |
//! |---|---|
//! | 2xx after the content | a receipt with the server's reply |
//! | 4xx at any step | temporary |
//! | 5xx to the recipient, to `DATA` or to the content | permanent |
//! | 5xx before (greeting, `EHLO`, `STARTTLS`, `AUTH`, `MAIL FROM`), 530 at any step | temporary: the relay or its settings are at fault, so no notice is lost |
//! | name, address, connection, TLS | temporary |
//! | time-out or lost connection before the end of the content was sent | temporary |
//! | time-out or lost connection after that | unknown: repeat once, with the same `Message-ID` |

mod address;
mod channel;
mod connect;
mod content;
mod failure;
mod message;
mod options;
mod session;
#[cfg(test)]
mod tests;
mod texts;
mod tls;

pub use address::{MailAddress, MailAddressError};
pub use channel::{MailChannel, MailServer};
pub use connect::{AddressCheck, permit_global_and};
pub use content::{MailText, Recipient, Zone, write_mail};
pub use options::{MailOptionError, MailOptions, MailOptionsError, Plaintext, TlsMode};
pub use texts::Language;
