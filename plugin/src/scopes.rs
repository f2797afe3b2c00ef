//! Scopes: which ones a grant requests, and which of them were not granted.

use crate::grant::Grant;
use crate::record::Record;
use crate::settings::{self, Settings};

/// Lists the scopes that `grant` of `record` requires and requests.
pub fn required(record: &Record, grant: Grant, settings: &Settings) -> Vec<String> {
    let scopes = &settings.scopes;
    let mut names = match grant {
        Grant::Organization => scopes.base.clone(),
        Grant::WholesaleCustomers => scopes.wholesale_customers.clone(),
        Grant::WholesaleUsers => scopes.wholesale_users.clone(),
    };
    if grant == Grant::Organization && record.flag("webex_contact_center") {
        for name in &scopes.contact_center {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// Returns the names of the settings that decide [`required`], for error texts.
pub fn setting_names(record: &Record, grant: Grant) -> &'static str {
    match grant {
        Grant::Organization if record.flag("webex_contact_center") => {
            "webex.scopes and webex.contact-center-scopes"
        }
        Grant::Organization => settings::SCOPES,
        Grant::WholesaleCustomers => settings::WHOLESALE_CUSTOMERS_SCOPES,
        Grant::WholesaleUsers => settings::WHOLESALE_USERS_SCOPES,
    }
}

/// Lists the `required` scopes that are not in `granted`. An empty `granted` means that Webex named
/// no scopes: then none counts as missing.
pub fn missing(required: &[String], granted: &[String]) -> Vec<String> {
    if granted.is_empty() {
        return Vec::new();
    }
    let missing = required.iter().filter(|name| !granted.contains(name));
    missing.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{START, connected_record};

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn contact_center_customer_needs_more_scopes() {
        let settings = Settings::default();
        let mut record = connected_record(START);
        let base = required(&record, Grant::Organization, &settings);
        assert_eq!(base, settings.scopes.base);
        let flag = "webex_contact_center".to_owned();
        record.body.fields.insert(flag, true.into());
        let more = required(&record, Grant::Organization, &settings);
        assert_eq!(more.len(), base.len() + 2);
        assert!(more.contains(&"cjp:config_write".to_owned()));
        let users = required(&record, Grant::WholesaleUsers, &settings);
        assert_eq!(users, settings.scopes.wholesale_users);
    }

    #[test]
    fn missing_scopes_are_required_and_not_granted() {
        assert_eq!(missing(&names("a b c"), &names("c x a")), names("b"));
        assert_eq!(missing(&names("a b"), &names("b a")), names(""));
        assert_eq!(missing(&names("a b"), &[]), names(""));
    }
}
