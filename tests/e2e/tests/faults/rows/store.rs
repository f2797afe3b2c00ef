//! A store that fails or is slow between Webex's response and its commit, and a lease that is lost.

use relation_e2e::World;
use relation_e2e::faulty_store::{Operation, StoreFault};

use crate::row::{FaultClass, Group, Injection, Row};

pub fn stores() -> Group {
    let during_response =
        |name, class, action| Row::new(name, class, Injection::BeforeResponse(action)).untracked();
    Group {
        title: "A store that fails before the commit",
        about: "Webex has responded. The host retries the commit of the response while the lease \
                holds, then stashes it, and applies it before any other call on the record.",
        world: World::builder,
        rows: vec![
            during_response("five commits fail", FaultClass::Delivered, |world, _| {
                inject(world, StoreFault::failing(Operation::Commit).times(5))
            }),
            during_response(
                "the commit succeeds and its reply is lost",
                FaultClass::Delivered,
                |world, _| inject(world, StoreFault::losing_result(Operation::Commit)),
            ),
            during_response("three reads fail", FaultClass::Delivered, |world, _| {
                inject(world, StoreFault::failing(Operation::Read).times(3))
            }),
            during_response(
                "the commit takes twice as long as the lease, and no other host claims the record",
                FaultClass::Delivered,
                |world, _| {
                    let lease = world.host().plugin().limits().lease();
                    inject(world, StoreFault::slow(Operation::Commit, lease * 2))
                },
            ),
            during_response(
                "nothing can be written, not even the stash",
                FaultClass::Dropped,
                |world, _| {
                    // A file in the place of the directory.
                    std::fs::write(world.stash(), "").expect("the directory can be written");
                    inject(world, StoreFault::failing_to_write())
                },
            ),
            during_response("nothing can be written", FaultClass::Stashed, |world, _| {
                inject(world, StoreFault::failing_to_write())
            }),
            during_response(
                "nothing can be read or written",
                FaultClass::Stashed,
                |world, _| inject(world, StoreFault::down()),
            ),
        ],
    }
}

pub fn leases() -> Group {
    Group {
        title: "A lease that is lost before the commit",
        about: "The host was stopped for longer than its lease while Webex responded.",
        world: World::builder,
        rows: vec![
            Row::new(
                "no other host claims the record",
                FaultClass::Delivered,
                Injection::BeforeResponse(|world, _| {
                    let lease = world.host().plugin().limits().lease();
                    world.clock.advance(lease * 2);
                    Box::pin(std::future::ready(()))
                }),
            ),
            Row::new(
                "another host checked the expiry",
                FaultClass::Stashed,
                Injection::BeforeResponse(|world, customer| {
                    let lease = world.host().plugin().limits().lease();
                    world.clock.advance(lease * 2);
                    Box::pin(async {
                        let other = world.new_host().await;
                        let looked = other.check_expiry(&customer.pkid).await;
                        let _ = looked.expect("the other host has the lease");
                    })
                }),
            )
            .untracked(),
        ],
    }
}

fn inject(
    world: &World,
    fault: StoreFault,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
    world.store_faults.inject(fault);
    Box::pin(std::future::ready(()))
}
