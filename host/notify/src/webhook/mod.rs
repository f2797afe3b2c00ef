//! Delivery by webhooks with the signature of Standard Webhooks.
