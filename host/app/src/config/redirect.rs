//! The redirect address of the integration. Webex compares it byte for byte, so it is kept verbatim.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// The plugin's limit, in bytes.
const MAX_BYTES: usize = 2048;

/// The address to which Webex sends the browser after a consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectAddress {
    text: String,
    url: Url,
}

impl RedirectAddress {
    /// Parses an absolute `https` address, or an `http` loopback address (RFC 8252, section 7.3). User,
    /// password and fragment (RFC 6749, section 3.1.2) are refused. A query is refused too, because Webex
    /// adds one. The plugin accepts every address that is accepted here.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "such as \"http://127.0.0.1:8400/callback\"";
        let url =
            Url::parse(text).map_err(|error| format!("is not an address ({error}), {EXAMPLE}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(format!("is not an http or https address, {EXAMPLE}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user or password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(
                "must have neither `?` nor `#`: Webex appends its own query parameters".to_owned(),
            );
        }
        if url.port() == Some(0) {
            return Err(
                "must not have port 0: name the port that is registered at Webex".to_owned(),
            );
        }
        if text.len() > MAX_BYTES {
            return Err(format!("has more than {MAX_BYTES} bytes"));
        }
        let redirect = Self {
            text: text.to_owned(),
            url,
        };
        if redirect.url.scheme() == "http" && redirect.loopback_sockets().is_none() {
            return Err(
                "is http: to another machine, where the code could be read: use https:, or http: to \
                 127.0.0.1, [::1] or localhost"
                    .to_owned(),
            );
        }
        Ok(redirect)
    }

    /// Returns the address verbatim.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the path of the callback.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// Returns the `Host` header that a browser sends to this address.
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Returns the local sockets to listen on: the literal loopback address, or both addresses of
    /// `localhost`, of which the first must be available. Returns `None` if the address is not an `http`
    /// loopback address.
    pub fn loopback_sockets(&self) -> Option<Vec<SocketAddr>> {
        if self.url.scheme() != "http" {
            return None;
        }
        let port = self.url.port_or_known_default()?;
        let addresses: Vec<IpAddr> = match self.url.host()? {
            Host::Ipv4(address) if address.is_loopback() => vec![address.into()],
            Host::Ipv6(address) if address.is_loopback() => vec![address.into()],
            Host::Domain("localhost") => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            _ => return None,
        };
        let sockets = addresses.into_iter();
        Some(sockets.map(|address| (address, port).into()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_is_kept_verbatim() {
        for text in [
            "http://127.0.0.1:8400/callback",
            "http://127.0.0.1:8400",
            "http://LOCALHOST:8400/Back",
            "https://relation.example.com/webex/",
        ] {
            assert_eq!(RedirectAddress::parse(text).unwrap().as_str(), text);
        }
        for text in [
            "",
            "callback",
            "/callback",
            "ftp://127.0.0.1/",
            "urn:ietf:wg:oauth:2.0:oob",
            "http://127.0.0.1:0/",
            "http://u@127.0.0.1/",
            "http://u:p@127.0.0.1/",
            "http://127.0.0.1/?",
            "http://127.0.0.1/?a=b",
            "http://127.0.0.1/#a",
            "http://relation.example.com/callback",
            "http://192.168.1.7:8400/callback",
            "http://localhost.example.com/",
        ] {
            assert!(RedirectAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_loopback_addresses_have_sockets() {
        let sockets = |text: &str| {
            let sockets = RedirectAddress::parse(text).unwrap().loopback_sockets();
            let sockets = sockets.unwrap_or_default().into_iter();
            sockets.map(|socket| socket.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            sockets("http://127.0.0.1:8400/callback"),
            ["127.0.0.1:8400"]
        );
        assert_eq!(sockets("http://127.9.0.1/callback"), ["127.9.0.1:80"]);
        assert_eq!(sockets("http://[::1]:8400/"), ["[::1]:8400"]);
        assert_eq!(
            sockets("http://localhost:8400/"),
            ["127.0.0.1:8400", "[::1]:8400"]
        );
        for text in [
            "https://127.0.0.1:8400/",
            "https://10.0.0.1:8400/",
            "https://relation.example.com/",
        ] {
            assert!(sockets(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn authority_omits_the_default_port() {
        let authority = |text: &str| RedirectAddress::parse(text).unwrap().authority();
        assert_eq!(authority("http://127.0.0.1:8400/"), "127.0.0.1:8400");
        assert_eq!(authority("http://localhost:80/"), "localhost");
        assert_eq!(authority("http://[::1]:8400/"), "[::1]:8400");
    }
}
