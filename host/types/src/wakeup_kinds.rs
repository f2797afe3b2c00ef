//! The kinds of wakeups that the plugin schedules, as the contract's page names them. A wakeup's id is its kind,
//! or the kind, a dot and the name of a further grant, a data sync or an order.

/// Refreshes the tokens of a grant.
pub const REFRESH: &str = "refresh";
/// Checks the expiries of a grant.
pub const EXPIRY: &str = "expiry";
/// Begins or continues an import.
pub const SYNC: &str = "sync";
/// Continues a change of a wholesale customer.
pub const WHOLESALE: &str = "wholesale";
/// Runs the schedule of a data sync.
pub const SCHEDULE: &str = "schedule";
/// Runs a queued call. The host schedules it, not the plugin.
pub const QUEUED_CALL: &str = "queued-call";
/// Delivers a callback. The host schedules it, not the plugin.
pub const CALLBACK: &str = "callback";

/// Routes and delivers notices. The host and its handler schedule it, not the plugin.
pub const NOTICE: &str = "notice";
/// The id of the wakeup that routes a notice of the outbox.
pub const NOTICE_ROUTE: &str = "notice.route";

/// The actions of transactions that import: the calls that a wakeup of the kind [`SYNC`] may continue.
pub const IMPORT_ACTIONS: [&str; 4] = [SYNC, "SyncRolesLicenses", "SyncUsers", "ExecuteDataSync"];
