//! What was done in a tenant, and by whom: written in the transaction of the change itself.

use serde_json::Value;

use super::sealed::random;
use super::sql::{Arg, TenantSql};
use super::sql::{args, statements};
use super::tenant_db::TenantBatch;
use domain::clock::Timestamp;
use domain::hex::hex;

statements! { TenantSql;
    /// An entry. Its id begins with the time, so that ids sort by time.
    RECORD = "INSERT INTO audit_log (tenant_id, id, at, actor, operation, subject, detail, address, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
}

/// An entry to be written.
#[derive(Debug)]
pub struct AuditEntry<'a> {
    /// When it was done.
    pub at: Timestamp,
    /// Who did it: `user:…`, `key:…`, `operator:…`.
    pub actor: String,
    /// The operation, such as `api_key.create`.
    pub operation: &'static str,
    /// The id of what it was done to.
    pub subject: Option<&'a str>,
    /// Further facts; no secret.
    pub detail: Option<Value>,
    /// The caller's address.
    pub address: String,
    /// The request's id.
    pub request_id: &'a str,
}

impl AuditEntry<'_> {
    /// The statement that writes it, for the batch of the change.
    pub fn statement(self) -> (TenantSql, Vec<Arg>) {
        let tail = random::<6>().map_or_else(|_| String::new(), |bytes| hex(&bytes));
        let id = format!("{:013}-{tail}", self.at.millis());
        let detail = self.detail.map(|detail| detail.to_string());
        let args = args![
            id,
            self.at.millis(),
            self.actor,
            self.operation,
            self.subject,
            detail,
            self.address,
            self.request_id
        ];
        (RECORD, args)
    }
}

impl TenantBatch<'_> {
    /// Adds the audit entry of the change that this batch makes.
    #[must_use]
    pub fn audit(self, entry: AuditEntry<'_>) -> Self {
        let (sql, args) = entry.statement();
        self.add(sql, args)
    }
}
