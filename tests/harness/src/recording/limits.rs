//! The limits of a call, in the format of scenarios.

use relation_host::limits::{Limit, LimitValue, Limits};
use toml::{Table, Value};

use crate::scenario::durations::format_duration;

/// Returns the limits that differ from the defaults.
pub(super) fn changed_limits(limits: &Limits) -> Table {
    let defaults = Limits::default();
    let changed = Limit::ALL.iter().filter_map(|limit| {
        let value = limits.get(*limit);
        (value != defaults.get(*limit)).then(|| (limit.name().to_owned(), to_toml(value)))
    });
    changed.collect()
}

fn to_toml(value: LimitValue) -> Value {
    match value {
        LimitValue::Bytes(bytes) => format!("{bytes} B").into(),
        LimitValue::Count(count) => i64::try_from(count).unwrap_or(i64::MAX).into(),
        LimitValue::Time(time) => format_duration(time).into(),
    }
}
