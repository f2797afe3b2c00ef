//! The resource limits of one call, as one table: the configuration, the scenarios, the errors and the
//! documentation take names, units and defaults from here. A new limit is a row of the table, a row of
//! `docs/configuration.md`, and the place that enforces it.

use std::fmt;
use std::time::Duration;

/// The unit of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitUnit {
    /// A size in bytes.
    Bytes,
    /// A number of things.
    Count,
    /// A duration.
    Time,
}

/// The value of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitValue {
    /// A size in bytes.
    Bytes(usize),
    /// A number of things.
    Count(u64),
    /// A duration.
    Time(Duration),
}

/// A field of [`Limits`], of the type that its unit needs.
trait Bound: Sized {
    fn from_value(value: LimitValue) -> Option<Self>;
    fn to_value(&self, unit: LimitUnit) -> LimitValue;
}

impl Bound for Duration {
    fn from_value(value: LimitValue) -> Option<Self> {
        match value {
            LimitValue::Time(time) => Some(time),
            LimitValue::Bytes(_) | LimitValue::Count(_) => None,
        }
    }

    fn to_value(&self, _: LimitUnit) -> LimitValue {
        LimitValue::Time(*self)
    }
}

macro_rules! bound_of_numbers {
    ($($number:ty)*) => {$(
        impl Bound for $number {
            fn from_value(value: LimitValue) -> Option<Self> {
                match value {
                    LimitValue::Bytes(bytes) => bytes.try_into().ok(),
                    LimitValue::Count(count) => count.try_into().ok(),
                    LimitValue::Time(_) => None,
                }
            }

            fn to_value(&self, unit: LimitUnit) -> LimitValue {
                match unit {
                    LimitUnit::Bytes => {
                        LimitValue::Bytes(usize::try_from(*self).unwrap_or(usize::MAX))
                    }
                    LimitUnit::Count | LimitUnit::Time => {
                        LimitValue::Count(u64::try_from(*self).unwrap_or(u64::MAX))
                    }
                }
            }
        }
    )*};
}

bound_of_numbers!(u32 u64 usize);

macro_rules! limits {
    ($(
        $(#[doc = $doc:literal])+
        $name:literal $variant:ident $field:ident: $kind:ty = $default:expr, $unit:ident $(, $exceeded:literal)?;
    )+) => {
        /// The resource limits of one plugin call.
        ///
        /// The keys of the configuration's `[limits]` are the field names with `-` for `_`.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $field: $kind,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        /// The name of a limit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Limit {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Limit {
            /// Every limit, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The names of [`Limit::ALL`].
            pub const NAMES: &[&'static str] = &[$($name,)+];

            /// Returns the key in the configuration's `[limits]`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the unit.
            pub fn unit(self) -> LimitUnit {
                match self { $(Self::$variant => LimitUnit::$unit,)+ }
            }

            /// Returns what a call does that exceeds the limit; `N` stands for the limit's value.
            fn excess(self) -> &'static str {
                match self { $(Self::$variant => limits!(@excess $($exceeded)?),)+ }
            }
        }

        impl Limits {
            /// Returns the value of a limit.
            pub fn get(&self, limit: Limit) -> LimitValue {
                match limit { $(Limit::$variant => self.$field.to_value(limit.unit()),)+ }
            }

            /// Sets a limit, and returns whether the value has its unit and range.
            pub fn set(&mut self, limit: Limit, value: LimitValue) -> bool {
                match limit {
                    $(Limit::$variant => Bound::from_value(value).map(|value| self.$field = value),)+
                }
                .is_some()
            }
        }
    };
    (@excess) => { "more than N" };
    (@excess $exceeded:literal) => { $exceeded };
}

