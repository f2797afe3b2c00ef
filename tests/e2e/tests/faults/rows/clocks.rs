//! A wall clock that jumps before or during a request to Webex.

use std::time::Duration;

use relation_e2e::World;
use relation_e2e::world::DAY;
use relation_host::clock::Clock;
use relation_host::types::Timestamp;

use crate::row::{FaultClass, Group, Injection, Row};

const HOUR: Duration = Duration::from_secs(3600);

pub fn group() -> Group {
    let during = |name, class, action| Row::new(name, class, Injection::BeforeResponse(action));
    let before = |name, class, action| Row::new(name, class, Injection::BeforeRequest(action));
    Group {
        title: "A clock that jumps",
        about: "The host's wall clock is changed while Webex keeps the correct time; lifetimes are \
                by the host's clock. Afterwards the clock is correct again.",
        world: World::builder,
        rows: vec![
            during(
                "an hour ahead before the commit",
                FaultClass::ClockAhead,
                |world, _| {
                    ahead(world, HOUR);
                    Box::pin(std::future::ready(()))
                },
            ),
            during(
                "an hour back before the commit",
                FaultClass::Delivered,
                |world, _| {
                    back(world, HOUR);
                    Box::pin(std::future::ready(()))
                },
            ),
            during(
                "a day ahead before the commit",
                FaultClass::ClockAhead,
                |world, _| {
                    ahead(world, DAY);
                    Box::pin(std::future::ready(()))
                },
            ),
            during(
                "a day back before the commit",
                FaultClass::Delivered,
                |world, _| {
                    back(world, DAY);
                    Box::pin(std::future::ready(()))
                },
            ),
            before(
                "an hour ahead before the request",
                FaultClass::ClockAhead,
                |world, _| ahead(world, HOUR),
            ),
            before(
                "an hour back before the request",
                FaultClass::Delivered,
                |world, _| back(world, HOUR),
            ),
            before(
                "a day ahead before the request",
                FaultClass::ClockAhead,
                |world, _| ahead(world, DAY),
            ),
            before(
                "a day back before the request",
                FaultClass::Delivered,
                |world, _| back(world, DAY),
            ),
            before(
                "30 days ahead before the request",
                FaultClass::ClockAhead,
                |world, _| {
                    ahead(world, 30 * DAY);
                },
            ),
            before(
                "30 days back before the request",
                FaultClass::Delivered,
                |world, _| {
                    back(world, 30 * DAY);
                },
            ),
            before(
                "200 days ahead before the request: expired by the clock alone",
                FaultClass::ClockAhead,
                |world, _| ahead(world, 200 * DAY),
            ),
        ],
    }
}

fn ahead(world: &World, time: Duration) {
    world.clock.set_wall(world.clock.now().after(time));
}

fn back(world: &World, time: Duration) {
    let now = world.clock.now().0;
    let time = u64::try_from(time.as_millis()).expect("a time");
    world.clock.set_wall(Timestamp(now - time));
}
