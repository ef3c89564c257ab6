//! A kept answer as text, for KV and for the shield's replies: a line of JSON, then the body as it is.

use serde::{Deserialize, Serialize};

use crate::tenant_id::TenantId;
use domain::clock::Timestamp;
use domain::graphql_cache::{KeptAnswer, Lifetime, ShownResponse, Tag};
use domain::log_position::Cursor;
use domain::unix_time::millis;

/// All but the body.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoredHead {
    tenant_id: String,
    began: Cursor,
    #[serde(with = "millis")]
    asked_at: Timestamp,
    /// Milliseconds: fresh, stale while revalidating, stale if the site fails.
    lifetime: (i64, i64, i64),
    tags: Vec<Tag>,
    headers: Vec<(String, String)>,
}

impl StoredHead {
    pub fn of(tenant: &TenantId, kept: &KeptAnswer) -> Self {
        let Lifetime { fresh, stale_while_revalidate, stale_if_error } = kept.lifetime;
        Self {
            tenant_id: tenant.to_string(),
            began: kept.began.clone(),
            asked_at: kept.asked_at,
            lifetime: (fresh, stale_while_revalidate, stale_if_error),
            tags: kept.tags.clone(),
            headers: kept.answer.headers.clone(),
        }
    }

    /// The answer with its body; none if it is another tenant's.
    pub fn with(self, tenant: &TenantId, body: &str) -> Option<KeptAnswer> {
        if self.tenant_id != tenant.as_str() {
            return None;
        }
        let (fresh, stale_while_revalidate, stale_if_error) = self.lifetime;
        Some(KeptAnswer {
            began: self.began,
            asked_at: self.asked_at,
            lifetime: Lifetime { fresh, stale_while_revalidate, stale_if_error },
            tags: self.tags,
            answer: ShownResponse { headers: self.headers, body: body.into() },
        })
    }
}
