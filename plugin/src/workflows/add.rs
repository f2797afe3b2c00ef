//! Adds a record with its shadow, data syncs, schedules and wakeups.

use serde_json::Map;

use crate::admission;
use crate::grant::Grant;
use crate::model::{Accepted, Faults, Input, accept};
use crate::names;
use crate::parts::{self, Times};
use crate::pasted;
use crate::platform::{
    Change, Check, Failure, Key, Level, OnUnavailable, Platform, Reference, Secret, is_pkid,
};
use crate::record::{Body, Record, key, secret};
use crate::reports::{Added, Connection};
use crate::settings::Settings;
use crate::text::trim_text;
use crate::tokens::{self, Held};
use crate::webex::client::Proxies;

/// The most characters that an idempotency key may have.
const KEY_LIMIT: usize = 256;
/// How many steps are reported.
const STEPS: u32 = 3;

/// What a record is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The new record's key: 24 random lower-case hexadecimal characters.
    pub pkid: String,
    /// The node where the record belongs.
    pub hierarchy: String,
    /// One JSON object: the fields by name, tokens and proxy passwords among them.
    pub fields: Secret,
    /// The token endpoint's JSON answer, in place of the token fields.
    pub token_response: Option<Secret>,
    /// The caller's name for this add; the second one with it makes nothing.
    pub idempotency_key: Option<String>,
}

/// Adds a record. A repeated call with the same pkid or idempotency key makes nothing and answers
/// with what the first one made.
///
/// # Errors
/// `invalid` with all faults by field; `conflict`; `unavailable` and `rate-limited` when storage
/// or Webex could not be asked, or something else answered. Nothing was made then, unless the host
/// says that it keeps the commit.
pub fn add<P: Platform + ?Sized>(platform: &P, request: Request) -> Result<Added, Failure> {
    let request = Request {
        hierarchy: trimmed_path(&request.hierarchy),
        ..request
    };
    if let Some(added) = replayed(platform, &request)? {
        return Ok(added);
    }
    let settings = Settings::load(platform)?;
    platform.progress(1, STEPS, "checking the fields");
    let mut faults = Faults::default();
    check_request(&request, &mut faults);
    let input = Input::read(request.fields.expose(), &Map::new(), &mut faults);
    let answered = request.token_response.is_some();
    let mut accepted = accept(input, None, &request.hierarchy, answered, &mut faults);
    let answer = pasted::read_tokens(&accepted, request.token_response.as_ref(), &mut faults);
    admission::check_proxies(platform, &accepted, &mut faults)?;
    admission::find_doubles(platform, &request.hierarchy, &accepted, None, &mut faults)?;
    faults.check()?;

    let mut confirmed = None;
    if let Some(answer) = answer {
        platform.progress(2, STEPS, "checking the tokens at Webex");
        let named = accepted.organization.is_some();
        let inquiry = pasted::Inquiry {
            platform,
            settings: &settings,
            proxies: &proxies(&accepted),
            before: None,
        };
        let tokens = inquiry.confirm(answer, &mut accepted)?;
        if !named {
            let mut faults = Faults::default();
            admission::find_doubles(platform, &request.hierarchy, &accepted, None, &mut faults)?;
            faults.check().map_err(|failure| tokens.explain(failure))?;
        }
        confirmed = Some(tokens);
    }

    platform.progress(3, STEPS, "creating the record, its syncs and schedules");
    let mut record = Record {
        pkid: request.pkid.clone(),
        hierarchy: request.hierarchy.clone(),
        version: 0,
        body: Body {
            fields: accepted.fields.clone(),
            idempotency_key: request.idempotency_key.clone(),
            ..Body::default()
        },
    };
    record.complete_grants();
    parts::plan(&mut record, platform);
    let owner = record.reference();
    let mut belongings = Vec::new();
    for (name, value) in &accepted.sealed {
        if let Some(value) = value {
            belongings.push(Change::PutSecret {
                owner: owner.clone(),
                name: (*name).to_owned(),
                value: value.clone(),
            });
        }
    }
    let (mut refresh, mut check) = (Times::default(), Times::default());
    if let Some(confirmed) = &confirmed {
        let held = Held::default();
        let now = platform.now();
        let taken = tokens::take(
            &mut record,
            Grant::Organization,
            tokens::Received {
                answer: &confirmed.answer,
                held: &held,
                origin: confirmed.origin,
                issued: confirmed.issued,
            },
            now,
            &settings,
        )?;
        for warning in &taken.warnings {
            platform.log(Level::Warning, warning);
        }
        refresh.next = Some(taken.next_refresh);
        check.next = taken.next_check;
        belongings.extend(taken.changes);
    }
    let mut changes = vec![Change::Put(record.to_document()?)];
    changes.extend(parts::creation(&record, refresh, check));
    changes.extend(belongings);

    let mut checks = vec![Check::Absent(owner)];
    checks.extend(admission::no_doubles(&request.hierarchy, &accepted, None));
    checks.extend(by_idempotency_key(&request).map(|filter| Check::Unique(filter, None)));
    let on_unavailable = confirmed
        .as_ref()
        .map_or(OnUnavailable::Fail, pasted::Confirmed::on_unavailable);
    match platform.commit_with(checks, changes, on_unavailable) {
        Ok(()) => {}
        Err(Failure::Conflict(text)) => {
            let lost = lost_race(platform, &request, &accepted, text);
            return lost.map_err(|failure| match &confirmed {
                Some(confirmed) => confirmed.explain(failure),
                None => failure,
            });
        }
        Err(failure) => return Err(failure),
    }
    platform.log(
        Level::Info,
        &format!(
            "added {} at {} with {} parts",
            record.name(),
            record.hierarchy,
            record.body.parts.len()
        ),
    );
    Ok(added(&record, false))
}

