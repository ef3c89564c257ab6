//! Why a turn of the hub's state failed.

use super::protocol::Refusal;
use super::sqlite::SqliteError;

/// Why a turn failed.
#[derive(Debug)]
pub enum StateError {
    /// It was refused, and nothing has changed.
    Refused(Refusal),
    /// The storage failed. The memory may differ from it now.
    Storage(SqliteError),
}

impl From<Refusal> for StateError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<SqliteError> for StateError {
    fn from(error: SqliteError) -> Self {
        Self::Storage(error)
    }
}
