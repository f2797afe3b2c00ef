//! `automate:platform/egress`: sets a call's proxies and explains its last request error.

use secrecy::SecretString;

use super::Import;
use super::bindings::automate::platform::egress;
use super::gate::ImportResult;
use super::http::OutgoingHttp;
use crate::egress::{Proxies, ProxyUrl};
use crate::types::{Failure, FieldError};

impl egress::Host for OutgoingHttp {
    async fn use_proxies(
        &mut self,
        http: Option<String>,
        https: Option<String>,
    ) -> ImportResult<()> {
        let gate = self.gate.clone();
        let set = async { self.set_proxies(http, https) };
        gate.intercept(Import::EgressUseProxies, set).await
    }

    async fn last_error(&mut self) -> wasmtime::Result<Option<String>> {
        self.gate.enter(Import::EgressLastError).await?;
        let last_error = self.last_error.lock().clone();
        self.gate.leave(Import::EgressLastError).await?;
        Ok(last_error)
    }
}

impl OutgoingHttp {
    fn set_proxies(&mut self, http: Option<String>, https: Option<String>) -> Result<(), Failure> {
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
        if !errors.is_empty() {
            return Err(Failure::Invalid(errors));
        }
        for proxy in [&proxies.http, &proxies.https].into_iter().flatten() {
            let checked = self.policy().check_proxy_as_written(proxy);
            checked.map_err(|denied| Failure::LimitExceeded(denied.to_string()))?;
        }
        self.proxies = proxies;
        Ok(())
    }
}
