//! Lists by cursor: their parameters, and their pages.
//!
//! The statement that reads a row makes the row's JSON. Timestamps in it are milliseconds until they are shown.

use crate::storage::row::row_types;
use serde_json::Value;

use super::cursor::{self, ListIdentity, Position};
use super::problem::{self, Problem};
use super::request::Request;
use super::response::{CutCause, ListCut, Pagination, Response};
use crate::storage::sql::Arg;
use domain::clock::Timestamp;

/// Most bytes of rows on one page; one that would hold more ends early, with a cursor.
pub const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// How many of these rows, each of so many bytes, a page holds: at least one, so that whoever goes on comes further.
pub fn fitting(lengths: impl Iterator<Item = usize>) -> usize {
    let sums = lengths.scan(0_usize, |sum, length| {
        *sum = sum.saturating_add(length);
        Some(*sum)
    });
    sums.enumerate().take_while(|(place, bytes)| *place == 0 || *bytes <= MAX_PAGE_BYTES).count()
}

/// What is said of a page that its bytes ended.
pub fn cut_by_bytes() -> ListCut {
    ListCut { by: CutCause::Bytes, bound: i64::try_from(MAX_PAGE_BYTES).unwrap_or(i64::MAX) }
}

/// Rows of a page where the request names no number.
const PER_PAGE: u32 = 50;

/// Later than every timestamp: where a list begins.
const BEGINNING: i64 = 9_007_199_254_740_991;

row_types! {
    /// A row of a list, or a single resource.
    #[derive(Debug)]
    pub struct ViewRow {
        /// When it was created, in milliseconds since 1970.
        pub created_at: i64,
        /// Its id.
        pub id: String,
        /// Its JSON, with timestamps in milliseconds.
        pub view: String,
    }
}

impl ViewRow {
    /// The row's JSON, with timestamps as RFC 3339.
    pub fn shown(&self) -> Result<Value, Problem> {
        serde_json::from_str(&self.view).map(with_timestamps).map_err(problem::internal)
    }
}

/// Replaces numbers in the members `at`, `…_at` and `…_until` by RFC 3339.
pub fn with_timestamps(mut view: Value) -> Value {
    if let Value::Object(members) = &mut view {
        for (name, value) in members.iter_mut() {
            let is_timestamp = name == "at" || name.ends_with("_at") || name.ends_with("_until");
            if let Some(millis) = value.as_i64().filter(|_| is_timestamp) {
                *value = Timestamp::from_millis(millis).to_string().into();
            }
        }
    }
    view
}

/// The parameters of a list, newest first.
pub struct ListParams<'a> {
    identity: ListIdentity<'a>,
    after: Option<Position>,
    per_page: u32,
}

impl<'a> ListParams<'a> {
    /// Reads `limit` and `cursor`. A cursor is good for the list that made it: `route` and `filters` identify the list, and
    /// the filters must name the tenant if the list is a tenant's.
    pub fn read<Who>(request: &Request<Who>, route: &'a str, filters: &'a str) -> Result<Self, Problem> {
        Self::of(request, route, filters, PER_PAGE)
    }

    /// The same, with another number of rows where the request names none.
    pub fn of<Who>(request: &Request<Who>, route: &'a str, filters: &'a str, rows: u32) -> Result<Self, Problem> {
        let query = &request.incoming.query;
        let identity = ListIdentity { route, filters };
        let keys = &request.bindings.settings.keys;
        let after = match query.get("cursor").filter(|sent| !sent.is_empty()) {
            Some(sent) => {
                let opened = cursor::open(|version| keys.cursor_key_of(version), &identity, sent);
                Some(opened.map_err(|e| problem::invalid_query("cursor", e))?)
            }
            None => None,
        };
        Ok(Self { identity, after, per_page: query.number("limit", 1..=200, rows)? })
    }

    /// The arguments of a list's statement: the timestamp and id that it continues after, and how many rows.
    pub fn args(&self) -> Vec<Arg> {
        let (at, id) = self.after.as_ref().map_or((BEGINNING, ""), |after| (after.at, after.id.as_str()));
        crate::storage::sql::args![at, id, i64::from(self.per_page) + 1]
    }

    /// The id that the page continues after, of a list in the order of its ids; empty at its beginning.
    pub fn after_id(&self) -> &str {
        self.after.as_ref().map_or("", |after| after.id.as_str())
    }

    /// Most rows of the page.
    pub fn per_page(&self) -> u32 {
        self.per_page
    }

    /// Whether a cursor was sent.
    pub fn has_cursor(&self) -> bool {
        self.after.is_some()
    }

    /// The response: a page of these rows, which are one more than fit if there is a next page.
    pub fn answer<Who>(
        self,
        request: &Request<Who>,
        rows: Vec<ViewRow>,
        tenant: Option<&str>,
    ) -> Result<Response, Problem> {
        let (rows, pagination) = self.page(request, rows)?;
        let shown = rows.iter().map(ViewRow::shown).collect::<Result<Vec<Value>, Problem>>()?;
        Response::list(&shown, pagination, tenant)
    }

    /// The same, where the rows' JSON is still to be completed. A row of which nothing is left is not shown.
    pub async fn answer_with<Who>(
        self,
        request: &Request<Who>,
        rows: Vec<ViewRow>,
        tenant: Option<&str>,
        mut complete: impl AsyncFnMut(Value) -> Result<Option<Value>, Problem>,
    ) -> Result<Response, Problem> {
        let (rows, pagination) = self.page(request, rows)?;
        let mut shown = Vec::new();
        for row in rows {
            shown.extend(complete(row.shown()?).await?);
        }
        Response::list(&shown, pagination, tenant)
    }

    /// The rows of the page, and what is said of it.
    fn page<Who>(self, request: &Request<Who>, mut rows: Vec<ViewRow>) -> Result<(Vec<ViewRow>, Pagination), Problem> {
        let per_page = self.per_page;
        let shown = fitting(rows.iter().map(|row| row.view.len())).min(per_page as usize);
        let has_next = rows.len() > shown;
        rows.truncate(shown);
        let next = rows.last().filter(|_| has_next).map(|row| Position { at: row.created_at, id: row.id.clone() });
        let key = request.bindings.settings.keys.cursor_key().map_err(problem::internal)?;
        let partial = has_next && shown < per_page as usize;
        let pagination = Pagination {
            per_page,
            has_next,
            has_prev: self.after.is_some(),
            partial,
            cut: partial.then(cut_by_bytes),
            cursor: next.map(|position| cursor::seal(&key, &self.identity, &position)),
            ..Pagination::default()
        };
        Ok((rows, pagination))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_page_holds_as_many_rows_as_its_bytes_allow(lengths in prop::collection::vec(0_usize..2 * MAX_PAGE_BYTES, 0..9)) {
            let fits = fitting(lengths.iter().copied());
            let bytes = |rows: usize| lengths.iter().take(rows).sum::<usize>();
            prop_assert!(fits <= 1 || bytes(fits) <= MAX_PAGE_BYTES);
            prop_assert!(fits == lengths.len() || (fits > 0 && bytes(fits + 1) > MAX_PAGE_BYTES));
        }
    }
}
