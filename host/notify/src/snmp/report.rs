//! Reports, with which a receiver refuses a message of SNMPv3.

use std::fmt;

use super::message::{REPORT, ReceivedPdu};
use super::oid::Oid;

/// `usmStats` (RFC 3414 section 5).
const USM_STATS: &[u32] = &[1, 3, 6, 1, 6, 3, 15, 1, 1];

/// The reason for a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    UnsupportedSecurityLevels,
    NotInTimeWindows,
    UnknownUserNames,
    UnknownEngineIds,
    WrongDigests,
    DecryptionErrors,
    /// Another counter.
    Other(Oid),
}

impl Report {
    /// Returns the reason, if the PDU is a report.
    pub fn read(pdu: &ReceivedPdu) -> Option<Self> {
        let name = pdu.first_name.as_ref().filter(|_| pdu.tag == REPORT)?;
        let stat = name.arcs().strip_prefix(USM_STATS);
        Some(match stat {
            Some([1, 0]) => Self::UnsupportedSecurityLevels,
            Some([2, 0]) => Self::NotInTimeWindows,
            Some([3, 0]) => Self::UnknownUserNames,
            Some([4, 0]) => Self::UnknownEngineIds,
            Some([5, 0]) => Self::WrongDigests,
            Some([6, 0]) => Self::DecryptionErrors,
            _ => Self::Other(name.clone()),
        })
    }

    /// Returns the cause and a remedy for an administrator.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::UnsupportedSecurityLevels => {
                "its user is not set up for this security level: use the receiver's level, or change the user there"
            }
            Self::NotInTimeWindows => {
                "it does not accept the time of the message: check the receiver's clock"
            }
            Self::UnknownUserNames => {
                "it does not know the user: create the user at the receiver without an engine id, or correct `user`"
            }
            Self::UnknownEngineIds => {
                "it does not accept its own engine id: check the receiver's engine id"
            }
            Self::WrongDigests => {
                "the authentication secret or protocol differs from the receiver's: set both to the same"
            }
            Self::DecryptionErrors => {
                "the privacy secret or protocol differs from the receiver's: set the secret to the same, and AES-128 \
                 there"
            }
            Self::Other(_) => "see the receiver's log",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedSecurityLevels => f.write_str("usmStatsUnsupportedSecLevels"),
            Self::NotInTimeWindows => f.write_str("usmStatsNotInTimeWindows"),
            Self::UnknownUserNames => f.write_str("usmStatsUnknownUserNames"),
            Self::UnknownEngineIds => f.write_str("usmStatsUnknownEngineIDs"),
            Self::WrongDigests => f.write_str("usmStatsWrongDigests"),
            Self::DecryptionErrors => f.write_str("usmStatsDecryptionErrors"),
            Self::Other(name) => write!(f, "the report {name}"),
        }
    }
}
