//! Password hashing for one request, with the deployment's parameters.

use super::password_turns;
use crate::credentials::password::{Hasher, PasswordCheck, SALT_BYTES};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::log;
use crate::storage::sealed::random;
use domain::password::Password;

/// Hashes a request's passwords; logs how often, where a test asks for it.
pub struct PasswordHashing {
    hasher: Hasher,
    request_id: Option<String>,
}

impl PasswordHashing {
    /// Waits until it is the network's turn. 429 or 503 if that takes too long.
    pub async fn in_turn<Who>(request: &Request<Who>) -> Result<Self, Problem> {
        password_turns::wait(request.incoming.network()).await?;
        let settings = &request.bindings.settings;
        let request_id = settings.logs_password_work.then(|| request.incoming.id.clone());
        Ok(Self { hasher: Hasher::new(settings.password_hashing), request_id })
    }

    /// A hash to be stored. 503 if there is not enough memory.
    pub fn hash(&self, password: &Password) -> Result<String, Problem> {
        let salt: [u8; SALT_BYTES] = random().map_err(problem::internal)?;
        self.hasher.hash(password, &salt).ok_or_else(|| problem::unavailable("no memory to hash a password"))
    }

    /// Verifies a password; takes the same time without a stored hash.
    pub fn verify(&self, password: &Password, stored: Option<&str>) -> PasswordCheck {
        self.hasher.verify(password, stored)
    }
}

impl Drop for PasswordHashing {
    fn drop(&mut self) {
        if let Some(id) = &self.request_id {
            log::password_work(id, self.hasher.hashes());
        }
    }
}
