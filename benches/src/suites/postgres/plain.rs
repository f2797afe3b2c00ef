//! The baseline: the same work as a short program with hand-written SQL. A loop claims a due customer, requests new
//! tokens, and stores them with the next due time and a row of the history in one transaction.
//!
//! It has no component, no checks, no log of a call and no limits. It uses the host's HTTP client and the host's cipher.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use relation_host::store::seal::Sealed;
use relation_host::types::Reference;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use spark_customer::platform::HttpRequest;
use tokio_postgres::{Client, NoTls, Statement};

use crate::customers;
use crate::measure::{Measurement, in_flight};
use crate::token_server::{ACCESS_TOKEN, REFRESH_TOKEN};
use crate::world::Parts;

const SCHEMA: &str = "
CREATE TABLE customers (
    id text PRIMARY KEY, node text NOT NULL, name text NOT NULL,
    access bytea NOT NULL, refresh bytea NOT NULL,
    access_expires timestamptz NOT NULL, refresh_expires timestamptz NOT NULL,
    due timestamptz NOT NULL, holder uuid, leased_until timestamptz
);
CREATE INDEX customers_due ON customers (due);
CREATE TABLE history (
    id uuid PRIMARY KEY, customer text NOT NULL, action text NOT NULL, status text NOT NULL,
    message text NOT NULL, started timestamptz NOT NULL, completed timestamptz NOT NULL
);
CREATE INDEX history_customer ON history (customer, id);";

const ADD: &str =
    "INSERT INTO customers VALUES ($1, $2, $3, $4, $5, now(), now(), now() + interval '1 day')";

const CLAIM: &str =
    "UPDATE customers SET holder = $1, leased_until = clock_timestamp() + interval '1 minute'
    WHERE id = (
        SELECT id FROM customers WHERE due <= clock_timestamp()
            AND (leased_until IS NULL OR leased_until < clock_timestamp())
        ORDER BY due LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, refresh";

const COMPLETE: &str = "WITH done AS (
        UPDATE customers SET access = $3, refresh = $4, holder = NULL, leased_until = NULL,
            access_expires = now() + make_interval(secs => $5), refresh_expires = now() + make_interval(secs => $6),
            due = now() + make_interval(secs => $5 / 2)
        WHERE id = $1 AND holder = $2 RETURNING id)
    INSERT INTO history SELECT $7::uuid, id, 'refresh', 'Success', 'new tokens', now(), clock_timestamp() FROM done";

/// Makes all customers due.
pub const MAKE_DUE: &str = "UPDATE customers SET due = clock_timestamp()";

/// The response of the token endpoint.
#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
    expires_in: f64,
    refresh_token_expires_in: f64,
}

/// The connection of one loop, with its statements.
struct Lane {
    client: Client,
    holder: uuid::Uuid,
    claim: Statement,
    complete: Statement,
}

/// The loops.
pub struct PlainLoops {
    parts: Arc<Parts>,
    lanes: Arc<Vec<Lane>>,
}

impl PlainLoops {
    /// Creates the tables with this many customers, and connects `lanes` loops.
    pub async fn new(parts: &Arc<Parts>, url: &str, lanes: usize, customers: u64) -> Result<Self> {
        let mut connected = Vec::with_capacity(lanes);
        for lane in 0..lanes {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            if lane == 0 {
                client.batch_execute(SCHEMA).await?;
                add_customers(parts, &client, customers).await?;
            }
            connected.push(Lane {
                holder: uuid::Uuid::new_v4(),
                claim: client.prepare(CLAIM).await?,
                complete: client.prepare(COMPLETE).await?,
                client,
            });
        }
        Ok(Self {
            parts: Arc::clone(parts),
            lanes: Arc::new(connected),
        })
    }

    /// Refreshes due customers for `time`.
    pub async fn run(&self, time: Duration) -> Result<Measurement> {
        let (parts, lanes) = (Arc::clone(&self.parts), Arc::clone(&self.lanes));
        in_flight(self.lanes.len(), time, move |lane| {
            let (parts, lanes) = (Arc::clone(&parts), Arc::clone(&lanes));
            async move {
                let lane = lanes.get(lane).context("no such loop")?;
                refresh(&parts, lane).await
            }
        })
        .await
    }
}

async fn add_customers(parts: &Parts, client: &Client, customers: u64) -> Result<()> {
    let add = client.prepare(ADD).await?;
    client.batch_execute("BEGIN").await?;
    for index in 0..customers {
        let owner = Reference::record(customers::pkid(index)?);
        let access = parts.sealer.seal(&owner, "access", &ACCESS_TOKEN.into())?;
        let refresh = parts
            .sealer
            .seal(&owner, "refresh", &REFRESH_TOKEN.into())?;
        client
            .execute(
                &add,
                &[
                    &owner.pkid.as_str(),
                    &customers::node(index),
                    &customers::name(index),
                    &access.as_bytes(),
                    &refresh.as_bytes(),
                ],
            )
            .await?;
    }
    Ok(client.batch_execute("COMMIT").await?)
}

async fn refresh(parts: &Parts, lane: &Lane) -> Result<()> {
    let due = lane.client.query_opt(&lane.claim, &[&lane.holder]).await?;
    let due = due.context("no customer is due: the slot is too long")?;
    let id: &str = due.try_get(0)?;
    let owner = Reference::record(id.parse()?);
    let sealed = Sealed::try_from(due.try_get::<_, Vec<u8>>(1)?)?;
    let token = parts.sealer.unseal(&owner, "refresh", &sealed)?;
    let tokens = request_tokens(parts, &token).await?;
    let seal = |name: &str, token: String| parts.sealer.seal(&owner, name, &token.into());
    let access = seal("access", tokens.access_token)?;
    let refresh = seal("refresh", tokens.refresh_token)?;
    let stored = lane
        .client
        .execute(
            &lane.complete,
            &[
                &id,
                &lane.holder,
                &access.as_bytes(),
                &refresh.as_bytes(),
                &tokens.expires_in,
                &tokens.refresh_token_expires_in,
                &uuid::Uuid::now_v7(),
            ],
        )
        .await?;
    ensure!(stored == 1, "the claim of {id} was lost");
    Ok(())
}

async fn request_tokens(parts: &Parts, token: &SecretString) -> Result<Tokens> {
    let setting = |name: &str| {
        parts
            .settings
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    };
    let body = format!(
        "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
        setting(spark_customer::settings::CLIENT_ID),
        parts.client_secret.expose_secret(),
        token.expose_secret()
    );
    let url = format!(
        "{}/access_token",
        setting(spark_customer::settings::BASE_URL)
    );
    let mut request = HttpRequest::new(Vec::new()).map(|_| Full::new(Bytes::from(body)));
    *request.method_mut() = "POST".parse()?;
    *request.uri_mut() = url.parse()?;
    let form = "application/x-www-form-urlencoded".parse()?;
    request.headers_mut().insert("content-type", form);
    let deadline = tokio::time::Instant::now() + parts.limits.request_time;
    let proxies = relation_host::egress::Proxies::default();
    let response = parts.client.send(request, &proxies, deadline).await?;
    ensure!(response.status().is_success(), "{}", response.status());
    let body = response.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}
