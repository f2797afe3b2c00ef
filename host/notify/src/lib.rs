//! Notices about alerts: who is told, by which channel, and the delivery.
//!
//! An alert becomes a [`Notice`]. The settings of the record's node and of the nodes above it say who is told, when and
//! by which channel. A [`Channel`] delivers a [`Message`] to one recipient.

mod channel;
pub mod health;
pub mod mail;
mod notice;
pub mod retry;
pub mod routing;
pub mod runner;
pub mod settings;
pub mod snmp;
pub mod webhook;

pub use channel::{Attempt, Channel, DeliveryError, DeliveryErrorKind, Receipt};
pub use notice::{Digest, Message, Notice, NoticeKind, Severity};
