//! A wall clock that jumps while Webex answers, or before it is asked.

use std::time::Duration;

use relation_e2e::World;
use relation_e2e::world::DAY;
use relation_host::schedule::clock::Clock;
use relation_host::types::Timestamp;

use crate::row::{Class, Disturbance, Group, Row};

const HOUR: Duration = Duration::from_secs(3600);

pub fn group() -> Group {
    let answering =
        |name, happens| Row::new(name, Class::Answered, Disturbance::Meanwhile(happens));
    let before = |name, happens| Row::new(name, Class::Answered, Disturbance::Before(happens));
    Group {
        title: "A clock that jumps",
        about: "The host's wall clock is set while Webex keeps the true time; lives are as the host \
                sees them then. Afterwards the clock is right again.",
        world: World::builder,
        rows: vec![
            answering("an hour ahead before the commit", |world, _| {
                ahead(world, HOUR);
                Box::pin(std::future::ready(()))
            }),
            answering("an hour back before the commit", |world, _| {
                back(world, HOUR);
                Box::pin(std::future::ready(()))
            }),
            answering("a day ahead before the commit", |world, _| {
                ahead(world, DAY);
                Box::pin(std::future::ready(()))
            }),
            answering("a day back before the commit", |world, _| {
                back(world, DAY);
                Box::pin(std::future::ready(()))
            }),
            before("an hour ahead before the request", |world, _| {
                ahead(world, HOUR)
            }),
            before("an hour back before the request", |world, _| {
                back(world, HOUR)
            }),
            before("a day ahead before the request", |world, _| {
                ahead(world, DAY)
            }),
            before("a day back before the request", |world, _| back(world, DAY)),
            before("30 days ahead before the request", |world, _| {
                ahead(world, 30 * DAY);
            }),
            before("30 days back before the request", |world, _| {
                back(world, 30 * DAY);
            }),
            Row::new(
                "200 days ahead before the request",
                Class::OverByClock,
                Disturbance::Before(|world, _| ahead(world, 200 * DAY)),
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
