//! Delivery by SNMP traps and informs: v2c, and v3 with the User-based Security Model.
//!
//! - [`SnmpTarget`]: the settings of one receiver.
//! - [`SnmpSender`]: this host as an engine of SNMP, shared by the channels of all receivers.
//! - [`SnmpChannel`]: sends a trap, which is not confirmed, or an inform, which is.
//!
//! The notifications and their objects are those of `mibs/RELATION-MIB.txt`. A repetition of a delivery has the same
//! request id and the same `relationNoticeId`, by which receivers can drop it.
//!
//! # Engines
//! A trap is authenticated with the **sender's** engine id, boots and time. Receivers reject a trap whose boots and time
//! went back, so the caller stores the number of starts and raises it before each one.
//!
//! An inform is authenticated with the **receiver's**. Its engine id is discovered by a report (RFC 3414 section 4).
//! Its boots and time are only taken from an authenticated message: the first inform with time zero causes such a report.
//! Both are cached, and discovered again after a failure.
//!
//! # Security
//! MD5 and DES are not available, SHA-1 only with [`SnmpTarget::allow_sha1`]. Keys are zeroized when dropped. The
//! community of v2c is sent in clear, so v3 should be preferred.

/// The MIB file, with the enterprise number for documentation.
pub const RELATION_MIB: &str = include_str!("../../mibs/RELATION-MIB.txt");

mod ber;
mod channel;
mod engine;
mod exchange;
mod message;
mod numbers;
mod objects;
mod oid;
mod reader;
mod report;
mod target;
#[cfg(test)]
mod tests;
mod usm;

pub use channel::{ResolveError, ResolveTarget, SnmpChannel, SnmpLimits, SnmpSender};
pub use engine::{BootsError, EngineId, LocalEngine, MonotonicClock};
pub use objects::MibRoot;
pub use oid::{Oid, OidError};
pub use target::{
    DEFAULT_PORT, InvalidTarget, SecurityLevel, SnmpAuth, SnmpKind, SnmpPrivacy, SnmpTarget,
    SnmpVersion, TargetAddress, TargetError,
};
pub use usm::AuthProtocol;
