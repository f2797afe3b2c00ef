//! From events to deliveries: who is told, by which channel, when, and why not.
//!
//! [`route`] decides all of it. [`preview`] calls [`route`] at the times of future events, so that both agree.
//! [`fold`] collects the deliveries to one recipient that are due into few messages.

mod alert;
mod endpoint;
mod event;
mod fold;
mod ids;
mod plan;
mod preview;
mod route;

pub use self::alert::{AlertFacts, AlertTransition, ends_with_recovery, event_from_alert};
pub use self::event::{ConnectionFacts, Event, thresholds_within};
pub use self::fold::{Due, FoldContext, Folded, FoldedMessage, MAX_DIGEST_NOTICES, fold};
pub(crate) use self::fold::{recency, replaces};
pub(crate) use self::ids::count_key;
pub use self::ids::{DerivedId, NoticeKey};
pub use self::plan::{Delivery, Hold, NotMade, Reason, RoutePlan, VisiblePlan};
pub(crate) use self::preview::drop_replaced;
pub use self::preview::{PlannedNotice, next_check, preview};
pub use self::route::{History, MAX_DELIVERIES, budget_end, route};

#[cfg(test)]
mod tests;
