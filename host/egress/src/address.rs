//! Classifies IP addresses: globally reachable or reserved for some purpose.
//!
//! Sources: the IANA registries of special-purpose IPv4 and IPv6 addresses (RFC 6890 and its updates) and of IPv6
//! unicast space. Only 2000::/3 of it is assigned. Addresses that the registry lists as "globally reachable: N/A", and
//! relics of transition mechanisms, count as not reachable.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use self::AddressClass::{
    Benchmarking, Broadcast, Documentation, Global, LinkLocal, Loopback, Metadata, Multicast,
    Private, Reserved, SharedNat, Transition, UniqueLocal, Unspecified,
};

/// The purpose of an address. Only [`Global`](AddressClass::Global) may be reached without being
/// listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressClass {
    /// Globally reachable unicast.
    Global,
    /// `0.0.0.0/8` or `::`: this host.
    Unspecified,
    /// `127.0.0.0/8` or `::1`.
    Loopback,
    /// A private network (RFC 1918, and the former site-local IPv6 range).
    Private,
    /// Carrier-grade NAT (RFC 6598).
    SharedNat,
    /// Link-local.
    LinkLocal,
    /// A cloud provider's metadata service, which hands out credentials.
    Metadata,
    /// Unique local IPv6 (RFC 4193).
    UniqueLocal,
    /// Multicast.
    Multicast,
    /// Limited broadcast.
    Broadcast,
    /// Set aside for documentation.
    Documentation,
    /// Set aside for benchmarks.
    Benchmarking,
    /// A transition mechanism that contains an IPv4 address (6to4, Teredo, IPv4-compatible, local NAT64).
    Transition,
    /// Anything else that is reserved or not assigned.
    Reserved,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "global",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::SharedNat => "carrier-grade NAT",
            Self::LinkLocal => "link-local",
            Self::Metadata => "cloud metadata",
            Self::UniqueLocal => "unique local",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Transition => "IPv4 transition",
            Self::Reserved => "reserved",
        })
    }
}

const V4: &[([u8; 4], u32, AddressClass)] = &[
    ([169, 254, 169, 254], 32, Metadata),
    ([169, 254, 170, 2], 32, Metadata),
    ([100, 100, 100, 200], 32, Metadata),
    ([192, 0, 0, 192], 32, Metadata),
    // Formally a public address, but one provider's hosts reach their own control plane there.
    ([168, 63, 129, 16], 32, Metadata),
    ([255, 255, 255, 255], 32, Broadcast),
    ([192, 0, 0, 0], 24, Reserved),
    ([192, 0, 2, 0], 24, Documentation),
    ([198, 51, 100, 0], 24, Documentation),
    ([203, 0, 113, 0], 24, Documentation),
    ([192, 88, 99, 0], 24, Transition),
    ([169, 254, 0, 0], 16, LinkLocal),
    ([192, 168, 0, 0], 16, Private),
    ([198, 18, 0, 0], 15, Benchmarking),
    ([172, 16, 0, 0], 12, Private),
    ([100, 64, 0, 0], 10, SharedNat),
    ([0, 0, 0, 0], 8, Unspecified),
    ([10, 0, 0, 0], 8, Private),
    ([127, 0, 0, 0], 8, Loopback),
    ([224, 0, 0, 0], 4, Multicast),
    ([240, 0, 0, 0], 4, Reserved),
];

const V6: &[([u16; 8], u32, AddressClass)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, Unspecified),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Loopback),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, Metadata),
    ([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, Metadata),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, Transition),
    ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, Transition),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Transition),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, Benchmarking),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Transition),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Documentation),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Reserved),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Documentation),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Transition),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, LinkLocal),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Private),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Multicast),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, UniqueLocal),
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Global),
];

/// The well-known NAT64 prefix (RFC 6052): the last 32 bits are the IPv4 address of the
/// destination.
const NAT64: [u16; 8] = [0x64, 0xff9b, 0, 0, 0, 0, 0, 0];

/// Classifies an address. An address that embeds an IPv4 address (mapped, NAT64) has the class of
/// that address.
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(inner) => classify_v4(inner),
            None => classify_v6(address),
        },
    }
}

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    let bits = address.to_bits();
    V4.iter()
        .find(|(network, length, _)| {
            (bits ^ Ipv4Addr::from(*network).to_bits()) >> (32 - length) == 0
        })
        .map_or(AddressClass::Global, |(_, _, class)| *class)
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    let bits = address.to_bits();
    let within = |network: &[u16; 8], length: u32| {
        (bits ^ Ipv6Addr::from(*network).to_bits()) >> (128 - length) == 0
    };
    if within(&NAT64, 96) {
        let [.., a, b, c, d] = address.octets();
        return classify_v4(Ipv4Addr::new(a, b, c, d));
    }
    V6.iter()
        .find(|(network, length, _)| within(network, *length))
        .map_or(AddressClass::Reserved, |(_, _, class)| *class)
}
