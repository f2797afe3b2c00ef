//! The components embedded in the binary. `None` for those that did not exist when the binary was built.

/// The plugin's bytes.
#[cfg(embedded_component)]
pub const COMPONENT: Option<&[u8]> = Some(include_bytes!(concat!(
    env!("OUT_DIR"),
    "/spark-customer.wasm"
)));

/// The plugin's bytes.
#[cfg(not(embedded_component))]
pub const COMPONENT: Option<&[u8]> = None;

/// The bytes of the conformance suite.
#[cfg(all(embedded_conformance, feature = "conformance"))]
pub const CONFORMANCE: Option<&[u8]> = Some(include_bytes!(concat!(
    env!("OUT_DIR"),
    "/host-conformance.wasm"
)));

/// The bytes of the conformance suite.
#[cfg(all(not(embedded_conformance), feature = "conformance"))]
pub const CONFORMANCE: Option<&[u8]> = None;
