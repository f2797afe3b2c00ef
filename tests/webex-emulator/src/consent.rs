//! An administrator's decision on the consent page.

use crate::state::Organization;

/// An administrator's decision on a request for authorization.
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

/// The granted part of the requested scopes.
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
    /// Returns the bare UUID.
    fn as_ref(&self) -> &str {
        &self.uuid
    }
}

impl Consent {
    /// Grants all requested scopes, as the administrator of this organization, given by itself, its
    /// `/v1` id or its UUID.
    pub fn accept(organization: impl AsRef<str>) -> Self {
        Self(Decision::Accept {
            organization: organization.as_ref().to_owned(),
            choice: Choice::Without(Vec::new()),
        })
    }

    /// Grants only these of the requested scopes.
    pub fn only<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.with_choice(Choice::Only(owned(scopes)))
    }

    /// Grants the requested scopes without these.
    pub fn without<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.with_choice(Choice::Without(owned(scopes)))
    }

    fn with_choice(mut self, new: Choice) -> Self {
        if let Decision::Accept { choice, .. } = &mut self.0 {
            *choice = new;
        }
        self
    }

    /// Declines: `error=access_denied`.
    pub fn decline() -> Self {
        Self(Decision::Decline)
    }

    /// Fails on Webex's side with this OAuth error, such as `server_error`.
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

/// The reason why the browser was not redirected: client, redirect address or organization is unknown. It
/// holds the text of the error page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the consent page shows an error: {0}")]
pub struct RedirectError(pub(crate) String);
