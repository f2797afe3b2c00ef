//! Applies new tokens to a record, and lists the secrets to seal and the wakeups to schedule.
//!
//! Shared by all workflows that receive tokens. The caller commits the record together with
//! [`TokenUpdate::changes`], changes the alerts ([`update_after_tokens`]), and updates the record's
//! schedules (see [`crate::owned_documents`]) with [`TokenUpdate::next_refresh`] and [`TokenUpdate::next_check`].
//!
//! [`update_after_tokens`]: crate::alerts::ActiveAlerts::update_after_tokens

use crate::grant::Grant;
use crate::installation_alert;
use crate::platform::{
    Change, Failure, FieldError, Level, Millis, Platform, Reference, Secret, UnixMillis, Wakeup,
};
use crate::record::{Expiry, Record, State};
use crate::scopes;
use crate::settings::Settings;
use crate::timing::{
    self, EXPIRY_TOLERANCE, Expiries, JitterSeed, MAX_FIRST_REFRESH_DELAY, MIN_DELAY,
};
use crate::webex::token_response::{Lifetime, TokenResponse};

/// The source of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// Fetched by another client and pasted: known facts about other tokens do not apply.
    Pasted,
    /// Issued by Webex for a person's consent: known facts about other tokens do not apply.
    Consented,
    /// Issued by Webex for the stored refresh token.
    Refreshed,
}

impl TokenSource {
    /// Returns the maximum time until the first refresh of tokens with this `access` expiry; none:
    /// the policy decides. Pasted tokens are refreshed without delay, so that a wrong refresh token
    /// is noticed immediately and not after a week.
    fn max_first_delay(self, access: Expiry) -> Option<Millis> {
        match self {
            Self::Pasted => Some(MIN_DELAY),
            Self::Consented if access.assumed => Some(MAX_FIRST_REFRESH_DELAY),
            Self::Consented | Self::Refreshed => None,
        }
    }
}

/// The stored tokens of a grant, revealed for comparison with a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredTokens {
    /// The access token. It may be left out when the response reports its lifetime, because it is
    /// then not needed.
    pub access_token: Option<Secret>,
    /// The refresh token.
    pub refresh_token: Option<Secret>,
}

impl StoredTokens {
    /// Reveals both tokens of a stored record's `grant`. A token that cannot be decrypted counts as
    /// absent and is logged, because new tokens are the remedy.
    ///
    /// # Errors
    /// Errors of a store that cannot be reached.
    pub fn reveal(record: &Record, grant: Grant, platform: &dyn Platform) -> Result<Self, Failure> {
        let owner = record.reference();
        let reveal = |name: &str| match platform.reveal(&owner, name) {
            Err(Failure::Internal(reason)) => {
                platform.log(
                    Level::Warning,
                    &format!("the stored token is replaced: {reason}"),
                );
                Ok(None)
            }
            revealed => revealed,
        };
        Ok(Self {
            access_token: reveal(grant.access_token())?,
            refresh_token: reveal(grant.refresh_token())?,
        })
    }
}

/// A token response with the context for applying it.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedTokens<'a> {
    /// The response.
    pub response: &'a TokenResponse,
    /// The grant's stored tokens; [`StoredTokens::default`] for a new record.
    pub stored: &'a StoredTokens,
    /// The source of the response.
    pub source: TokenSource,
    /// The time from which lifetimes count: before the request was sent, or when the tokens were
    /// pasted.
    pub issued: UnixMillis,
}

/// The changes and times that result from applying a token response.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenUpdate {
    /// Secrets and wakeups, to be committed with the record.
    pub changes: Vec<Change>,
    /// Whether the refresh token is of a new generation, which resolves alerts of older ones.
    pub new_generation: bool,
    /// The time of the next refresh.
    pub next_refresh: UnixMillis,
    /// The time of the next expiry check; none if it is unchanged.
    pub next_check: Option<UnixMillis>,
    /// Warnings for the log about implausible values of the response.
    pub warnings: Vec<String>,
}

