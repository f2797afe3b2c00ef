//! Customers of wholesale partners, background work on them, and access to their organizations.

use serde_json::{Value, json};

use super::{Organization, State};
use crate::errors::ApiError;
use crate::generated::kind;
use crate::ids;
use crate::paging::Listing;
use crate::settings::millis;
use crate::wholesale::ProvisioningOutcome;
use crate::wholesale::request::check_first_calling;

/// Background work on a customer.
#[derive(Clone)]
pub(super) struct Operation {
    partner: Organization,
    /// Milliseconds since the Unix epoch.
    due: u64,
    /// The outcome of provisioning; `None` for a removal.
    outcome: Option<ProvisioningOutcome>,
    /// The organization that the customer gets: the UUID of an existing one, or the name of a new one.
    organization: String,
}

/// A change of an existing customer.
pub(crate) enum OperationKind<'a> {
    /// An update with this body.
    Update(&'a Value),
    Delete,
}

fn set(entry: &mut Value, field: &str, value: Value) {
    if let Some(fields) = entry.as_object_mut() {
        match value {
            Value::Null => fields.remove(field),
            value => fields.insert(field.to_owned(), value),
        };
    }
}

/// Returns the packages of `names` with this status, and those only in `previous` as being deleted.
fn details(names: &Value, status: &str, previous: &Value) -> Value {
    let list = |names: &Value| names.as_array().cloned().unwrap_or_default();
    let (names, previous) = (list(names), list(previous));
    let kept = names
        .iter()
        .map(|name| json!({"name": name, "status": status}));
    let removed = previous.iter().filter(|name| !names.contains(name));
    let removed = removed.map(|name| json!({"name": name, "status": "deleting"}));
    json!({"packages": kept.chain(removed).collect::<Vec<_>>()})
}

impl State {
    /// Creates a customer of the partner, which is provisioned later. Returns its id.
    pub(crate) fn create_customer(
        &mut self,
        partner: &Organization,
        body: &Value,
    ) -> Result<String, ApiError> {
        let packages = body.get("packages").cloned().unwrap_or_default();
        let customer = json!({
            "externalId": body.get("externalId"),
            "address": body.get("address"),
            "status": "provisioning",
            "resourceDetails": details(&packages, "provisioning", &Value::Null),
            "packages": packages,
        });
        let customer = self.put_entry(partner, Listing::Customers, customer);
        let customer = customer.map_err(|_| ApiError::BadRequest("The customer is not valid."))?;
        let id = Listing::Customers.resource().id_of(&customer).to_owned();
        let named = body.get("orgId").and_then(Value::as_str);
        let existing = named.and_then(|id| self.organization(id));
        let name = body.pointer("/customerInfo/name").and_then(Value::as_str);
        let organization = match existing {
            Some(existing) => existing.uuid.clone(),
            None => name.unwrap_or("Customer").to_owned(),
        };
        self.begin(partner, &id, Some(self.wholesale.outcome), organization);
        Ok(id)
    }

    /// Begins a change of a customer of the partner.
    pub(crate) fn change_customer(
        &mut self,
        partner: &Organization,
        id: &str,
        kind: OperationKind<'_>,
    ) -> Result<(), ApiError> {
        let customer = self.list(partner, Listing::Customers).find(id);
        let mut customer = customer.ok_or(ApiError::NotFound)?;
        // The request may have another spelling of the id.
        let id = Listing::Customers.resource().id_of(&customer).to_owned();
        let previous = customer.get("packages").cloned().unwrap_or_default();
        let outcome = match kind {
            OperationKind::Update(body) => {
                let errors = check_first_calling(body, &previous);
                if !errors.is_empty() {
                    return Err(ApiError::InvalidFields(errors));
                }
                let packages = body.get("packages").cloned().unwrap_or_default();
                set(&mut customer, "status", "updating".into());
                let details = details(&packages, "provisioning", &previous);
                set(&mut customer, "resourceDetails", details);
                set(&mut customer, "packages", packages);
                for field in ["externalId", "address"] {
                    if let Some(value) = body.get(field) {
                        set(&mut customer, field, value.clone());
                    }
                }
                Some(self.wholesale.outcome)
            }
            OperationKind::Delete => {
                set(&mut customer, "status", "deleting".into());
                let details = details(&Value::Null, "deleting", &previous);
                set(&mut customer, "resourceDetails", details);
                None
            }
        };
        let put = self.put_entry(partner, Listing::Customers, customer);
        put.map_err(|_| ApiError::BadRequest("The customer is not valid."))?;
        let earlier = self.operations.get(&id);
        let organization = earlier.map_or("Customer", |operation| &operation.organization);
        let organization = organization.to_owned();
        self.begin(partner, &id, outcome, organization);
        Ok(())
    }

    fn begin(
        &mut self,
        partner: &Organization,
        id: &str,
        outcome: Option<ProvisioningOutcome>,
        organization: String,
    ) {
        let due = self
            .settings
            .now()
            .saturating_add(millis(self.wholesale.duration));
        let operation = Operation {
            partner: partner.clone(),
            due,
            outcome,
            organization,
        };
        self.operations.insert(id.to_owned(), operation);
    }

    /// Completes the background work that is due, in the order in which it became due.
    pub(crate) fn settle_operations(&mut self) {
        let now = self.settings.now();
        let due = self
            .operations
            .iter()
            .filter(|(_, operation)| operation.due <= now);
        let mut due: Vec<_> = due
            .map(|(id, operation)| (operation.due, id.clone()))
            .collect();
        due.sort();
        for (_, id) in due {
            if let Some(operation) = self.operations.remove(&id) {
                self.settle(&id, &operation);
            }
        }
    }