limits! {
    /// Linear memory, in bytes; 64 MiB by default.
    "memory" Memory memory: usize = 64 << 20, Bytes, "more than N bytes";
    /// Wall-clock time of one call from its start to its end; 60 s by default.
    "time" Time time: Duration = Duration::from_secs(60), Time;
    /// Total time of one HTTP request, from name resolution to the last byte of the response; 15 s by
    /// default. A lease lasts at least four times as long.
    "request-time" RequestTime request_time: Duration = Duration::from_secs(15), Time;
    /// Bytes of one HTTP response body; 1 MiB by default.
    "response" Response response: usize = 1 << 20, Bytes, "more than N bytes";
    /// Bytes of the header of one HTTP request or response; 64 KiB by default.
    "headers" Headers headers: usize = 64 << 10, Bytes, "more than N bytes";
    /// HTTP requests of one call; 32 by default.
    "requests" Requests requests: u32 = 32, Count;
    /// Bytes of the caller's input of one call: fields, token response, callback, arguments; 1 MiB by
    /// default.
    "input" Input input: usize = 1 << 20, Bytes, "more than N bytes";
    /// Bytes of one commit; 1 MiB by default.
    "commit" Commit commit: usize = 1 << 20, Bytes, "more than N bytes";
    /// Changes and checks of one commit; 1000 by default.
    "changes" Changes changes: usize = 1000, Count, "more than N in one commit";
    /// Calls of the contract's own functions (`automate:platform`); 100 000 by default.
    "host-calls" HostCalls host_calls: u64 = 100_000, Count;
    /// Bytes that the plugin may transfer in one call of a host function or in one result; 16 MiB by
    /// default.
    "transfer" Transfer transfer: usize = 16 << 20, Bytes, "more than N bytes in one call or result";
    /// Host resources, such as requests and header fields, that the plugin may hold concurrently; 1000 by
    /// default.
    "handles" Handles handles: usize = 1000, Count, "more than N resources concurrently";
    /// Entries of one table of functions or references; 20 000 by default.
    "table" Table table: usize = 20_000, Count, "more than N entries";
    /// Different secrets that one call may know; 100 by default. Secret settings, secret input, revealed
    /// and sealed secrets count.
    "secrets" Secrets secrets: usize = 100, Count, "more than N different ones";
    /// Bytes of transaction log of one call; each line counts 16 bytes besides its text; 64 KiB by
    /// default. The excess is cut.
    "log" Log log: usize = 64 << 10, Bytes, "more than N bytes";
    /// Concurrent calls; 128 by default.
    "calls" Calls calls: u32 = 128, Count;
}

impl Limits {
    /// Returns the duration of a lease: four times the total time of a request, and longer than any call.
    pub fn lease(&self) -> Duration {
        let call = self.time.saturating_add(Duration::from_secs(5));
        self.request_time.saturating_mul(4).max(call)
    }

    /// Returns the error of a call that exceeded `limit`.
    pub fn exceeded(&self, limit: Limit) -> LimitExceeded {
        LimitExceeded {
            limit,
            value: self.get(limit),
        }
    }
}

/// A limit that a call exceeded. The text names the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    /// The limit.
    pub limit: Limit,
    /// Its value.
    pub value: LimitValue,
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.limit.name();
        let value = match self.value {
            LimitValue::Bytes(bytes) => bytes.to_string(),
            LimitValue::Count(count) => count.to_string(),
            LimitValue::Time(time) => format!("{} ms", time.as_millis()),
        };
        let excess = self.limit.excess().replacen('N', &value, 1);
        write!(f, "{}: {excess} (limits.{name})", name.replace('-', " "))
    }
}

impl std::error::Error for LimitExceeded {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_can_be_read_and_set() {
        for limit in Limit::ALL {
            let mut limits = Limits::default();
            let value = match limits.get(*limit) {
                LimitValue::Bytes(bytes) => LimitValue::Bytes(bytes + 1),
                LimitValue::Count(count) => LimitValue::Count(count + 1),
                LimitValue::Time(time) => LimitValue::Time(time + Duration::from_secs(1)),
            };
            assert!(limits.set(*limit, value), "{limit:?}");
            assert_eq!(limits.get(*limit), value, "{limit:?}");
            let changed = |other: &&Limit| limits.get(**other) != Limits::default().get(**other);
            assert_eq!(Limit::ALL.iter().filter(changed).count(), 1, "{limit:?}");
        }
    }

    #[test]
    fn value_of_another_unit_or_range_is_refused() {
        let mut limits = Limits::default();
        assert!(!limits.set(Limit::Time, LimitValue::Count(1)));
        assert!(!limits.set(Limit::Requests, LimitValue::Count(u64::MAX)));
        assert!(!limits.set(Limit::Memory, LimitValue::Time(Duration::ZERO)));
        assert_eq!(limits, Limits::default());
    }

    #[test]
    fn error_names_value_and_setting() {
        let limits = Limits::default();
        let text = |limit| limits.exceeded(limit).to_string();
        assert_eq!(
            text(Limit::HostCalls),
            "host calls: more than 100000 (limits.host-calls)"
        );
        assert_eq!(
            text(Limit::Changes),
            "changes: more than 1000 in one commit (limits.changes)"
        );
        assert_eq!(text(Limit::Time), "time: more than 60000 ms (limits.time)");
    }

    #[test]
    fn names_are_the_fields() {
        let fields = format!("{:?}", Limits::default()).replace('_', "-");
        for name in Limit::NAMES {
            assert!(fields.contains(&format!(" {name}:")), "{name}");
        }
    }
}
