//! `automate:platform/egress`: sets a call's proxies and explains its last request error.

use secrecy::SecretString;

use super::bindings::automate::platform::{egress, types};
use super::http::OutgoingHttp;
use super::{Import, convert};
use crate::egress::{Proxies, ProxyUrl};
use crate::types::{Failure, FieldError};

impl egress::Host for OutgoingHttp {
    async fn use_proxies(
        &mut self,
        http: Option<String>,
        https: Option<String>,
    ) -> wasmtime::Result<Result<(), types::Failure>> {
        if let Some(failure) = self.gate.enter(Import::EgressUseProxies).await? {
            return Ok(Err(failure));
        }
        let mut errors = Vec::new();
        let mut parse = |field: &str, text: Option<String>| {
            let parsed = ProxyUrl::parse(&SecretString::from(text?));
            match parsed {
                Ok(proxy) => Some(proxy),
                Err(error) => {
                    errors.push(FieldError {
                        field: field.to_owned(),
                        message: error.to_string(),
                    });
                    None
                }
            }
        };
        let proxies = Proxies {
            http: parse("http", http),
            https: parse("https", https),
        };
        let refused = if errors.is_empty() {
            let mut named = [&proxies.http, &proxies.https].into_iter().flatten();
            let denied = named.find_map(|proxy| self.policy().check_proxy_as_written(proxy).err());
            denied.map(|denied| Failure::LimitExceeded(denied.to_string()))
        } else {
            Some(Failure::Invalid(errors))
        };
        self.gate.leave(Import::EgressUseProxies).await?;
        Ok(match refused {
            Some(failure) => Err(convert::failure_out(failure)),
            None => {
                self.proxies = proxies;
                Ok(())
            }
        })
    }

    async fn last_error(&mut self) -> wasmtime::Result<Option<String>> {
        self.gate.enter(Import::EgressLastError).await?;
        let last_error = self.last_error.lock().clone();
        self.gate.leave(Import::EgressLastError).await?;
        Ok(last_error)
    }
}
