//! What new tokens change: a record takes an answer, and says what has to be sealed and scheduled.
//!
//! Shared by every workflow that receives tokens. The caller commits the record together with
//! [`Taken::changes`], ends the alerts that are over ([`crate::alerts::recovery`]), and brings the
//! record's schedules (see [`crate::parts`]) up to date with [`Taken::next_refresh`] and
//! [`Taken::next_check`].

use crate::grant::Grant;
use crate::installation;
use crate::platform::{
    Change, Failure, FieldError, Journal, Level, Reference, Secret, Secrets, Timestamp, Wakeup,
};
use crate::record::{Expiry, Record, State};
use crate::scopes;
use crate::settings::Settings;
use crate::timing::{self, Ends, FIRST_REFRESH_OF_ASSUMED, ROUNDING, SOONEST, Spread};
use crate::webex::answer::{Lifetime, TokenResponse};

/// Where tokens come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From outside, fetched by somebody else: what is known of other tokens says nothing.
    Pasted,
    /// From Webex, in answer to a person's consent: as little is known of them as of pasted ones.
    Consented,
    /// From Webex, in answer to the refresh token held.
    Refreshed,
}

impl Origin {
    /// The longest time until the first refresh of tokens with this `access` expiry; none: the
    /// policy decides. Pasted tokens are refreshed without delay, so that a wrong refresh token
    /// shows at once and not after a week.
    fn longest_pause(self, access: Expiry) -> Option<u64> {
        match self {
            Self::Pasted => Some(SOONEST),
            Self::Consented if access.assumed => Some(FIRST_REFRESH_OF_ASSUMED),
            Self::Consented | Self::Refreshed => None,
        }
    }
}

/// The tokens that a record holds, opened to be compared with an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The access token. May be left out when the answer says its life: it then makes no
    /// difference.
    pub access_token: Option<Secret>,
    /// The refresh token.
    pub refresh_token: Option<Secret>,
}

impl Held {
    /// Opens both tokens of a stored record's `grant`. One that does not open is none, and a line in
    /// the log: new tokens are how a person mends it.
    ///
    /// # Errors
    /// Those of a store that cannot be reached.
    pub fn by(
        record: &Record,
        grant: Grant,
        platform: &(impl Secrets + Journal + ?Sized),
    ) -> Result<Self, Failure> {
        let owner = record.reference();
        let open = |name: &str| match platform.reveal(&owner, name) {
            Err(Failure::Internal(why)) => {
                platform.log(Level::Warning, &format!("it is replaced: {why}"));
                Ok(None)
            }
            opened => opened,
        };
        Ok(Self {
            access_token: open(grant.access_token())?,
            refresh_token: open(grant.refresh_token())?,
        })
    }
}

/// An answer with tokens, and what has to be known to take it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The answer.
    pub answer: &'a TokenResponse,
    /// What the grant holds so far; [`Held::default`] for a new record.
    pub held: &'a Held,
    /// Where it comes from.
    pub origin: Origin,
    /// The moment from which lives count: before the request was sent, or when the tokens were
    /// pasted.
    pub issued: Timestamp,
}

/// What a record that took an answer needs besides being stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Seals and wakeups, to be committed with the record.
    pub changes: Vec<Change>,
    /// Whether the refresh token is of a new generation; alerts of older ones are over.
    pub new_generation: bool,
    /// When the next refresh is due.
    pub next_refresh: Timestamp,
    /// When the next look at the expiries is due; none: it stays when it is.
    pub next_check: Option<Timestamp>,
    /// What the log should say about an answer that was not quite right.
    pub warnings: Vec<String>,
}

