//! Delivery by e-mail over SMTP.
