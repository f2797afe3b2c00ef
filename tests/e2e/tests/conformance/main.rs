//! The suite for hosts: ours passes it on every store, and a host that is broken in one way fails
//! the matching check.

mod broken;
mod documented;
mod passing;
mod support;