/// Applies the `received` tokens to `grant` of `record`: expiries, generation, scopes, state, next
/// refresh.
///
/// Fields that the response omits keep their value. The state is the result of [`derive_state`]; an
/// earlier failure or refusal is cleared.
///
/// # Errors
/// `invalid` (field `refresh_token`) when neither the response nor the grant has a refresh token.
pub fn apply(
    record: &mut Record,
    grant: Grant,
    received: ReceivedTokens<'_>,
    now: UnixMillis,
    settings: &Settings,
) -> Result<TokenUpdate, Failure> {
    let ReceivedTokens {
        response,
        stored,
        source,
        issued,
    } = received;
    if response.refresh_token.is_none() && stored.refresh_token.is_none() {
        return Err(Failure::Invalid(vec![FieldError::new(
            "refresh_token",
            "is missing: without it the connection cannot be kept alive",
        )]));
    }
    let same_access = stored.access_token.as_ref() == Some(&response.access_token);
    let new_refresh_token = response
        .refresh_token
        .as_ref()
        .filter(|token| stored.refresh_token.as_ref() != Some(token));
    let same_refresh = new_refresh_token.is_none();

    let known = |expiry: Option<Expiry>, same: bool| {
        expiry.filter(|_| same || source == TokenSource::Refreshed)
    };
    // An assumed lifetime is worth less than the known one of the same token.
    let usable = |lifetime: Lifetime, known: Option<Expiry>| {
        let less = lifetime.is_assumed() && known.is_some();
        lifetime.usable().filter(|_| !less)
    };
    let required = scopes::required(record, grant, settings);
    let owner = record.reference();
    let seed = JitterSeed::from_pkid(&record.pkid);
    let connection = record.grant_state_mut(grant);
    let before = known(connection.access, same_access);
    let access_lifetime = usable(response.expires_in, before);
    let mut access = timing::merge_access(
        access_lifetime,
        same_access,
        before,
        issued,
        settings.assumed_access_lifetime,
    );
    access.assumed |= access_lifetime.is_some() && response.expires_in.is_assumed();
    let before = known(connection.refresh, same_refresh);
    let refresh_lifetime = match (response.refresh_token_expires_in, before) {
        // The last second of a token that is not extended: 0 is the remaining time, not a lifetime.
        // If the known expiry is not near, the figure is as implausible as a negative one.
        (Lifetime::Elapsed, Some(known))
            if same_refresh && known.at <= issued + EXPIRY_TOLERANCE =>
        {
            Some(known.at - issued)
        }
        (lifetime, before) => usable(lifetime, before),
    };
    let mut refresh = timing::merge_refresh(
        refresh_lifetime,
        same_refresh,
        before,
        issued,
        settings.assumed_refresh_lifetime,
    );
    refresh.expiry.assumed |=
        refresh_lifetime.is_some() && response.refresh_token_expires_in.is_assumed();
    let next_refresh = timing::refresh_due(
        now,
        issued,
        Expiries {
            access: Some(access),
            refresh: Some(refresh.expiry),
        },
        source.max_first_delay(access),
        &settings.refresh,
        seed,
    );
    let thresholds = timing::thresholds_within(&settings.thresholds, refresh.expiry.lifetime);
    let moved = refresh.new_generation
        || before.is_none_or(|before| before.at != refresh.expiry.at)
        || matches!(connection.state, State::Expired | State::Reauthorize);
    // Otherwise the wakeup is kept: a crossing that is due and not yet checked, such as after an
    // outage, must not be skipped.
    let next_check = moved.then(|| next_check(&thresholds, refresh.expiry, now));

    if source != TokenSource::Refreshed {
        connection.granted = Some(issued);
    }
    connection.access = Some(access);
    connection.refresh = Some(refresh.expiry);
    connection.refreshed = Some(now);
    connection.next_refresh = Some(next_refresh);
    match &response.scopes {
        Some(scopes) => connection.scopes.clone_from(scopes),
        // The known scopes belong to other tokens.
        None if source != TokenSource::Refreshed && !same_access => connection.scopes.clear(),
        None => {}
    }
    connection.missing_scopes = scopes::missing(&required, &connection.scopes);
    connection.state = derive_state(refresh.expiry, &thresholds, &connection.missing_scopes, now);
    connection.uncertain = false;
    let client_failed = connection.retry.take().is_some_and(|retry| retry.client);
    connection.refusal = None;
    if refresh.new_generation {
        connection.generation = connection.generation.saturating_add(1);
    }

    let mut changes = Vec::new();
    if !same_access {
        changes.push(seal(&owner, grant.access_token(), &response.access_token));
    }
    if let Some(token) = new_refresh_token {
        changes.push(seal(&owner, grant.refresh_token(), token));
    }
    changes.push(refresh_wakeup(
        &owner,
        grant,
        next_refresh,
        Some(refresh.expiry),
    ));
    if let Some(due) = next_check {
        changes.push(expiry_wakeup(&owner, grant, due));
    }

    if client_failed {
        changes.push(installation_alert::clear());
    }

    Ok(TokenUpdate {
        changes,
        new_generation: refresh.new_generation,
        next_refresh,
        next_check,
        warnings: response.warnings(),
    })
}

