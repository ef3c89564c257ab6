//! What is asked of a tenant's records.

use serde_json::{Value, json};

use super::{Fixture, notes};
use crate::options::BULK;

/// An operation, timed as one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Get,
    /// The first page of a list, newest first.
    List,
    /// A page from the middle of all records, by its cursor.
    Middle,
    /// A page, and how many there are.
    Counted,
    /// Records of one status.
    Status,
    /// The five records of one value of an indexed field.
    IndexedFew,
    /// The newest records of a value that a twentieth of all have.
    IndexedMany,
    /// A filter on a field without an index that every other record fits.
    Unindexed,
    /// A filter on a field without an index that no record fits.
    UnindexedNone,
    /// Five records by a word of theirs alone.
    SearchFew,
    /// The same five by that word and one that all have.
    SearchBoth,
    /// Fifty records by the beginning of a word.
    SearchBeginning,
    /// Records by a word that all have.
    SearchAll,
    /// A list that is asked for again and again, while nobody changes anything.
    Kept,
    /// A change of a field that is not looked up.
    Patch,
    /// A change of what is indexed, unique and searched.
    PatchOfIndexed,
    Bulk,
    Create,
    Delete,
}

impl Operation {
    pub const ALL: [Self; 19] = [
        Self::Get,
        Self::List,
        Self::Middle,
        Self::Counted,
        Self::Status,
        Self::IndexedFew,
        Self::IndexedMany,
        Self::Unindexed,
        Self::SearchFew,
        Self::SearchBoth,
        Self::SearchBeginning,
        Self::Kept,
        Self::Patch,
        Self::PatchOfIndexed,
        Self::Bulk,
        Self::Create,
        Self::Delete,
        Self::UnindexedNone,
        Self::SearchAll,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list: first page",
            Self::Middle => "list: page from the middle",
            Self::Counted => "list, counted",
            Self::Status => "list of one status",
            Self::IndexedFew => "filter, indexed: five records",
            Self::IndexedMany => "filter, indexed: a twentieth of all",
            Self::Unindexed => "filter, not indexed: every other",
            Self::UnindexedNone => "filter, not indexed: none (grows)",
            Self::SearchFew => "search: a word of five",
            Self::SearchBoth => "search: that and a word of all",
            Self::SearchBeginning => "search: beginning of fifty",
            Self::SearchAll => "search: a word of all (grows)",
            Self::Kept => "list that is kept",
            Self::Patch => "PATCH",
            Self::PatchOfIndexed => "PATCH of indexed fields",
            Self::Bulk => "bulk of 100 patches",
            Self::Create => "create",
            Self::Delete => "delete for good",
        }
    }

    /// How many of so many calls it takes: a bulk is long.
    pub fn calls(self, calls: usize) -> usize {
        if self == Self::Bulk { calls.div_ceil(4) } else { calls }
    }

    /// What is sent before the request of call number `call`, and not timed.
    pub fn before(self, fixture: &Fixture, call: usize) -> Option<Vec<u8>> {
        (self == Self::Delete).then(|| Self::Create.request(fixture, call))
    }

    /// What is sent behind it, so that there are as many records as before.
    pub fn after(self, fixture: &Fixture, call: usize) -> Option<Vec<u8>> {
        (self == Self::Create).then(|| Self::Delete.request(fixture, call))
    }

    /// The request of call number `call`. A name that no list knows sets each list apart from the one before.
    pub fn request(self, fixture: &Fixture, call: usize) -> Vec<u8> {
        let number = call * 7 % fixture.records;
        let (batch, group) = (notes::batch(35), notes::group(10));
        let page = |limit: usize, query: &str| {
            fixture.request("GET", &format!("?limit={limit}&n={call}{query}"), call, &Value::Null)
        };
        let list = |query: &str| page(20, query);
        let filter = |filter: &str| list(&format!("&filter={filter}"));
        let patch = |body| fixture.request("PATCH", &format!("/{}", notes::id(number)), call, &body);
        match self {
            Self::Get => fixture.request("GET", &format!("/{}", notes::id(number)), call, &Value::Null),
            Self::List => list(""),
            Self::Middle => list(&format!("&cursor={}", fixture.cursor)),
            Self::Counted => list("&count=true"),
            Self::Status => list("&status=open"),
            Self::IndexedFew => filter(&format!("batch=%22{batch}%22")),
            // Of a hundred records there are five.
            Self::IndexedMany => page(4, &format!("&filter=group=%22{group}%22")),
            Self::Unindexed => filter("text~%22even%22"),
            Self::UnindexedNone => filter("text~%22nothing%22"),
            Self::SearchFew => list(&format!("&q={batch}")),
            Self::SearchBoth => list(&format!("&q=common+{batch}")),
            Self::SearchBeginning => list("&q=batch0000*"),
            Self::SearchAll => list("&q=common"),
            Self::Kept => fixture.request("GET", "?limit=20", call, &Value::Null),
            Self::Patch => patch(json!({"score": 2_000_000 + call})),
            Self::PatchOfIndexed => {
                let title = format!("{} {call}", notes::title(number));
                patch(json!({"title": title, "code": format!("code-{number}-{call}")}))
            }
            Self::Bulk => {
                let id = |place| notes::id((place * (fixture.records / BULK) + call) % fixture.records);
                // No value is one that a record has.
                let score = |place| 1_000_000 + call * BULK + place;
                let operation = |place| json!({"op": "update", "id": id(place), "data": {"score": score(place)}});
                let operations: Vec<Value> = (0..BULK).map(operation).collect();
                fixture.request("POST", "/bulk", call, &json!({"operations": operations}))
            }
            Self::Create => {
                let mut body = notes::fields(fixture.records + call);
                body["id"] = notes::id(fixture.records + call).into();
                fixture.request("POST", "", call, &body)
            }
            Self::Delete => {
                let path = format!("/{}?permanent=true", notes::id(fixture.records + call));
                fixture.request("DELETE", &path, call, &Value::Null)
            }
        }
    }
}
