//! Names that do not resolve and certificates that are not trusted.

use relation_e2e::World;
use relation_e2e::network::Route;
use relation_e2e::tls_front::TlsFault;

use crate::row::{FaultClass, Group, Injection, Row};

pub fn group() -> Group {
    let row = |name, fault| Row::new(name, FaultClass::FAILED, Injection::Tls(fault));
    Group {
        title: "Names and certificates",
        about: "No request is sent before the name and the certificate are verified.",
        world: || World::builder().route(Route::Tls),
        rows: vec![
            Row::new("none", FaultClass::Delivered, Injection::None),
            row("the name is not found", TlsFault::NoAddress),
            row(
                "the name resolves to a private address",
                TlsFault::PrivateAddress,
            ),
            row(
                "a certificate of an unknown authority",
                TlsFault::UnknownAuthority,
            ),
            row("a certificate for another name", TlsFault::OtherName),
            row("an expired certificate", TlsFault::Expired),
            row("no TLS on that port", TlsFault::NoTls),
        ],
    }
}
