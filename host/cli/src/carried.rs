//! The component that is carried in the binary, if it was there when the binary was built.

/// The component's bytes.
#[cfg(carries_component)]
pub const COMPONENT: Option<&[u8]> = Some(include_bytes!(concat!(
    env!("OUT_DIR"),
    "/spark-customer.wasm"
)));

/// The component's bytes.
#[cfg(not(carries_component))]
pub const COMPONENT: Option<&[u8]> = None;
