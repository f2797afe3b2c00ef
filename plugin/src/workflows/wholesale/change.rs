//! A change of a customer, and the request that contains what stays as well.

use serde_json::{Map, Value};

use crate::platform::{Failure, FieldError};
use crate::webex::wholesale::{Customer, check_packages, complete_location, needs_location};

/// A change of a customer's packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageChange {
    /// The full list, in place of the present one.
    pub all: Option<Vec<String>>,
    /// Packages that are added.
    pub add: Vec<String>,
    /// Packages that are removed.
    pub remove: Vec<String>,
}

impl PackageChange {
    /// Returns the full list after the change. Packages that the change does not name stay.
    pub fn apply(&self, present: &[String]) -> Vec<String> {
        if let Some(all) = &self.all {
            return all.clone();
        }
        let mut packages = present.to_vec();
        packages.retain(|name| !self.remove.contains(name));
        for name in &self.add {
            if !packages.contains(name) {
                packages.push(name.clone());
            }
        }
        packages
    }

    /// Returns the argument that an error of any package belongs to.
    pub(super) fn first_argument(&self) -> &'static str {
        match (&self.all, self.add.is_empty()) {
            (Some(_), _) => "packages",
            (None, false) => "add_packages",
            (None, true) => "remove_packages",
        }
    }

    /// Returns the argument that an error of `package` belongs to.
    fn argument(&self, package: &str) -> &'static str {
        match (&self.all, self.add.iter().any(|name| name == package)) {
            (Some(_), _) => "packages",
            (None, true) => "add_packages",
            (None, false) => "remove_packages",
        }
    }
}

/// Checks the packages after a change, and that a first calling package comes with a location.
pub(super) fn check_change(
    current: &Customer,
    packages: &[String],
    change: &PackageChange,
    details: &Map<String, Value>,
) -> Result<(), Failure> {
    let mut errors = Vec::new();
    for error in check_packages(packages) {
        let package = error.split(' ').next().unwrap_or_default();
        errors.push(FieldError::new(change.argument(package), &error));
    }
    let location = details.get("provisioningParameters");
    let location = location.and_then(|parameters| parameters.get("calling")?.get("location"));
    let is_first = needs_location(packages) && !needs_location(&current.packages);
    if is_first && location.is_none() {
        for field in ["location_name", "location_timezone", "location_language"] {
            let message = "is required with the first calling package of a customer";
            errors.push(FieldError::new(field, message));
        }
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Failure::Invalid(errors)),
    }
}