/// A path without space around it and around its nodes.
fn trimmed_path(path: &str) -> String {
    let nodes: Vec<&str> = trim_text(path).split('.').map(trim_text).collect();
    nodes.join(".")
}

fn check_request(request: &Request, faults: &mut Faults) {
    if !is_pkid(&request.pkid) {
        faults.add("pkid", "must be 24 lower-case hexadecimal characters");
    }
    if request.hierarchy.split('.').any(str::is_empty) {
        faults.add(
            "hierarchy",
            "must be the path of a node, such as sys.Provider.Reseller.Customer",
        );
    } else if let Some(fault) = names::find_hidden_character(&request.hierarchy) {
        faults.add("hierarchy", fault);
    }
    if let Some(idempotency_key) = &request.idempotency_key {
        let length = idempotency_key.chars().count();
        if length == 0 || length > KEY_LIMIT {
            faults.add(
                "idempotency_key",
                format!("has {length} characters; 1 to {KEY_LIMIT} are possible"),
            );
        }
    }
}

// What an earlier call with this pkid (it was interrupted after its commit) or idempotency key
// has made.
fn replayed<P: Platform + ?Sized>(
    platform: &P,
    request: &Request,
) -> Result<Option<Added>, Failure> {
    let mut found = platform.get(&Reference::record(&request.pkid))?;
    if found.is_none()
        && let Some(filter) = by_idempotency_key(request)
    {
        found = platform
            .find(&filter, None, 1)?
            .documents
            .into_iter()
            .next();
    }
    let Some(document) = found else {
        return Ok(None);
    };
    if document.hierarchy != request.hierarchy {
        return Err(Failure::Conflict(format!(
            "{} exists at another node, {}",
            document.reference, document.hierarchy
        )));
    }
    let record = Record::from_document(document)?;
    platform.log(
        Level::Info,
        &format!("{} was added before; nothing is made", record.reference()),
    );
    Ok(Some(added(&record, true)))
}

fn by_idempotency_key(request: &Request) -> Option<crate::platform::Filter> {
    // One that is refused was never stored, and may be longer than anything that can be looked for.
    let idempotency_key = request.idempotency_key.as_ref();
    let idempotency_key = idempotency_key.filter(|key| key.chars().count() <= KEY_LIMIT)?;
    let key = Key::new(key::IDEMPOTENCY_KEY, idempotency_key);
    Some(admission::at_node(&request.hierarchy, key))
}

// Somebody else was faster: say what they made, as if we had seen it in time.
fn lost_race<P: Platform + ?Sized>(
    platform: &P,
    request: &Request,
    accepted: &Accepted,
    conflict: String,
) -> Result<Added, Failure> {
    if let Some(added) = replayed(platform, request)? {
        return Ok(added);
    }
    let mut faults = Faults::default();
    admission::find_doubles(platform, &request.hierarchy, accepted, None, &mut faults)?;
    faults.check()?;
    Err(Failure::Conflict(conflict))
}

fn proxies(accepted: &Accepted) -> Proxies {
    let given = |name: &str| {
        let (_, value) = accepted.sealed.iter().find(|(each, _)| *each == name)?;
        value.clone()
    };
    Proxies {
        http: given(secret::HTTP_PROXY),
        https: given(secret::HTTPS_PROXY),
    }
}

fn added(record: &Record, replayed: bool) -> Added {
    let mut created = vec![record.reference()];
    created.extend(record.body.parts.iter().map(crate::record::Part::reference));
    Added {
        connection: Connection::of(record),
        created,
        replayed,
    }
}

#[cfg(test)]
#[path = "add_tests.rs"]
mod tests;
