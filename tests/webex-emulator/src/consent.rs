//! What an administrator answers on the consent page.

use crate::state::Organization;

/// An administrator's answer to a request for authorisation.
#[derive(Clone, Debug)]
#[must_use = "a consent does nothing until it is given"]
pub struct Consent(pub(crate) Decision);

#[derive(Clone, Debug)]
pub(crate) enum Decision {
    Accept {
        /// `/v1` id or UUID.
        organization: String,
        choice: Choice,
    },
    Decline,
    Fail {
        error: String,
        description: String,
    },
}

/// Which of the scopes that were asked for are granted.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    Only(Vec<String>),
    Without(Vec<String>),
}

impl Choice {
    pub(crate) fn grants(&self, scope: &str) -> bool {
        let names = |scopes: &[String]| scopes.iter().any(|named| named == scope);
        match self {
            Self::Only(scopes) => names(scopes),
            Self::Without(scopes) => !names(scopes),
        }
    }
}

impl AsRef<str> for Organization {
    /// The bare UUID.
    fn as_ref(&self) -> &str {
        &self.uuid
    }
}

impl Consent {
    /// The administrator of this organisation, given by itself, its `/v1` id or its UUID, grants
    /// all scopes that are asked for.
    pub fn accept(organization: impl AsRef<str>) -> Self {
        Self(Decision::Accept {
            organization: organization.as_ref().to_owned(),
            choice: Choice::Without(Vec::new()),
        })
    }

    /// Of the scopes that are asked for, only these are granted.
    pub fn only<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.choosing(Choice::Only(owned(scopes)))
    }

    /// Of the scopes that are asked for, these are not granted.
    pub fn without<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.choosing(Choice::Without(owned(scopes)))
    }

    fn choosing(mut self, new: Choice) -> Self {
        if let Decision::Accept { choice, .. } = &mut self.0 {
            *choice = new;
        }
        self
    }

    /// The administrator declines: `error=access_denied`.
    pub fn decline() -> Self {
        Self(Decision::Decline)
    }

    /// It fails on Webex's side with this OAuth error, such as `server_error`.
    pub fn fail(error: &str, description: &str) -> Self {
        Self(Decision::Fail {
            error: error.to_owned(),
            description: description.to_owned(),
        })
    }
}

fn owned<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Vec<String> {
    let texts = texts.into_iter();
    texts.map(|text| text.as_ref().to_owned()).collect()
}

/// Why the browser was sent nowhere: client, redirect address or organisation is unknown. It
/// holds what the error page says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the consent page refuses: {0}")]
pub struct NotRedirected(pub(crate) String);