    fn settle(&mut self, id: &str, operation: &Operation) {
        let partner = &operation.partner;
        let Some(outcome) = operation.outcome else {
            self.remove_entry(partner, Listing::Customers, id);
            return;
        };
        let Some(mut customer) = self.list(partner, Listing::Customers).find(id) else {
            return;
        };
        let has_organization = matches!(
            outcome,
            ProvisioningOutcome::Provisioned | ProvisioningOutcome::ProvisionedWithErrors
        );
        if has_organization && customer.get("orgId").is_none() {
            let uuid = self.organization_of_customer(&operation.organization);
            // The type is not in capitals, as in the documentation's example.
            set(
                &mut customer,
                "orgId",
                ids::encode("Organization", &uuid).into(),
            );
        }
        let packages = customer.get("packages").cloned().unwrap_or_default();
        let mut details = details(&packages, "provisioned", &Value::Null);
        let last = packages
            .as_array()
            .map_or(0, |all| all.len().saturating_sub(1));
        if let Some(all) = details
            .pointer_mut("/packages")
            .and_then(Value::as_array_mut)
        {
            for (at, package) in all.iter_mut().enumerate() {
                match outcome {
                    ProvisioningOutcome::ProvisionedWithErrors if at == last => {
                        set(package, "status", "error".into());
                        set(
                            package,
                            "errors",
                            error(2560, "Calling is under maintenance."),
                        );
                    }
                    ProvisioningOutcome::Error => set(package, "status", "error".into()),
                    ProvisioningOutcome::PendingRplReview => {
                        set(package, "status", "provisioning".into());
                    }
                    ProvisioningOutcome::Provisioned
                    | ProvisioningOutcome::ProvisionedWithErrors => {
                        let name = package
                            .get("name")
                            .and_then(Value::as_str)
                            .unwrap_or_default();
                        let license = ids::encode("LICENSE", &format!("{id}:{name}"));
                        set(package, "licenseIds", json!([license]));
                    }
                }
            }
        }
        let errors = match outcome {
            ProvisioningOutcome::Error => error(10022, "The e-mail address is already in use."),
            ProvisioningOutcome::ProvisionedWithErrors => {
                error(2560, "Calling is under maintenance.")
            }
            _ => Value::Null,
        };
        set(&mut customer, "status", outcome.status().into());
        set(&mut customer, "resourceDetails", details);
        set(&mut customer, "errors", errors);
        // The entry was valid before.
        let _ = self.put_entry(partner, Listing::Customers, customer);
    }

    /// Returns the UUID of the organization with this UUID, or of a new one with this name.
    fn organization_of_customer(&mut self, name_or_uuid: &str) -> String {
        if self.organizations.contains_key(name_or_uuid) {
            return name_or_uuid.to_owned();
        }
        let uuid = self.create_organization(name_or_uuid).uuid;
        if self.wholesale.locks_new_organizations {
            self.locked_organizations.insert(uuid.clone());
        }
        uuid
    }

    /// Returns the organization with this id, if it is the caller's own or that of one of its customers.
    pub(crate) fn target_organization(
        &self,
        own: &Organization,
        id: &str,
    ) -> Result<Organization, ApiError> {
        if ids::decode("ORGANIZATION", id).as_ref() == Some(&own.uuid) {
            return Ok(own.clone());
        }
        let organization = self
            .customer_organization(own, id)
            .ok_or(ApiError::NotFound)?;
        match self.locked_organizations.contains(&organization.uuid) {
            true => Err(ApiError::Forbidden),
            false => Ok(organization),
        }
    }

    /// Returns the organization with this UUID, as [`target_organization`](Self::target_organization), and
    /// gives the partner access to it.
    pub(crate) fn identify_organization(
        &mut self,
        own: &Organization,
        uuid: &str,
    ) -> Option<Organization> {
        if uuid.eq_ignore_ascii_case(&own.uuid) {
            return Some(own.clone());
        }
        let organization = self.customer_organization(own, uuid)?;
        self.locked_organizations.remove(&organization.uuid);
        Some(organization)
    }

    /// Finds the organization of a customer by its id or UUID. That of a generated customer exists only
    /// as its entries.
    fn customer_organization(&self, partner: &Organization, id: &str) -> Option<Organization> {
        let wanted = ids::uuid_in(id)?;
        let list = self.list(partner, Listing::Customers);
        let generated = list.blueprint.index(kind::CUSTOMER_ORGANIZATION, wanted);
        let positions: Vec<_> = match generated {
            Some(position) => vec![position],
            None => list.collection.changed_positions().collect(),
        };
        let mut customers = positions.iter().filter_map(|position| list.get(*position));
        let customer = customers.find(|customer| {
            let id = customer.get("orgId").and_then(Value::as_str);
            id.and_then(ids::uuid_in) == Some(wanted)
        })?;
        let uuid = wanted.to_string();
        let known = self.organizations.get(&uuid).cloned();
        known.or_else(|| {
            let name = customer.get("externalId").and_then(Value::as_str);
            Some(Organization {
                id: ids::encode("ORGANIZATION", &uuid),
                display_name: name.unwrap_or("Customer").to_owned(),
                created: partner.created,
                uuid,
            })
        })
    }
}

fn error(code: u32, description: &str) -> Value {
    json!([{"errorCode": code, "description": description}])
}
