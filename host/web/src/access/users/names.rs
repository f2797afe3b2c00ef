//! Names of users and keys, nodes, and languages.

use relation_app::names::find_hidden_character;
use relation_app::white_space::find_white_space_error;
use relation_host::types::Hierarchy;

/// The maximum length of a name, in characters.
const MAX_NAME_CHARS: usize = 100;

/// Returns a name as it is compared.
pub(in crate::access) fn fold_name(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Returns the reason why a name is refused.
pub(crate) fn find_name_error(name: &str) -> Option<String> {
    if let Some(error) = find_hidden_character(name) {
        return Some(error);
    }
    let is_allowed = |c: char| c.is_alphanumeric() || "._-@+".contains(c);
    let length = name.chars().count();
    match (1..=MAX_NAME_CHARS).contains(&length) && name.chars().all(is_allowed) {
        true => None,
        false => {
            let message = "a name has 1 to 100 letters, digits and the characters . _ - @ +, such as ada or \
                           ada@example.com";
            Some(message.to_owned())
        }
    }
}

/// Returns the reason why a new node cannot have any objects. Its path has an invisible character, or white space other
/// than single spaces.
pub(super) fn find_new_node_error(node: &Hierarchy) -> Option<String> {
    let path = node.as_str();
    find_hidden_character(path).or_else(|| path.split('.').find_map(find_white_space_error))
}

/// Returns the reason why a language is refused.
pub(super) fn find_language_error(language: &str) -> Option<&'static str> {
    let is_tag = (2..=35).contains(&language.len())
        && language
            .split('-')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()));
    match is_tag {
        true => None,
        false => Some("a language is a tag such as en or pt-BR"),
    }
}

#[cfg(test)]
mod tests {
    use relation_host::types::Hierarchy;

    use super::*;
    use crate::WebError;
    use crate::access::Authority::Operator;
    use crate::access::api_keys::{self, NewApiKey};
    use crate::access::callback_auth::{self, CallbackAuthInput};
    use crate::access::roles::{self, NewRole};
    use crate::access::testing::{World, grant, node};
    use crate::access::users::{self, NewUser, User};
    use crate::access::{Operation, RoleGrant};

    fn fields<T: std::fmt::Debug>(result: Result<T, WebError>) -> Vec<String> {
        let errors = result.unwrap_err().error.field_errors.into_iter();
        errors
            .map(|error| format!("{} {}", error.field, error.message))
            .collect()
    }

    #[track_caller]
    fn assert_hidden(errors: &[String], expected: &[&str]) {
        assert_eq!(errors.len(), expected.len(), "{errors:?}");
        for (error, field) in errors.iter().zip(expected) {
            let is_hidden = error.starts_with(field) && error.contains("the character U+");
            assert!(is_hidden, "{field}: {error}");
        }
    }

    #[test]
    fn name_has_no_character_that_cannot_be_seen() {
        // The filler is a letter.
        for name in ["ada\u{3164}", "ad\u{200b}a", "\u{202e}ada"] {
            let error = find_name_error(name).unwrap();
            assert!(error.contains("the character U+"), "{error}");
        }
        assert_eq!(find_name_error("Zoë@example.com"), None);
    }

    #[tokio::test]
    async fn node_with_a_hidden_character_takes_no_objects() {
        let world = World::new();
        let parts = &world.parts;
        let hidden: Hierarchy = node("sys.Con\u{202e}toso");
        let grants: Vec<RoleGrant> = ["sys.Con\u{202e}toso", "sys.Con\u{202e}toso.B\u{ad}"]
            .map(|at| grant("operator", at))
            .to_vec();
        let user = NewUser {
            name: "ada\u{200b}".to_owned(),
            hierarchy: hidden.clone(),
            grants: grants.clone(),
            language: None,
        };
        let refused = fields(users::add(parts, &Operator, user).await);
        assert_hidden(&refused, &["name", "hierarchy", "grants[0]", "grants[1]"]);
        let key = NewApiKey {
            name: "sync".to_owned(),
            hierarchy: hidden.clone(),
            grants: grants.clone(),
            expires: None,
        };
        let refused = fields(api_keys::add(parts, &Operator, key).await);
        assert_hidden(&refused, &["hierarchy", "grants[0]", "grants[1]"]);
        let role = NewRole {
            name: "desk".to_owned(),
            hierarchy: hidden.clone(),
            operations: vec![Operation::Read],
        };
        let refused = fields(roles::add(parts, &Operator, role).await);
        assert_hidden(&refused, &["hierarchy"]);
        let auth = CallbackAuthInput {
            name: "crm".to_owned(),
            token: Some("token".to_owned().into()),
            ..CallbackAuthInput::default()
        };
        let refused = fields(callback_auth::add(parts, &Operator, hidden, auth).await);
        assert_hidden(&refused, &["hierarchy"]);
    }

    #[tokio::test]
    async fn stored_role_at_a_hidden_node_can_be_kept() {
        let world = World::new();
        let user = world.add("ada", "operator", "sys.A").await;
        let old = grant("operator", "sys.A.B\u{200b}");
        let stored = User {
            grants: vec![old.clone()],
            ..user
        };
        let kept = [old.clone(), grant("auditor", "sys.A")];
        let errors = users::find_set_errors(&world.parts, &Operator, &stored, &kept).await;
        assert_eq!(errors.unwrap(), []);
        let other = [grant("auditor", "sys.A.B\u{200b}")];
        let errors = users::find_set_errors(&world.parts, &Operator, &stored, &other).await;
        assert_eq!(errors.unwrap()[0].field, "grants[0]");
    }
}
