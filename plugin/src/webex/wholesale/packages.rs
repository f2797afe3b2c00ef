//! The packages of wholesale customers, and the packages that they need.

/// A package of a wholesale customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// The name at Webex.
    pub name: &'static str,
    /// The packages of which the customer must also have one; empty if the package needs none.
    pub needs: &'static [&'static str],
}

/// The packages with calling, which need a location.
pub const CALLING: &[&str] = &[
    "common_area_calling",
    "webex_calling",
    "webex_suite",
    "webex_voice",
    "cx_essentials",
    "webex_calling_standard",
];

/// All packages (developer.webex.com, "Wholesale Customers").
pub const PACKAGES: &[Package] = &[
    alone("common_area_calling"),
    alone("webex_calling"),
    alone("webex_meetings"),
    alone("webex_suite"),
    alone("webex_voice"),
    alone("cx_essentials"),
    alone("webex_calling_standard"),
    Package {
        name: "cisco_calling_plan",
        needs: CALLING,
    },
    Package {
        name: "attendant_console",
        needs: &["webex_calling", "webex_suite", "cx_essentials"],
    },
    alone("cx_premium_agent"),
    alone("cx_standard_agent"),
    alone("cx_voice_ports"),
    alone("cx_ai_assistant"),
    alone("webex_ai_agent"),
];

const fn alone(name: &'static str) -> Package {
    Package { name, needs: &[] }
}

/// Checks the full list of a customer's packages; returns all errors. A package that this release does not know is
/// left to Webex.
pub fn check_packages(packages: &[String]) -> Vec<String> {
    if packages.is_empty() {
        return vec![
            "a customer has at least one package; to remove all, delete the customer".to_owned(),
        ];
    }
    let has = |name: &str| packages.iter().any(|package| package == name);
    let known = PACKAGES.iter().filter(|package| has(package.name));
    known
        .filter(|package| !package.needs.is_empty())
        .filter(|package| !package.needs.iter().any(|needed| has(needed)))
        .map(|package| format!("{} needs one of {}", package.name, package.needs.join(", ")))
        .collect()
}

/// Returns whether a customer with these packages needs a location of calling.
pub fn needs_location(packages: &[String]) -> bool {
    packages.iter().any(|name| CALLING.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn dependent_package_needs_a_calling_package() {
        for (packages, missing) in [
            (&["webex_meetings"][..], &[][..]),
            (&["cisco_calling_plan"], &["cisco_calling_plan"]),
            (&["cisco_calling_plan", "webex_voice"], &[]),
            (
                &["attendant_console", "webex_voice"],
                &["attendant_console"],
            ),
            (&["attendant_console", "webex_suite"], &[]),
            (
                &["attendant_console", "cisco_calling_plan"],
                &["cisco_calling_plan", "attendant_console"],
            ),
        ] {
            let errors = check_packages(&names(packages));
            let named: Vec<&str> = errors
                .iter()
                .filter_map(|error| error.split(' ').next())
                .collect();
            assert_eq!(named, missing, "{packages:?}");
        }
        assert!(check_packages(&[])[0].contains("at least one"));
    }

    #[test]
    fn needed_packages_exist() {
        for package in PACKAGES {
            for needed in package.needs {
                assert!(PACKAGES.iter().any(|each| each.name == *needed), "{needed}");
            }
        }
    }

    proptest! {
        /// A further package never makes a valid list invalid, unless that package itself lacks another one.
        #[test]
        fn further_package_breaks_no_other(chosen in prop::sample::subsequence(PACKAGES, 1..14), more in 0_usize..14) {
            let mut packages: Vec<String> = chosen.iter().map(|package| package.name.to_owned()).collect();
            let before = check_packages(&packages);
            let further = PACKAGES[more].name;
            packages.push(further.to_owned());
            for error in check_packages(&packages) {
                prop_assert!(before.contains(&error) || error.starts_with(further), "{}", error);
            }
        }
    }
}