/// Builds the request of a change: all packages, and the present details with those that change. `None` if the change
/// has no effect.
pub(super) fn build_change(
    current: &Customer,
    packages: &[String],
    mut details: Map<String, Value>,
) -> Option<Value> {
    let present = &current.entry.fields;
    let mut address = match present.get("address") {
        Some(Value::Object(address)) => address.clone(),
        _ => Map::new(),
    };
    if let Some(Value::Object(changed)) = details.remove("address") {
        address.extend(changed);
    }
    let address_changes = match present.get("address") {
        Some(Value::Object(before)) => *before != address,
        _ => !address.is_empty(),
    };
    if current.has_packages(packages) && !address_changes && details.is_empty() {
        return None;
    }
    details.insert("packages".to_owned(), packages.into());
    if let Some(external_id) = &current.external_id {
        details.insert("externalId".to_owned(), external_id.as_str().into());
    }
    if !address.is_empty() {
        details.insert("address".to_owned(), Value::Object(address));
    }
    complete_location(&mut details);
    Some(Value::Object(details))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::webex::wholesale::PACKAGES;

    fn customer(packages: &[String]) -> Customer {
        let customer = json!({
            "id": "C1", "externalId": "c1", "packages": packages,
            "address": {"addressLine1": "1 Main Street", "city": "Austin", "country": "US"},
        });
        Customer::parse(customer.to_string().as_bytes()).unwrap()
    }

    fn some_packages() -> impl Strategy<Value = Vec<String>> {
        let names: Vec<String> = PACKAGES.iter().map(|each| each.name.to_owned()).collect();
        prop::sample::subsequence(names, 0..=14)
    }

    proptest! {
        /// A change that names only a difference loses no other package and no detail.
        #[test]
        fn change_keeps_what_it_does_not_name(
            present in some_packages(), add in some_packages(), remove in some_packages(), city in "[a-z]{1,9}",
        ) {
            // A package may be named once.
            let remove = remove.into_iter().filter(|name| !add.contains(name)).collect();
            let change = PackageChange { all: None, add, remove };
            let packages = change.apply(&present);
            for name in &present {
                prop_assert!(packages.contains(name) || change.remove.contains(name));
            }
            for name in &packages {
                prop_assert!(present.contains(name) || change.add.contains(name));
            }
            prop_assert_eq!(&change.apply(&packages), &packages);
            let details = json!({"address": {"city": city}});
            let Value::Object(details) = details else { unreachable!() };
            let request = build_change(&customer(&present), &packages, details).unwrap();
            prop_assert_eq!(&request["packages"], &json!(packages));
            prop_assert_eq!(&request["externalId"], "c1");
            let address = json!({"addressLine1": "1 Main Street", "city": city, "country": "US"});
            prop_assert_eq!(&request["address"], &address);
        }
    }

    #[test]
    fn change_without_a_difference_needs_no_request() {
        let packages = ["webex_meetings".to_owned(), "webex_calling".to_owned()];
        let current = customer(&packages);
        let same = json!({"address": {"city": "Austin"}});
        let Value::Object(same) = same else {
            unreachable!()
        };
        let reversed: Vec<String> = packages.iter().rev().cloned().collect();
        assert_eq!(build_change(&current, &reversed, same), None);
    }

    #[test]
    fn packages_after_a_change_are_checked() {
        let current = customer(&["webex_calling".to_owned(), "cisco_calling_plan".to_owned()]);
        let fields = |change: PackageChange| {
            let packages = change.apply(&current.packages);
            match check_change(&current, &packages, &change, &Map::new()) {
                Ok(()) => Vec::new(),
                Err(Failure::Invalid(errors)) => {
                    errors.into_iter().map(|error| error.field).collect()
                }
                Err(other) => panic!("{other:?}"),
            }
        };
        let remove = |names: &[&str]| PackageChange {
            remove: names.iter().map(|name| (*name).to_owned()).collect(),
            ..PackageChange::default()
        };
        assert_eq!(fields(remove(&["webex_calling"])), ["remove_packages"]);
        assert!(fields(remove(&["cisco_calling_plan"])).is_empty());
        let all = ["webex_calling", "cisco_calling_plan"];
        assert_eq!(fields(remove(&all)), ["remove_packages"]);
        let add = PackageChange {
            add: vec!["attendant_console".to_owned()],
            remove: vec!["webex_calling".to_owned()],
            all: None,
        };
        let mut found = fields(add);
        found.sort();
        assert_eq!(found, ["add_packages", "remove_packages"]);
    }

    #[test]
    fn first_calling_package_needs_a_location() {
        let current = customer(&["webex_meetings".to_owned()]);
        let change = PackageChange {
            add: vec!["webex_calling".to_owned()],
            ..PackageChange::default()
        };
        let packages = change.apply(&current.packages);
        let checked = |details: Value| {
            let Value::Object(details) = details else {
                unreachable!()
            };
            check_change(&current, &packages, &change, &details)
        };
        match checked(json!({})) {
            Err(Failure::Invalid(errors)) => assert_eq!(errors.len(), 3),
            other => panic!("{other:?}"),
        }
        let location = json!({"provisioningParameters": {"calling": {"location": {"name": "a"}}}});
        assert_eq!(checked(location), Ok(()));
    }
}
