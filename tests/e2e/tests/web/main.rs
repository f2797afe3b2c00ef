//! The REST API, in one process with a host: its conventions, its errors, and what each principal may see.

mod audit;
mod callbacks;
mod demo;
mod documented;
mod export;
mod forms;
mod idempotency;
mod isolation;
mod metrics;
mod nodes;
mod notices;
mod oidc;
mod openapi;
mod page;
mod page_isolation;
mod page_notices;
mod places;
mod records;
mod roles;
mod selection;
mod strictness;
mod support;
mod transactions;
mod versions;
mod waiting;
