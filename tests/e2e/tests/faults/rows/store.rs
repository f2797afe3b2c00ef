//! A store that fails or is slow between Webex's answer and its commit, and a lease that is lost.

use relation_e2e::World;
use relation_e2e::faulty_store::{Operation, StoreFault};

use crate::row::{Class, Disturbance, Group, Row};

pub fn stores() -> Group {
    let while_answered =
        |name, class, happens| Row::new(name, class, Disturbance::Meanwhile(happens)).untracked();
    Group {
        title: "A store that fails before the commit",
        about: "Webex has answered. What was answered is tried to be stored as long as the lease \
                holds, then kept in the stash, and applied before anything else happens to the \
                record.",
        world: World::builder,
        rows: vec![
            while_answered("five commits fail", Class::Answered, |world, _| {
                inject(world, StoreFault::failing(Operation::Commit).times(5))
            }),
            while_answered(
                "the commit is made and word of it is lost",
                Class::Answered,
                |world, _| inject(world, StoreFault::losing_the_answer(Operation::Commit)),
            ),
            while_answered("three reads fail", Class::Answered, |world, _| {
                inject(world, StoreFault::failing(Operation::Read).times(3))
            }),
            while_answered(
                "the commit takes twice as long as the lease, and nobody else came",
                Class::Answered,
                |world, _| {
                    let lease = world.host().plugin().limits().lease();
                    inject(world, StoreFault::slow(Operation::Commit, lease * 2))
                },
            ),
            while_answered(
                "nothing can be written, not even the stash",
                Class::Dropped,
                |world, _| {
                    // Where the directory would be there is a file.
                    std::fs::write(world.stash(), "").expect("the directory can be written");
                    inject(world, StoreFault::failing_to_write())
                },
            ),
            while_answered("nothing can be written", Class::Stashed, |world, _| {
                inject(world, StoreFault::failing_to_write())
            }),
            while_answered(
                "nothing can be read or written",
                Class::Stashed,
                |world, _| inject(world, StoreFault::down()),
            ),
        ],
    }
}

pub fn leases() -> Group {
    Group {
        title: "A lease that is lost before the commit",
        about: "The host was stopped for longer than its lease while Webex answered.",
        world: World::builder,
        rows: vec![
            Row::new(
                "nobody else came",
                Class::Answered,
                Disturbance::Meanwhile(|world, _| {
                    let lease = world.host().plugin().limits().lease();
                    world.clock.advance(lease * 2);
                    Box::pin(std::future::ready(()))
                }),
            ),
            Row::new(
                "another host looked at the expiry",
                Class::Stashed,
                Disturbance::Meanwhile(|world, customer| {
                    let lease = world.host().plugin().limits().lease();
                    world.clock.advance(lease * 2);
                    Box::pin(async {
                        let other = world.new_host().await;
                        let looked = other.check_expiry(&customer.pkid).await;
                        looked.expect("the other host has the lease");
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
