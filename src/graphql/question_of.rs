//! The name of a question among what an isolate remembers.

use crate::isolate_cache::{CacheKey, KeyIdentity};
use crate::tenant_id::TenantId;

/// A tenant's question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QuestionOf(TenantId, Box<str>);

impl QuestionOf {
    /// By its key.
    pub fn new(tenant: &TenantId, key: &str) -> Self {
        Self(tenant.clone(), key.into())
    }
}

impl CacheKey for QuestionOf {
    const IDENTITY: KeyIdentity = KeyIdentity::NeverRecurs("a question's digest names one question of one site");
}
