//! Proxies that reject requests, do not exist, or die.

use relation_e2e::World;
use relation_e2e::faulty_proxy::ProxyFault;
use relation_e2e::network::Route;

use crate::row::{FaultClass, Group, Injection, Row};

/// `https` through a tunnel.
pub fn tunnels() -> Group {
    let mut rows = rows();
    let dies = Injection::BeforeResponse(|world, _| {
        Box::pin(world.network.proxy().set(ProxyFault::HangsUp))
    });
    rows.push(Row::new("dies before the answer", FaultClass::ResponseLost, dies).untracked());
    Group {
        title: "A proxy, `https`",
        about: "The customer's proxy opens a tunnel (`CONNECT`).",
        world: || World::builder().route(Route::TlsThroughProxy),
        rows,
    }
}

/// Plain HTTP in absolute form.
pub fn plain() -> Group {
    let mut rows = rows();
    let dies = ProxyFault::DiesAfter(60);
    rows.push(
        Row::new(
            "dies in the middle of the answer",
            FaultClass::ResponseLost,
            Injection::Proxy(dies),
        )
        .untracked(),
    );
    Group {
        title: "A proxy, `http`",
        about: "The customer's proxy passes plain HTTP on and answers for the target.",
        world: || World::builder().route(Route::Proxy),
        rows,
    }
}

fn rows() -> Vec<Row> {
    let row = |name, fault| Row::new(name, FaultClass::FAILED, Injection::Proxy(fault));
    vec![
        Row::new("none", FaultClass::Delivered, Injection::None),
        row("nobody listens at its address", ProxyFault::Unreachable),
        row("hangs up", ProxyFault::HangsUp),
        row("refuses the password", ProxyFault::OtherPassword),
        row("forbids the target", ProxyFault::Forbids),
        row("cannot reach the target", ProxyFault::BadGateway),
    ]
}
