//! Engines of SNMPv3: this host's own, and those of receivers.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// The greatest number of boots and of seconds (RFC 3414 section 2.2.2); a clock at it is stuck.
pub const MAX_COUNTER: u32 = 0x7fff_ffff;
/// The greatest difference of times, in seconds (RFC 3414 section 2.2.3).
const TIME_WINDOW: u32 = 150;
/// The maximum number of receivers that are remembered; another one only costs the discovery of one of them again.
const MAX_RECEIVERS: usize = 1024;

/// An engine id: 5 to 32 octets (RFC 3411 section 5, `SnmpEngineID`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EngineId(Vec<u8>);

impl EngineId {
    /// Derives the id of one host of an installation. It stays the same as long as its arguments do.
    ///
    /// The result has the enterprise number, the format 5 (octets) and 16 octets from a hash of both ids, which are
    /// not visible in it.
    #[must_use]
    pub fn derive(enterprise: u32, installation: &str, host: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(b"relation SNMP engine\0")
            .chain_update(
                u64::try_from(installation.len())
                    .unwrap_or(u64::MAX)
                    .to_be_bytes(),
            )
            .chain_update(installation)
            .chain_update(host)
            .finalize();
        let enterprise = (0x8000_0000 | enterprise).to_be_bytes();
        let octets = enterprise.into_iter().chain([5]);
        Self(octets.chain(digest.into_iter().take(16)).collect())
    }

    /// Accepts the id of a receiver, which need not follow a format.
    #[must_use]
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        (5..=32)
            .contains(&octets.len())
            .then(|| Self(octets.to_vec()))
    }

    /// Returns the octets.
    #[must_use]
    pub fn as_octets(&self) -> &[u8] {
        &self.0
    }
}

/// Writes it as `createUser -e` of snmptrapd expects it: `0x80007ed905…`.
impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

impl fmt::Debug for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EngineId({self})")
    }
}

/// A clock that never goes back: the time since the host started with its current number of boots.
pub type MonotonicClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// This host as an engine, which is authoritative for traps.
#[derive(Clone)]
pub struct LocalEngine {
    id: EngineId,
    boots: u32,
    clock: MonotonicClock,
}

/// The number of boots is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the number of starts for SNMP is {0}, but must be from 1 to 2147483646: give the host another installation id, \
     and tell receivers its new engine id"
)]
pub struct BootsError(u32);

impl LocalEngine {
    /// Creates it. `boots` counts the starts with this engine id: the caller raises and stores it before each start.
    /// Receivers reject traps from an engine whose boots and time went back.
    ///
    /// # Errors
    /// `boots` is zero, or it has reached the end of its range.
    pub fn new(id: EngineId, boots: u32, clock: MonotonicClock) -> Result<Self, BootsError> {
        if (1..MAX_COUNTER).contains(&boots) {
            Ok(Self { id, boots, clock })
        } else {
            Err(BootsError(boots))
        }
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &EngineId {
        &self.id
    }

    /// Returns boots and time as of now.
    pub(super) fn boots_and_time(&self) -> EngineTime {
        EngineTime {
            boots: self.boots,
            seconds: whole_seconds(self.elapsed()),
        }
    }

    /// Returns the time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        (self.clock)()
    }

    /// Returns `sysUpTime`: hundredths of a second, which start again at zero after 497 days.
    pub(super) fn up_time(&self) -> u32 {
        let hundredths = self.elapsed().as_millis() / 10;
        u32::try_from(hundredths % (1 << 32)).unwrap_or(u32::MAX)
    }
}

impl fmt::Debug for LocalEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEngine")
            .field("id", &self.id)
            .field("boots", &self.boots)
            .finish_non_exhaustive()
    }
}

/// `snmpEngineBoots` and `snmpEngineTime` of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EngineTime {
    pub boots: u32,
    pub seconds: u32,
}

/// A receiver's engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteEngine {
    pub id: EngineId,
    /// Its latest authenticated time, and this host's time then. Without one, zero asks for a report with it.
    latest: Option<(EngineTime, Duration)>,
}

impl RemoteEngine {
    /// Creates it without a known time.
    pub fn new(id: EngineId) -> Self {
        Self { id, latest: None }
    }

    /// Returns the estimated time at `elapsed`.
    pub fn time_at(&self, elapsed: Duration) -> EngineTime {
        self.latest
            .map(|(time, seen)| EngineTime {
                boots: time.boots,
                seconds: time
                    .seconds
                    .saturating_add(whole_seconds(elapsed.saturating_sub(seen)))
                    .min(MAX_COUNTER),
            })
            .unwrap_or_default()
    }

