//! `automate:platform/settings`: the plain settings of the installation.

use super::Call;
use super::bindings::automate::platform::settings;

impl settings::Host for Call {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.gate.count()?;
        Ok(self.settings.get(&key).cloned())
    }

    async fn all(&mut self) -> wasmtime::Result<Vec<settings::Setting>> {
        self.gate.count()?;
        let all = self.settings.iter();
        Ok(all
            .map(|(key, value)| settings::Setting {
                key: key.clone(),
                value: value.clone(),
            })
            .collect())
    }
}
