//! Names to addresses.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

/// Turns a name into addresses. Tests script it; a platform may bring its own.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `name`, in the order in which they should be tried.
    ///
    /// # Errors
    /// Whatever the resolver says; the text reaches an administrator.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver, which knows `/etc/hosts` and orders addresses by RFC 6724.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The port does not take part in the lookup; it is the address type of the call that wants one.
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
