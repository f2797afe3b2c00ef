//! Passwords: Argon2id as PHC strings, calculated on blocking threads.

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use relation_app::{AppError, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::fmt;
use tokio::sync::{OnceCell, Semaphore};

use super::tokens::{create_token, fill_random};
use crate::WebError;

/// The minimum number of characters of a password.
pub const MIN_PASSWORD_CHARS: usize = 12;

/// The longest password in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// The cost of one password hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// The memory, in KiB.
    pub memory_kib: u32,
    /// The number of passes over the memory.
    pub passes: u32,
}

impl Default for PasswordCost {
    /// Returns the cost that OWASP recommends: 19 MiB and two passes.
    fn default() -> Self {
        Self {
            memory_kib: Params::DEFAULT_M_COST,
            passes: Params::DEFAULT_T_COST,
        }
    }
}

impl PasswordCost {
    /// Returns the lowest cost. For tests only: such hashes do not protect passwords.
    pub fn lowest_for_tests() -> Self {
        Self {
            memory_kib: Params::MIN_M_COST,
            passes: Params::MIN_T_COST,
        }
    }
}

/// A password hash as a PHC string. Its debug output hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The result of comparing a password with a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The password is wrong, or there is no hash.
    Different,
    /// The password is right.
    Same {
        /// The hash is cheaper than new ones.
        is_outdated: bool,
    },
}

/// Returns the reason why a password is refused.
pub(crate) fn find_password_error(password: &SecretString, user_name: &str) -> Option<String> {
    let password = password.expose_secret();
    if password.chars().count() < MIN_PASSWORD_CHARS {
        return Some(format!(
            "a password has at least {MIN_PASSWORD_CHARS} characters; several words are easy to remember"
        ));
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Some(format!("a password has at most {MAX_PASSWORD_BYTES} bytes"));
    }
    if password.to_lowercase() == user_name.to_lowercase() {
        return Some("the password is the name of the user: choose another one".to_owned());
    }
    None
}

/// The hasher of passwords. It works on a few at a time, since each takes some MiB of memory.
pub(super) struct PasswordHasher {
    params: Option<Params>,
    /// Requests that hash or wait.
    queue: Semaphore,
    running: Semaphore,
    /// The hash for a user who does not exist, so that the time of the response reveals nothing.
    decoy: OnceCell<PasswordHash>,
}

impl PasswordHasher {
    const MAX_QUEUE: usize = 64;
    const MAX_RUNNING: usize = 4;

    pub(super) fn new(cost: PasswordCost) -> Self {
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            params: Params::new(
                cost.memory_kib,
                cost.passes,
                Params::DEFAULT_P_COST,
                Some(Params::DEFAULT_OUTPUT_LEN),
            )
            .ok(),
            queue: Semaphore::new(Self::MAX_QUEUE),
            running: Semaphore::new(parallelism.min(Self::MAX_RUNNING)),
            decoy: OnceCell::new(),
        }
    }

    /// Hashes a password.
    pub(super) async fn hash(&self, password: &SecretString) -> Result<PasswordHash, WebError> {
        let argon2 = self.argon2()?;
        let password = password.clone();
        let mut salt = [0; 16];
        fill_random(&mut salt)?;
        self.run(move || {
            let bytes = password.expose_secret().as_bytes();
            let hash: Phc = argon2
                .hash_password_with_salt(bytes, &salt)
                .map_err(|error| hash_error(&error))?;
            Ok(PasswordHash(hash.to_string()))
        })
        .await
    }

    /// Compares a password with a hash. Takes the same time without a hash.
    pub(super) async fn compare(
        &self,
        password: &SecretString,
        hash: Option<&PasswordHash>,
    ) -> Result<Comparison, WebError> {
        let argon2 = self.argon2()?;
        let params = argon2.params().clone();
        let decoy = self
            .decoy
            .get_or_try_init(async || self.hash(&create_token()?).await);
        let decoy = decoy.await?;
        // A password that is too long is not any user's.
        let too_long = password.expose_secret().len() > MAX_PASSWORD_BYTES;
        let hash = hash.filter(|_| !too_long);
        let is_decoy = hash.is_none();
        let hash = hash.unwrap_or(decoy).clone();
        let password = match too_long {
            true => SecretString::default(),
            false => password.clone(),
        };
        self.run(move || {
            let hash = Phc::new(&hash.0).map_err(|error| hash_error(&error))?;
            let verified = argon2.verify_password(password.expose_secret().as_bytes(), &hash);
            if is_decoy || verified.is_err() {
                return Ok(Comparison::Different);
            }
            let stored = Params::try_from(&hash).map_err(|error| hash_error(&error))?;
            let is_outdated =
                stored.m_cost() < params.m_cost() || stored.t_cost() < params.t_cost();
            Ok(Comparison::Same { is_outdated })
        })
        .await
    }

    fn argon2(&self) -> Result<Argon2<'static>, WebError> {
        let params = self.params.clone().ok_or_else(|| {
            let message = "the cost of password hashes is outside of what Argon2 allows";
            AppError::new(ErrorKind::Problem, message)
        })?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AppError> + Send + 'static,
    ) -> Result<T, WebError> {
        let overloaded = |_| {
            AppError::new(
                ErrorKind::Unavailable,
                "too many people log in at the moment",
            )
            .hint("try again in some seconds")
        };
        let _queued = self.queue.try_acquire().map_err(overloaded)?;
        let _running = self.running.acquire().await;
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.map_err(|error| {
            AppError::new(
                ErrorKind::Internal,
                format!("a password was not hashed: {error}"),
            )
        })?;
        Ok(done?)
    }
}

fn hash_error(error: &dyn fmt::Display) -> AppError {
    AppError::new(
        ErrorKind::Internal,
        format!("cannot hash a password: {error}"),
    )
}
