//! The names of Webex's endpoints, for metrics and traces. An address may have the id of a customer; a name never has.

/// The value for a path that no name fits.
const OTHER: &str = "other";

/// The names of the endpoints that the plugin uses.
pub const ENDPOINTS: &[&str] = &[
    "authorizations",
    "contact-center",
    "groups",
    "identity",
    "licenses",
    "locations",
    "organizations",
    OTHER,
    "people",
    "people/me",
    "roles",
    "token",
    "wholesale",
    "workspaces",
];

/// The segments of paths that are not ids.
const WORDS: &[&str] = &[
    "access_token",
    "api",
    "authorizations",
    "customers",
    "groups",
    "hydra",
    "identity",
    "licenses",
    "locations",
    "me",
    "organization",
    "organizations",
    "people",
    "roles",
    "site",
    "subscribers",
    "v1",
    "v2",
    "wholesale",
    "workspaceLocations",
    "workspaces",
];

/// Returns the endpoint of a request's path, whatever the root of the API is: one of [`ENDPOINTS`].
pub fn endpoint_name(path: &str) -> &'static str {
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        return match segment {
            "access_token" => "token",
            "people" if segments.peek() == Some(&"me") => "people/me",
            "organization" => "contact-center",
            "workspaceLocations" => "locations",
            "identity" | "people" | "organizations" | "roles" | "licenses" | "locations"
            | "workspaces" | "groups" | "wholesale" | "authorizations" => {
                let found = ENDPOINTS.iter().find(|name| **name == segment);
                found.copied().unwrap_or(OTHER)
            }
            _ => continue,
        };
    }
    OTHER
}

/// Returns the template of a request's path. Each segment that is not a word of Webex's API is `{id}`.
pub(crate) fn path_template(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let found = WORDS.iter().find(|word| **word == segment);
        match (found, segment) {
            (Some(word), _) => word,
            (None, "") => "",
            (None, _) => "{id}",
        }
    });
    // A longer path than Webex has is cut.
    segments.take(16).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_ignores_roots_and_ids() {
        for (path, expected) in [
            ("/v1/access_token", "token"),
            ("/v1/people/me", "people/me"),
            ("/v1/people", "people"),
            ("/hydra/api/v1/organizations/Y2lz", "organizations"),
            ("/v1/identity/organizations/0123", "identity"),
            ("/v1/wholesale/customers/c-17", "wholesale"),
            ("/organization/0123/v2/site", "contact-center"),
            ("/v1/workspaceLocations", "locations"),
            ("/v1/secret-canary", OTHER),
        ] {
            assert_eq!(endpoint_name(path), expected, "{path}");
            assert!(ENDPOINTS.contains(&expected));
        }
    }

    #[test]
    fn template_has_words_of_the_api_only() {
        for (path, expected) in [
            ("/v1/access_token", "/v1/access_token"),
            ("/v1/people/me", "/v1/people/me"),
            (
                "/v1/wholesale/customers/c-17",
                "/v1/wholesale/customers/{id}",
            ),
            ("/secret-canary/v1/", "/{id}/v1/"),
            ("/", "/"),
        ] {
            assert_eq!(path_template(path), expected);
        }
    }
}
