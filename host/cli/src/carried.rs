//! The components that are carried in the binary, as far as they were there when it was built.

/// The plugin's bytes.
#[cfg(carries_component)]
pub const COMPONENT: Option<&[u8]> = Some(include_bytes!(concat!(
    env!("OUT_DIR"),
    "/spark-customer.wasm"
)));

/// The plugin's bytes.
#[cfg(not(carries_component))]
pub const COMPONENT: Option<&[u8]> = None;

/// The bytes of the suite that checks hosts.
#[cfg(all(carries_conformance, feature = "conformance"))]
pub const CONFORMANCE: Option<&[u8]> = Some(include_bytes!(concat!(
    env!("OUT_DIR"),
    "/host-conformance.wasm"
)));

/// The bytes of the suite that checks hosts.
#[cfg(all(not(carries_conformance), feature = "conformance"))]
pub const CONFORMANCE: Option<&[u8]> = None;