/// Determines the state of a grant whose refresh token works. The state is `expiring` within the smallest of
/// `thresholds`, if there are any; else `missing-scope` when a scope is missing, else `connected`.
///
/// Both `expiring` and `missing-scope` need a person; the state with a date takes precedence.
pub fn derive_state(
    refresh: Expiry,
    thresholds: &[Millis],
    missing: &[String],
    now: UnixMillis,
) -> State {
    let remaining = refresh.at - now;
    match thresholds.iter().min() {
        Some(last) if remaining <= *last => State::Expiring,
        _ if !missing.is_empty() => State::MissingScope,
        _ => State::Connected,
    }
}

/// Returns the time of a token's first expiry check: as soon as possible when a threshold is
/// crossed already, otherwise at the next crossing.
fn next_check(thresholds: &[Millis], refresh: Expiry, now: UnixMillis) -> UnixMillis {
    let soonest = now + MIN_DELAY;
    if timing::crossed_threshold(thresholds, refresh.at, now).is_some() {
        return soonest;
    }
    timing::next_crossing(thresholds, refresh.at, now).map_or(soonest, |at| at.max(soonest))
}

/// Returns the change that schedules the next refresh of `grant` at `due`.
///
/// The deadline is the expiry of the refresh token: after it, only a person can reconnect. An
/// access token that expires earlier is renewed by the same refresh. An expiry before `due` was
/// wrong or has passed, and is not a deadline.
pub fn refresh_wakeup(
    owner: &Reference,
    grant: Grant,
    due: UnixMillis,
    refresh: Option<Expiry>,
) -> Change {
    Change::Schedule(Wakeup {
        id: grant.refresh_wakeup().to_owned(),
        subject: owner.clone(),
        due: due.0,
        deadline: refresh.map(|expiry| expiry.at.0).filter(|at| *at >= due.0),
        payload: String::new(),
    })
}

/// Returns the change that schedules the next expiry check of `grant` at `due`. It has no deadline,
/// because a late check loses nothing.
pub fn expiry_wakeup(owner: &Reference, grant: Grant, due: UnixMillis) -> Change {
    Change::Schedule(Wakeup {
        id: grant.expiry_wakeup().to_owned(),
        subject: owner.clone(),
        due: due.0,
        deadline: None,
        payload: String::new(),
    })
}

fn seal(owner: &Reference, name: &str, value: &Secret) -> Change {
    Change::PutSecret {
        owner: owner.clone(),
        name: name.to_owned(),
        value: value.clone(),
    }
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
