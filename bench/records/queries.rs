//! What is asked of a tenant's records.

use serde_json::json;

use super::Fixture;
use super::load::{PROJECTS, deployment_id};

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// The first page of a list, newest first.
    List,
    /// A later page, by its cursor.
    Behind,
    /// Records of one status.
    Status,
    /// Records of one value of an indexed field.
    Field,
    /// Records with two words: the second is in one of twenty.
    Words,
    /// Records with a word that every tenant's deployments have.
    Word,
    /// One record.
    Get,
    /// A new record.
    Create,
    /// A list that is asked for again and again, of records that nobody changes.
    Kept,
}

impl CredentialKind {
    /// What creates comes after what lists the same records.
    pub const ALL: [Self; 9] = [
        Self::List,
        Self::Behind,
        Self::Status,
        Self::Field,
        Self::Words,
        Self::Word,
        Self::Get,
        Self::Create,
        Self::Kept,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list, first page",
            Self::Behind => "list, page behind a cursor",
            Self::Status => "list of one status",
            Self::Field => "list, filter on an indexed field",
            Self::Words => "list, search for two words",
            Self::Word => "list, search for a word of all",
            Self::Get => "get one record",
            Self::Create => "create a record",
            Self::Kept => "list that is kept (workflows)",
        }
    }

    /// The project that is asked for.
    pub fn project() -> String {
        format!("project-{}", PROJECTS / 2)
    }

    /// The number of the record that is asked for.
    pub fn record(party: &Fixture, call: usize) -> usize {
        call * 7 % party.size.deployments
    }

    /// The request of call number `call`. A name that no list knows sets each list apart from the one before.
    pub fn request(self, party: &Fixture, call: usize) -> Vec<u8> {
        let list = |query: String| party.request("GET", &format!("/api/v1/deployments?n={call}{query}"), call, &[]);
        match self {
            Self::List => list(String::new()),
            Self::Behind => list(format!("&cursor={}", party.cursor)),
            Self::Status => list("&status=active".to_owned()),
            Self::Field => list(format!("&filter=project_name%20=%20%22{}%22", Self::project())),
            Self::Words => list(format!("&q={}", Self::project())),
            Self::Word => list("&q=project".to_owned()),
            Self::Get => {
                let id = deployment_id(Self::record(party, call));
                party.request("GET", &format!("/api/v1/deployments/{id}"), call, &[])
            }
            Self::Create => {
                let body = json!({"project_name": Self::project(), "url": "https://example.com/"}).to_string();
                party.request("POST", "/api/v1/deployments", call, body.as_bytes())
            }
            Self::Kept => party.request("GET", "/api/v1/workflows", call, &[]),
        }
    }
}
