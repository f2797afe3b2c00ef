//! Responses that exceed a request's timeout, in real time.

use std::time::Duration;

use relation_e2e::World;
use relation_host::Limits;
use webex_emulator::ProcessingStage;

use crate::row::{FaultClass, Group, Injection, Row};

pub fn group() -> Group {
    Group {
        title: "Late responses",
        about: "The request's deadline is `limits.request-time`, from the name resolution to the \
                last byte.",
        world: || {
            // As short as a busy machine allows for the requests that are in time.
            let request_time = Duration::from_secs(2);
            World::builder().limits(Limits {
                request_time,
                ..Limits::default()
            })
        },
        rows: vec![
            Row::new(
                "late; Webex did not process the request",
                FaultClass::FAILED,
                Injection::Slow(ProcessingStage::Before),
            ),
            Row::new(
                "late; Webex processed the request",
                FaultClass::ResponseLost,
                Injection::Slow(ProcessingStage::After),
            ),
        ],
    }
}
