//! The versions of the schema, and the functions that write.

/// Each entry brings the schema from one version to the next. Functions have a version in their names (`commit_v1`): a
/// changed function gets a new name, and the old one stays while hosts of the former release may run.
pub(super) const MIGRATIONS: &[&[&str]] = &[&[
    include_str!("schema.sql"),
    include_str!("functions/writes.sql"),
    include_str!("functions/search.sql"),
    include_str!("functions/listings.sql"),
    include_str!("functions/documents.sql"),
    include_str!("functions/transactions.sql"),
    include_str!("functions/calls.sql"),
    include_str!("functions/commit.sql"),
    include_str!("functions/recovery.sql"),
    include_str!("functions/due.sql"),
    include_str!("functions/retention.sql"),
    include_str!("functions/keys.sql"),
    include_str!("functions/transfer.sql"),
]];
