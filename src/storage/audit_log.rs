//! What was done in a tenant, and by whom: written in the transaction of the deed itself.

use serde_json::Value;

use super::sealed::random;
use super::sql::{Arg, TenantSql};
use super::sql::{args, statements};
use domain::clock::Timestamp;

statements! { TenantSql;
    /// A deed. Its id begins with the time, so that deeds lie in their order.
    RECORD = "INSERT INTO audit_log (tenant_id, id, at, actor, operation, subject, detail, address, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
}

/// A deed to be recorded.
#[derive(Debug)]
pub struct Deed<'a> {
    /// When.
    pub at: Timestamp,
    /// Who: `user:…`, `key:…`, `operator:…`.
    pub actor: String,
    /// What, such as `api_key.create`.
    pub operation: &'static str,
    /// On what.
    pub subject: Option<&'a str>,
    /// What else belongs to it; no secret.
    pub detail: Option<Value>,
    /// Where the caller connects from.
    pub address: String,
    /// The request.
    pub request_id: &'a str,
}

impl Deed<'_> {
    /// The statement that records it, for the batch of the deed.
    pub fn statement(self) -> (TenantSql, Vec<Arg>) {
        let tail = random::<6>().map_or_else(|_| String::new(), |bytes| bytes.map(|b| format!("{b:02x}")).concat());
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
