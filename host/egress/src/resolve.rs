//! Name resolution.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

/// A resolver of names to addresses. Tests script the results; a platform may implement its own
/// resolver.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// Returns all addresses of `name`, in the order in which they are tried.
    ///
    /// # Errors
    /// Any error of the resolver; its text is shown to an administrator.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver, which knows `/etc/hosts` and orders addresses by RFC 6724.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The port does not affect the lookup, but the function's argument requires one.
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
