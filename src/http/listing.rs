//! Lists by cursor: what a request asks for, and the page it gets.
//!
//! A row brings its own JSON, made by the statement that read it; moments in it are milliseconds
//! until they are shown.

use crate::storage::row::row_types;
use serde_json::Value;

use super::cursor::{self, ListIdentity, Position};
use super::problem::{self, Problem};
use super::request::Request;
use super::response::{Pagination, Response};
use crate::storage::sql::Arg;
use domain::clock::Timestamp;

/// Above every moment and every id: where a list begins.
const BEGINNING: i64 = 9_007_199_254_740_991;

row_types! {
    /// A row of a list, or the one row of a thing.
    #[derive(Debug)]
    pub struct ViewRow {
        /// When it was created, in milliseconds since 1970.
        pub created_at: i64,
        /// Its id.
        pub id: String,
        /// Its JSON.
        pub view: String,
    }
}

impl ViewRow {
    /// The row as it is shown.
    pub fn shown(&self) -> Result<Value, Problem> {
        serde_json::from_str(&self.view).map(with_moments).map_err(problem::internal)
    }
}

/// A row's JSON as it is shown: `at`, and every `…_at` and `…_until`, that is a number becomes RFC 3339.
pub fn with_moments(mut view: Value) -> Value {
    if let Value::Object(members) = &mut view {
        for (name, value) in members.iter_mut() {
            let is_moment = name == "at" || name.ends_with("_at") || name.ends_with("_until");
            if let Some(millis) = value.as_i64().filter(|_| is_moment) {
                *value = Timestamp::from_millis(millis).to_string().into();
            }
        }
    }
    view
}

/// What a request asks of a list, newest first.
pub struct ListParams<'a> {
    identity: ListIdentity<'a>,
    place: Option<Position>,
    per_page: u32,
}

impl<'a> ListParams<'a> {
    /// Reads `limit` and `cursor`. A cursor opens the list it was made for: `route` and `filters`, which name
    /// the tenant where the list is a tenant's.
    pub fn read<Who>(request: &Request<Who>, route: &'a str, filters: &'a str) -> Result<Self, Problem> {
        let query = &request.incoming.query;
        let identity = ListIdentity { route, filters };
        let keys = &request.bindings.settings.keys;
        let place = match query.get("cursor").filter(|sent| !sent.is_empty()) {
            Some(sent) => {
                let opened = cursor::open(|version| keys.cursor_key_of(version), &identity, sent);
                Some(opened.map_err(|e| problem::invalid_query("cursor", e))?)
            }
            None => None,
        };
        Ok(Self { identity, place, per_page: query.number("limit", 1..=200, 50)? })
    }

    /// The arguments that a list's statement takes for its place: moment, id, and how many rows.
    pub fn args(&self) -> Vec<Arg> {
        let (at, id) = self.place.as_ref().map_or((BEGINNING, ""), |place| (place.at, place.id.as_str()));
        crate::storage::sql::args![at, id, i64::from(self.per_page) + 1]
    }

    /// Whether it begins behind a place.
    pub fn goes_on(&self) -> bool {
        self.place.is_some()
    }

    /// The page.
    pub fn answer<Who>(
        self,
        request: &Request<Who>,
        mut rows: Vec<ViewRow>,
        tenant: Option<&str>,
    ) -> Result<Response, Problem> {
        let per_page = self.per_page;
        let has_next = rows.len() > per_page as usize;
        rows.truncate(per_page as usize);
        let behind = rows.last().filter(|_| has_next).map(|row| Position { at: row.created_at, id: row.id.clone() });
        let key = request.bindings.settings.keys.cursor_key().map_err(problem::internal)?;
        let pagination = Pagination {
            per_page,
            has_next,
            has_prev: self.place.is_some(),
            cursor: behind.map(|place| cursor::seal(&key, &self.identity, &place)),
            ..Pagination::default()
        };
        let shown = rows.iter().map(ViewRow::shown).collect::<Result<Vec<Value>, Problem>>()?;
        Response::list(&shown, pagination, tenant)
    }
}