/// Puts the tokens that were `received` into `grant` of `record`: expiries, generation, scopes,
/// state, next refresh.
///
/// Fields that the answer omits keep their value. The state becomes the one of [`state_of`]; a
/// failure or refusal is forgotten.
///
/// # Errors
/// `invalid` (field `refresh_token`) when there is no refresh token, neither held nor answered.
pub fn take(
    record: &mut Record,
    grant: Grant,
    received: Received<'_>,
    now: Timestamp,
    settings: &Settings,
) -> Result<Taken, Failure> {
    let Received {
        answer,
        held,
        origin,
        issued,
    } = received;
    if answer.refresh_token.is_none() && held.refresh_token.is_none() {
        return Err(Failure::Invalid(vec![FieldError::new(
            "refresh_token",
            "is missing: without it the connection cannot be kept alive",
        )]));
    }
    let same_access = held.access_token.as_ref() == Some(&answer.access_token);
    let new_refresh_token = answer
        .refresh_token
        .as_ref()
        .filter(|token| held.refresh_token.as_ref() != Some(token));
    let same_refresh = new_refresh_token.is_none();

    let known =
        |expiry: Option<Expiry>, same: bool| expiry.filter(|_| same || origin == Origin::Refreshed);
    // An assumed life says less than what is known of the same token.
    let told = |life: Lifetime, known: Option<Expiry>| {
        let less = life.is_assumed() && known.is_some();
        life.milliseconds().filter(|_| !less)
    };
    let required = scopes::required(record, grant, settings);
    let owner = record.reference();
    let spread = Spread::of(&record.pkid);
    let connection = record.connection_mut(grant);
    let before = known(connection.access, same_access);
    let access_life = told(answer.expires_in, before);
    let mut access = timing::merge_access(
        access_life,
        same_access,
        before,
        issued,
        settings.assumed_access_life,
    );
    access.assumed |= access_life.is_some() && answer.expires_in.is_assumed();
    let before = known(connection.refresh, same_refresh);
    let refresh_life = match (answer.refresh_token_expires_in, before) {
        // The last second of a token that is not extended: its end is not a lifetime away. Where the
        // end that is known is not near, the figure is as absurd as a negative one.
        (Lifetime::Over, Some(known))
            if same_refresh && known.at <= issued.saturating_add(ROUNDING) =>
        {
            Some(timing::left(known.at, issued))
        }
        (life, before) => told(life, before),
    };
    let mut refresh = timing::merge_refresh(
        refresh_life,
        same_refresh,
        before,
        issued,
        settings.assumed_refresh_life,
    );
    refresh.expiry.assumed |=
        refresh_life.is_some() && answer.refresh_token_expires_in.is_assumed();
    let next_refresh = timing::refresh_due(
        now,
        issued,
        Ends {
            access: Some(access),
            refresh: Some(refresh.expiry),
        },
        origin.longest_pause(access),
        &settings.refresh,
        spread,
    );
    let thresholds = timing::thresholds_within(&settings.thresholds, refresh.expiry.life);
    let moved = refresh.new_generation
        || before.is_none_or(|before| before.at != refresh.expiry.at)
        || matches!(connection.state, State::Expired | State::Reauthorize);
    // Otherwise the wakeup stays where it is: a crossing that is due and not yet looked at, such
    // as after a standstill, must not be skipped.
    let next_check = moved.then(|| next_check(&thresholds, refresh.expiry, now));

    connection.access = Some(access);
    connection.refresh = Some(refresh.expiry);
    connection.refreshed = Some(now);
    connection.next_refresh = Some(next_refresh);
    match &answer.scopes {
        Some(scopes) => connection.scopes.clone_from(scopes),
        // Those that are known are of other tokens.
        None if origin != Origin::Refreshed && !same_access => connection.scopes.clear(),
        None => {}
    }
    connection.missing_scopes = scopes::missing(&required, &connection.scopes);
    connection.state = state_of(refresh.expiry, &thresholds, &connection.missing_scopes, now);
    connection.uncertain = false;
    let client_failed = connection.retry.take().is_some_and(|retry| retry.client);
    connection.refusal = None;
    if refresh.new_generation {
        connection.generation = connection.generation.saturating_add(1);
    }

    let mut changes = Vec::new();
    if !same_access {
        changes.push(seal(&owner, grant.access_token(), &answer.access_token));
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
        changes.push(installation::recover());
    }

    Ok(Taken {
        changes,
        new_generation: refresh.new_generation,
        next_refresh,
        next_check,
        warnings: answer.warnings(),
    })
}

/// How a grant stands whose refresh token works: `expiring` within the last of `thresholds`, never
/// without any; else `missing-scope` when a scope is missing, else `connected`.
///
/// Both of the first need a person; the one with a date comes first.
pub fn state_of(refresh: Expiry, thresholds: &[u64], missing: &[String], now: Timestamp) -> State {
    let left = timing::left(refresh.at, now);
    match thresholds.iter().min() {
        Some(last) if left <= *last => State::Expiring,
        _ if !missing.is_empty() => State::MissingScope,
        _ => State::Connected,
    }
}

/// When to look at the expiries of a token that was not looked at yet: at once when a threshold
/// is behind it already, otherwise at the next crossing.
fn next_check(thresholds: &[u64], refresh: Expiry, now: Timestamp) -> Timestamp {
    let soonest = now.saturating_add(SOONEST);
    if timing::crossed(thresholds, refresh.at, now).is_some() {
        return soonest;
    }
    timing::next_crossing(thresholds, refresh.at, now).map_or(soonest, |at| at.max(soonest))
}

/// The change that makes `due` the moment of the next refresh of `grant`.
///
/// The deadline is the expiry of the refresh token: after it only a person can go on. An access
/// token that expires first is renewed by the same refresh, late but whole. An expiry that lies
/// before `due` was wrong, or has passed: it is no deadline.
pub fn refresh_wakeup(
    owner: &Reference,
    grant: Grant,
    due: Timestamp,
    refresh: Option<Expiry>,
) -> Change {
    Change::Schedule(Wakeup {
        id: grant.refresh_wakeup().to_owned(),
        subject: owner.clone(),
        due,
        deadline: refresh.map(|expiry| expiry.at).filter(|at| *at >= due),
        payload: String::new(),
    })
}

/// The change that makes `due` the moment of the next look at the expiries of `grant`. Nothing is
/// lost when it comes late.
pub fn expiry_wakeup(owner: &Reference, grant: Grant, due: Timestamp) -> Change {
    Change::Schedule(Wakeup {
        id: grant.expiry_wakeup().to_owned(),
        subject: owner.clone(),
        due,
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