    /// Takes the time of an authenticated message, unless the message is outside of the time window (RFC 3414
    /// section 3.2, step 7b). Returns whether it is inside.
    pub fn update(&mut self, told: EngineTime, elapsed: Duration) -> bool {
        let estimated = self.time_at(elapsed);
        let inside = told.boots != MAX_COUNTER
            && (told.boots > estimated.boots
                || (told.boots == estimated.boots
                    && told.seconds.saturating_add(TIME_WINDOW) >= estimated.seconds));
        if inside && self.latest.is_none_or(|(latest, _)| told >= latest) {
            self.latest = Some((told, elapsed));
        }
        inside
    }
}

/// The engines of receivers that have authenticated themselves, by address.
#[derive(Debug, Default)]
pub struct RemoteEngines {
    known: Mutex<HashMap<SocketAddr, RemoteEngine>>,
}

impl RemoteEngines {
    pub fn get(&self, address: SocketAddr) -> Option<RemoteEngine> {
        self.known.lock().get(&address).cloned()
    }

    pub fn put(&self, address: SocketAddr, engine: RemoteEngine) {
        let mut known = self.known.lock();
        if known.len() >= MAX_RECEIVERS && !known.contains_key(&address) {
            let any = known.keys().next().copied();
            any.and_then(|any| known.remove(&any));
        }
        known.insert(address, engine);
    }

    pub fn remove(&self, address: SocketAddr) {
        self.known.lock().remove(&address);
    }
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).map_or(MAX_COUNTER, |seconds| seconds.min(MAX_COUNTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(boots: u32, elapsed: Duration) -> Result<LocalEngine, BootsError> {
        let id = EngineId::derive(32473, "installation", "host");
        LocalEngine::new(id, boots, Arc::new(move || elapsed))
    }

    #[test]
    fn engine_id_has_the_format_of_rfc_3411_and_is_stable() {
        let id = EngineId::derive(32473, "installation", "host");
        // A change of this value makes receivers drop traps until their users are created again.
        assert_eq!(
            id.to_string(),
            "0x80007ed9056cf08bc16c1c0a3d06917c1bfee0adc0"
        );
        assert_eq!(id.as_octets().len(), 21);
        for other in [
            EngineId::derive(32473, "installation", "host2"),
            EngineId::derive(32473, "installationh", "ost"),
            EngineId::derive(9999, "installation", "host"),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn engine_id_of_a_receiver_has_5_to_32_octets() {
        for (length, accepted) in [(0, false), (4, false), (5, true), (32, true), (33, false)] {
            let octets = vec![1; length];
            assert_eq!(EngineId::from_octets(&octets).is_some(), accepted);
        }
    }

    #[test]
    fn boots_begin_at_1_and_end_before_they_are_stuck() {
        for (boots, accepted) in [
            (0, false),
            (1, true),
            (MAX_COUNTER - 1, true),
            (MAX_COUNTER, false),
        ] {
            assert_eq!(local(boots, Duration::ZERO).is_ok(), accepted, "{boots}");
        }
    }

    #[test]
    fn times_follow_the_clock_and_wrap() {
        let engine = local(4, Duration::from_millis(61_239)).unwrap();
        assert_eq!(
            engine.boots_and_time(),
            EngineTime {
                boots: 4,
                seconds: 61
            }
        );
        assert_eq!(engine.up_time(), 6123);
        let wrapped = local(4, Duration::from_millis((1 << 32) * 10 + 50)).unwrap();
        assert_eq!(wrapped.up_time(), 5);
        let endless = local(4, Duration::MAX).unwrap();
        assert_eq!(endless.boots_and_time().seconds, MAX_COUNTER);
    }

    #[test]
    fn time_of_a_receiver_has_a_window() {
        let at = Duration::from_secs;
        let time = |boots, seconds| EngineTime { boots, seconds };
        let mut engine = RemoteEngine::new(EngineId::derive(1, "receiver", ""));
        assert_eq!(engine.time_at(at(5)), time(0, 0));
        assert!(engine.update(time(3, 1000), at(10)));
        assert_eq!(engine.time_at(at(70)), time(3, 1060));
        // Up to 150 seconds in the past are accepted, but do not turn the time back.
        assert!(engine.update(time(3, 910), at(70)));
        assert_eq!(engine.time_at(at(70)), time(3, 1060));
        assert!(!engine.update(time(3, 909), at(70)));
        assert!(!engine.update(time(2, 5000), at(70)));
        assert!(!engine.update(time(MAX_COUNTER, 5000), at(70)));
        assert!(engine.update(time(3, 2000), at(70)));
        assert!(engine.update(time(4, 0), at(70)));
        assert_eq!(engine.time_at(at(71)), time(4, 1));
    }

    #[test]
    fn number_of_known_receivers_is_bounded() {
        let engines = RemoteEngines::default();
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        for port in 1..=u16::try_from(MAX_RECEIVERS).unwrap() + 5 {
            engines.put(
                address(port),
                RemoteEngine::new(EngineId::derive(1, "", "")),
            );
            assert!(engines.get(address(port)).is_some());
        }
        assert_eq!(engines.known.lock().len(), MAX_RECEIVERS);
    }
}
