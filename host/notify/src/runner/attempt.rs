//! One attempt at a message, and the health of its recipient.

use chrono::{DateTime, Utc};

use super::channels::ChannelTarget;
use super::model::{Attempts, DeliveryState};
use super::{NoticeRunner, Run, derive_entropy};
use crate::health::{DisabledReason, EndpointHealth, HealthChange};
use crate::retry::{FailedAttempt, GiveUpReason, NextStep, plan};
use crate::routing::Delivery;
use crate::settings::{ChannelKind, Recipient};
use crate::{Attempt, DeliveryError, DeliveryErrorKind, Message, Receipt};

/// A message to one recipient.
pub(super) struct Letter<'l> {
    pub delivery: &'l Delivery,
    /// The recipient with its whole address.
    pub recipient: &'l Recipient,
    pub message: &'l Message,
    /// The id that stays the same in every attempt.
    pub id: &'l str,
}

/// The step after an attempt.
pub(super) enum Outcome {
    Ended(DeliveryState, Option<String>),
    Retry(DateTime<Utc>),
}

impl NoticeRunner {
    pub(super) async fn attempt(
        &self,
        run: &Run<'_>,
        letter: &Letter<'_>,
        attempts: &mut Attempts,
    ) -> Outcome {
        let result = self.send(run, letter).await;
        if let Some(observer) = &self.observer {
            let result = result.as_ref().map_err(|error| error.kind);
            observer.attempt_ended(letter.delivery.channel, result);
        }
        let now = run.now();
        self.note_health(run, letter.delivery, &result, now).await;
        let error = match result {
            Ok(receipt) => {
                attempts.add(now, true, &receipt.reply);
                let state = match receipt.confirmed {
                    true => DeliveryState::Confirmed,
                    false => DeliveryState::Sent,
                };
                return Outcome::Ended(state, None);
            }
            Err(error) => error,
        };
        attempts.add(now, false, &error.text);
        attempts.unknown = attempts
            .unknown
            .saturating_add(u32::from(error.kind == DeliveryErrorKind::Unknown));
        let failed = FailedAttempt {
            kind: error.kind,
            attempts: attempts.count,
            unknown: attempts.unknown,
            now,
        };
        let entropy = derive_entropy(letter.id, attempts.count);
        match plan(failed, Some(letter.delivery.deadline), entropy) {
            NextStep::Retry(at) => Outcome::Retry(at),
            NextStep::GiveUp(reason) => {
                let channel = letter.delivery.channel.as_str();
                tracing::warn!(id = letter.id, channel, %reason, "a notice is a dead letter");
                if let Some(observer) = &self.observer {
                    observer.dead_letter(letter.delivery.channel);
                }
                let text = match reason {
                    GiveUpReason::TooLate => attempts.explain(&reason.to_string()),
                    _ => reason.to_string(),
                };
                Outcome::Ended(DeliveryState::Dead, Some(text))
            }
        }
    }

    async fn send(&self, run: &Run<'_>, letter: &Letter<'_>) -> Result<Receipt, DeliveryError> {
        let delivery = letter.delivery;
        let target = ChannelTarget {
            recipient: letter.recipient,
            origin: &delivery.origin,
            language: delivery.language,
            zone: delivery.zone.as_ref(),
        };
        let channel = self.channels.open(&target).await?;
        let attempt = Attempt {
            id: letter.id,
            message: letter.message,
            now: run.now(),
        };
        channel.deliver(&attempt).await
    }

    /// Returns the reason why an endpoint gets no messages.
    pub(super) fn check_health(
        &self,
        health: &EndpointHealth,
        delivery: &Delivery,
    ) -> Option<String> {
        if !has_health(delivery.channel) {
            return None;
        }
        let reason = match health.disabled()? {
            DisabledReason::Failures => "every attempt failed for three days",
            DisabledReason::Gone => "it accepts no further messages",
        };
        Some(format!(
            "the endpoint is disabled, since {reason}: repair it, then send a test"
        ))
    }

    /// Records the result for the endpoint. A lost record only delays a warning, so it never fails the attempt.
    async fn note_health(
        &self,
        run: &Run<'_>,
        delivery: &Delivery,
        result: &Result<Receipt, DeliveryError>,
        now: DateTime<Utc>,
    ) {
        if !has_health(delivery.channel) {
            return;
        }
        let updated = self.store_health(run, delivery, result, now);
        let (channel, origin) = (delivery.channel.as_str(), &delivery.origin);
        let endpoint = delivery.recipient.key();
        match updated.await {
            Ok(None) => {}
            Ok(Some(HealthChange::Warn)) => {
                tracing::warn!(channel, %origin, endpoint, "every notice to an endpoint failed for six hours");
            }
            Ok(Some(HealthChange::Disable(reason))) => {
                tracing::error!(channel, %origin, endpoint, ?reason, "an endpoint of notices is disabled");
            }
            Ok(Some(HealthChange::Recover)) => {
                tracing::info!(channel, %origin, endpoint, "an endpoint of notices works again");
            }
            Err(error) => {
                tracing::warn!(channel, %origin, endpoint, %error, "the health of an endpoint was not stored");
            }
        }
    }
}

/// Returns whether recipients of a channel can be disabled. All mailboxes share the operator's mail server.
fn has_health(channel: ChannelKind) -> bool {
    match channel {
        ChannelKind::Mail => false,
        ChannelKind::Webhook | ChannelKind::Snmp => true,
    }
}
