//! Proxies that reject requests, do not exist, or end the connection.

use relation_e2e::World;
use relation_e2e::faulty_proxy::ProxyFault;
use relation_e2e::network::Route;

use crate::row::{FaultClass, Group, Injection, Row};

/// Lists faults of tunnels for `https`.
pub fn tunnels() -> Group {
    let mut rows = rows();
    let ends = Injection::BeforeResponse(|world, _| {
        Box::pin(world.network.proxy().set(ProxyFault::Disconnects))
    });
    rows.push(Row::new("ends before the response", FaultClass::ResponseLost, ends).untracked());
    Group {
        title: "A proxy, `https`",
        about: "The customer's proxy opens a tunnel (`CONNECT`).",
        world: || World::builder().route(Route::TlsThroughProxy),
        rows,
    }
}

/// Lists faults of proxies for plain HTTP in absolute form.
pub fn plain() -> Group {
    let mut rows = rows();
    let ends = ProxyFault::EndsAfter(60);
    rows.push(
        Row::new(
            "ends in the middle of the response",
            FaultClass::ResponseLost,
            Injection::Proxy(ends),
        )
        .untracked(),
    );
    Group {
        title: "A proxy, `http`",
        about: "The customer's proxy forwards plain HTTP.",
        world: || World::builder().route(Route::Proxy),
        rows,
    }
}

fn rows() -> Vec<Row> {
    let row = |name, fault| Row::new(name, FaultClass::FAILED, Injection::Proxy(fault));
    vec![
        Row::new("none", FaultClass::Delivered, Injection::None),
        row("not listening", ProxyFault::Unreachable),
        row("closes the connection", ProxyFault::Disconnects),
        row("rejects the password", ProxyFault::OtherPassword),
        row("forbids the target", ProxyFault::Forbids),
        row("cannot reach the target", ProxyFault::BadGateway),
    ]
}
