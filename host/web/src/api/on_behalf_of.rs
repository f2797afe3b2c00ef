//! The host for calls that a request asks for: with the principal as the originator, and the callback.

use relation_host::Host;
use relation_host::callbacks::{CALLBACK_AUTH_MODEL, Callback, CallbackCredentials};
use relation_host::transactions::Originator;
use relation_host::types::{Hierarchy, Reference};
use secrecy::ExposeSecret;

use super::body::{RequestMeta, all_invalid, meta_error};
use crate::access::audit::{Actor, AuditObject, NewAuditEvent};
use crate::access::{ClientAddress, Principal, callback_auth};
use crate::{Web, WebError};

/// Returns the host for calls at a node that a principal asks for.
///
/// # Errors
/// All wrong members of `request_meta`; the store cannot be read.
pub(super) async fn on_behalf_of(
    web: &Web,
    (principal, address): (&Principal, ClientAddress),
    meta: RequestMeta,
    node: &Hierarchy,
) -> Result<Host, WebError> {
    let RequestMeta {
        external_id,
        external_reference,
        callback_url,
        callback_auth,
        mut errors,
    } = meta;
    let host = web.host().on_behalf_of(Originator {
        user: principal.name.clone(),
        external_id,
        external_reference,
    });
    let checked = callback_url.map(|url| host.check_callback_url(url.expose_secret()));
    let url = match checked.transpose() {
        Ok(url) => url,
        Err(message) => {
            errors.push(meta_error("callback_url", &message));
            None
        }
    };
    let mut credentials = None;
    if let Some(name) = callback_auth {
        let found = callback_auth::find_usable(web.access(), principal, node, &name).await?;
        if let Some(pkid) = found {
            let object = Reference::new(CALLBACK_AUTH_MODEL, pkid.clone());
            let actor = Actor::from_principal(principal);
            let event = NewAuditEvent::new(actor, address, "use-callback-auth", node)
                .on(AuditObject::new(object, name));
            let event = event.to_use_event()?;
            credentials = Some(CallbackCredentials { pkid, event });
        } else {
            let message = format!(
                "no credentials that you may use have this name at the node {node} or above: add them at \
                 /api/data/ApiCallbackAuth/"
            );
            errors.push(meta_error("callback_auth", &message));
        }
    }
    if !errors.is_empty() {
        return Err(all_invalid(errors));
    }
    Ok(match url {
        None => host,
        Some(url) => host.with_callback(Callback {
            url,
            node: node.clone(),
            credentials,
        }),
    })
}
