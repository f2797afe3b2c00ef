//! Addresses of mailboxes, in the form that the envelope needs.

use std::fmt;
use std::str::FromStr;

use lettre::Address;
use lettre::message::Mailbox;
use url::Host;

/// A mailbox's address. Its domain is in ASCII, so an international name has the form `xn--…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailAddress(Address);

/// The reason why a text is not a usable address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailAddressError {
    /// There is no `@`.
    #[error("it has no `@`; write it as name@example.com")]
    NoAt,
    /// The part before the `@` has characters other than those of plain addresses.
    #[error(
        "the part before the `@` is not valid: 1 to 64 ASCII letters, digits and !#$%&'*+-/=?^_`{{|}}~, with single \
         dots between them"
    )]
    Local,
    /// The part after the `@` is not a domain name.
    #[error("the part after the `@` is not a domain name, such as example.com")]
    Domain,
    /// The address is longer than a mail server must accept (RFC 5321).
    #[error("it is longer than 254 characters")]
    TooLong,
}

impl MailAddress {
    /// The maximum length of an address (RFC 5321, 4.5.3.1.3, without the angle brackets).
    const MAX: usize = 254;

    /// Parses `name@domain`; converts an international domain to ASCII.
    ///
    /// # Errors
    /// [`MailAddressError`]. A name with characters outside ASCII is refused: few relays accept it (SMTPUTF8).
    pub fn parse(text: &str) -> Result<Self, MailAddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(MailAddressError::NoAt)?;
        // Quoted names are legal, unused, and read in different ways by relays.
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
        if !local.bytes().all(is_plain) {
            return Err(MailAddressError::Local);
        }
        let domain = ascii_domain(domain).ok_or(MailAddressError::Domain)?;
        if local.len() + 1 + domain.len() > Self::MAX {
            return Err(MailAddressError::TooLong);
        }
        match Address::new(local, &domain) {
            Ok(address) => Ok(Self(address)),
            Err(lettre::address::AddressError::InvalidDomain) => Err(MailAddressError::Domain),
            Err(_) => Err(MailAddressError::Local),
        }
    }

    /// Returns the domain in ASCII.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.domain()
    }

    pub(super) fn address(&self) -> Address {
        self.0.clone()
    }
}

/// Returns a domain name in ASCII and lower case, or `None` if the text is not one.
fn ascii_domain(text: &str) -> Option<String> {
    // The parser of URLs would decode percent signs.
    if text.contains('%') {
        return None;
    }
    match Host::parse(text) {
        Ok(Host::Domain(name)) if !name.ends_with('.') => Some(name),
        _ => None,
    }
}

impl FromStr for MailAddress {
    type Err = MailAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Parses `name@domain` or `Display name <name@domain>`.
pub(super) fn parse_mailbox(text: &str) -> Result<(Mailbox, MailAddress), String> {
    let text = text.trim();
    let (name, address) = match text
        .strip_suffix('>')
        .and_then(|rest| rest.rsplit_once('<'))
    {
        Some((name, address)) => (name.trim().trim_matches('"'), address),
        None => ("", text),
    };
    if name.chars().any(char::is_control) {
        return Err("the display name has a control character".to_owned());
    }
    let address = MailAddress::parse(address).map_err(|error| error.to_string())?;
    let name = (!name.is_empty()).then(|| name.to_owned());
    Ok((Mailbox::new(name, address.address()), address))
}
