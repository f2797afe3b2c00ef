//! Names that are not found and certificates that are not believed.

use relation_e2e::World;
use relation_e2e::front::Weather;
use relation_e2e::network::Route;

use crate::row::{Class, Disturbance, Group, Row};

pub fn group() -> Group {
    let row = |name, weather| Row::new(name, Class::FAILED, Disturbance::Front(weather));
    Group {
        title: "Names and certificates",
        about: "Nothing is sent before the name and the certificate are right.",
        world: || World::builder().route(Route::Tls),
        rows: vec![
            Row::new("none", Class::Answered, Disturbance::Nothing),
            row("the name is not found", Weather::NoAddress),
            row(
                "the name leads into a private network",
                Weather::PrivateAddress,
            ),
            row(
                "a certificate of an unknown authority",
                Weather::UnknownAuthority,
            ),
            row("a certificate for another name", Weather::OtherName),
            row("an expired certificate", Weather::Expired),
            row("no TLS on that port", Weather::NoTls),
        ],
    }
}
