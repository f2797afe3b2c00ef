//! The redirect address of the integration: Webex compares it byte for byte, so it is kept as it was
//! written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// The most bytes that the plugin takes.
const LONGEST: usize = 2048;

/// Where Webex sends the browser after a consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectAddress {
    text: String,
    url: Url,
}

impl RedirectAddress {
    /// Reads an absolute `https` address, or an `http` address of this machine alone (RFC 8252, section
    /// 7.3). User, password and fragment (RFC 6749, section 3.1.2) are refused, and so is a query, which
    /// Webex adds. The plugin accepts every address that is accepted here.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "such as \"http://127.0.0.1:8400/callback\"";
        let url =
            Url::parse(text).map_err(|error| format!("is no address ({error}), {EXAMPLE}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(format!("is not an http or https address, {EXAMPLE}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not carry a user or password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must have neither `?` nor `#`: Webex adds what it has to say".to_owned());
        }
        if url.port() == Some(0) {
            return Err("must name a port: Webex compares the address exactly".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("has more than {LONGEST} bytes"));
        }
        let redirect = Self {
            text: text.to_owned(),
            url,
        };
        if redirect.url.scheme() == "http" && redirect.loopback().is_none() {
            return Err(
                "is http: to another machine, where the code could be read: use https:, or http: to \
                 127.0.0.1, [::1] or localhost"
                    .to_owned(),
            );
        }
        Ok(redirect)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path on which the browser comes.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// What a browser that comes there says in its `Host`.
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The sockets of this machine on which a browser of this machine comes: that of the literal
    /// loopback address, or for `localhost` both, the first of which must be there. None where
    /// somebody else has to be listening.
    pub fn loopback(&self) -> Option<Vec<SocketAddr>> {
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
    fn an_address_is_kept_as_it_was_written() {
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
    fn a_browser_of_this_machine_can_be_waited_for_at_loopback_alone() {
        let sockets = |text: &str| {
            let sockets = RedirectAddress::parse(text).unwrap().loopback();
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
    fn a_browser_names_the_port_where_it_is_not_the_usual_one() {
        let authority = |text: &str| RedirectAddress::parse(text).unwrap().authority();
        assert_eq!(authority("http://127.0.0.1:8400/"), "127.0.0.1:8400");
        assert_eq!(authority("http://localhost:80/"), "localhost");
        assert_eq!(authority("http://[::1]:8400/"), "[::1]:8400");
    }
}
