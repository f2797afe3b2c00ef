//! The recovery of a row once its fault is over: by itself, or by a person.

use std::time::Duration;

use relation_e2e::world::DAY;
use relation_host::types::Timestamp;
use secrecy::SecretString;
use serde_json::Map;
use webex_emulator::Digest;

use crate::case::{Case, names, stored_tokens, text};
use crate::row::FaultClass;

impl Case<'_> {
    /// Runs on until the connection works again, by itself or by a person.
    pub async fn recover(&mut self) -> String {
        match self.class {
            FaultClass::Stashed => self.replay_stash().await,
            FaultClass::ClockAhead => return self.refresh_without_delay().await,
            _ => {}
        }
        let record = self.world.record(&self.customer.pkid).await;
        let earlier = self.world.token_requests();
        let Some(next) = record["connection"]["next_refresh"].as_u64() else {
            self.world.run_for(30 * DAY).await;
            let again = self.world.token_requests() - earlier;
            self.equal("the number of further requests", again, 0);
            self.connect().await;
            return "a person connects again".to_owned();
        };
        let pause = Timestamp(next).since(self.now());
        self.world
            .run_for(pause.saturating_sub(Duration::from_secs(1)))
            .await;
        if !pause.is_zero() {
            let early = self.world.token_requests() - earlier;
            self.equal("the number of early requests", early, 0);
            self.world.run_for(Duration::from_secs(1)).await;
        }
        let on_time = self.world.token_requests() - earlier;
        self.equal("the number of requests on time", on_time, 1);

        let record = self.world.record(&self.customer.pkid).await;
        let state = text(&record["connection"]["state"]).to_owned();
        let rejected = self.variant.rotates()
            && matches!(
                self.class,
                FaultClass::ResponseLost | FaultClass::TokenOmitted | FaultClass::Dropped
            );
        let wanted = if rejected { "reauthorize" } else { "connected" };
        self.equal("the state at the next attempt", state.as_str(), wanted);
        let alerts = self.alerts().await;
        if state == "connected" {
            self.expect(alerts.is_empty(), "there should be no alert in the end");
            let tokens = stored_tokens(self.world, &self.customer).await;
            for token in [&tokens.access_token, &tokens.refresh_token] {
                let accepted = self.world.emulator.accepts(token);
                self.expect(accepted, "Webex should accept both tokens in the end");
            }
            self.secrets.push(tokens);
            return match self.class {
                FaultClass::Delivered | FaultClass::TokenOmitted => "stays connected".to_owned(),
                FaultClass::Stashed => "the stash is applied; stays connected".to_owned(),
                _ => "connected at the next attempt".to_owned(),
            };
        }
        self.connect().await;
        format!(
            "`{state}` at the next attempt ({}): a person connects again",
            names(&alerts)
        )
    }

    /// Applies the stash and asserts that none of it was lost.
    async fn replay_stash(&mut self) {
        let host = self.world.host();
        self.world.clock.advance(host.plugin().limits().lease());
        let settled = host.replay_stash().await;
        self.equal("the number of responses applied", settled.applied, 1);
        let tokens = stored_tokens(self.world, &self.customer).await;
        let latest = self.world.emulator.latest_tokens(&self.grant);
        let latest = latest.expect("the grant is known");
        let lost = Digest::from_secret(&tokens.access_token) != latest.access_token
            || Digest::from_secret(&tokens.refresh_token) != latest.refresh_token;
        self.expect(!lost, "what was kept should be stored");
        self.secrets.push(tokens);
    }

    /// Asserts that a record written by a clock ahead is refreshed without delay, and corrected.
    async fn refresh_without_delay(&mut self) -> String {
        let earlier = self.world.token_requests();
        // An attempt in the same millisecond would complete this one too.
        self.world.clock.advance(Duration::from_secs(1));
        self.world.run_for(Duration::ZERO).await;
        let requests = self.world.token_requests() - earlier;
        self.equal("the number of requests by the right clock", requests, 1);
        let record = self.world.record(&self.customer.pkid).await;
        let connection = &record["connection"];
        self.equal("the state", text(&connection["state"]), "connected");
        let now = self.now().0;
        self.equal(
            "the last refresh",
            connection["refreshed"].as_u64(),
            Some(now),
        );
        for (token, lifetime) in [("access", 14 * DAY), ("refresh", 90 * DAY)] {
            let at = connection[token]["at"].as_u64().unwrap_or_default();
            let latest = Timestamp(now).after(lifetime);
            self.expect(
                at <= latest.0,
                format!("the {token} token is valid for too long"),
            );
        }
        let alerts = self.alerts().await;
        self.expect(alerts.is_empty(), "there should be no alert in the end");
        let tokens = stored_tokens(self.world, &self.customer).await;
        for token in [&tokens.access_token, &tokens.refresh_token] {
            let accepted = self.world.emulator.accepts(token);
            self.expect(accepted, "Webex should accept both tokens in the end");
        }
        self.secrets.push(tokens);
        "refreshed immediately by the correct clock; stays connected".to_owned()
    }

    /// Connects the customer again, as a person does.
    async fn connect(&mut self) {
        let organization = &self.customer.organization;
        let scopes = self.customer.grant.scopes().iter().cloned();
        let grant = self.world.emulator.grant(organization, scopes);
        let response = SecretString::from(grant.json().to_string());
        let pkid = &self.customer.pkid;
        let modified = self.world.host().modify(pkid, Map::new(), Some(response));
        let connection = modified.await.expect("new tokens are taken").value;
        self.equal(
            "the state after a person connected",
            connection.state.as_str(),
            "connected",
        );
        let tokens = stored_tokens(self.world, &self.customer).await;
        self.equal(
            "the access token after a person connected",
            &Digest::from_secret(&tokens.access_token),
            &Digest::from_secret(grant.access_token()),
        );
        let alerts = self.alerts().await;
        self.expect(alerts.is_empty(), "connecting should end the alert");
        self.secrets.push(tokens);
        self.grant = grant;
    }
}
