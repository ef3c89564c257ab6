//! Passwords at work for one request: what it hashes, and how often.

use crate::credentials::password::{Hasher, SALT_BYTES, Verdict};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::log;
use crate::storage::sealed::random;

/// Passwords at work for one request.
pub struct Work {
    hasher: Hasher,
    request_id: Option<String>,
}

impl Work {
    /// For a request.
    pub fn of<Who>(request: &Request<Who>) -> Self {
        let settings = &request.bindings.settings;
        let request_id = settings.logs_password_work.then(|| request.incoming.id.clone());
        Self { hasher: Hasher::new(settings.password_hashing), request_id }
    }

    /// A hash to keep.
    pub fn hash(&self, password: &str) -> Result<String, Problem> {
        let salt: [u8; SALT_BYTES] = random().map_err(problem::internal)?;
        self.hasher.hash(password, &salt).ok_or_else(|| problem::unavailable("no memory to hash a password"))
    }

    /// Judges a password.
    pub fn verify(&self, password: &str, kept: Option<&str>) -> Verdict {
        self.hasher.verify(password, kept)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(id) = &self.request_id {
            log::password_work(id, self.hasher.done());
        }
    }
}
