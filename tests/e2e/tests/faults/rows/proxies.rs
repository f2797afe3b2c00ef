//! Proxies that refuse, that are not there, and that die.

use relation_e2e::World;
use relation_e2e::gateway::Manner;
use relation_e2e::network::Route;

use crate::row::{Class, Disturbance, Group, Row};

/// `https` through a tunnel.
pub fn tunnels() -> Group {
    let mut rows = rows();
    let dies =
        Disturbance::Meanwhile(|world, _| Box::pin(world.network.gateway().set(Manner::HangsUp)));
    rows.push(Row::new("dies before the answer", Class::Lost, dies).untracked());
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
    let dies = Manner::DiesAfter(60);
    rows.push(
        Row::new(
            "dies in the middle of the answer",
            Class::Lost,
            Disturbance::Proxy(dies),
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
    let row = |name, manner| Row::new(name, Class::FAILED, Disturbance::Proxy(manner));
    vec![
        Row::new("none", Class::Answered, Disturbance::Nothing),
        row("nobody listens at its address", Manner::Unreachable),
        row("hangs up", Manner::HangsUp),
        row("refuses the password", Manner::OtherPassword),
        row("forbids the target", Manner::Forbids),
        row("cannot reach the target", Manner::BadGateway),
    ]
}
