//! What went wrong between here and the server, and what that means to a caller.

use std::error::Error as _;

use tokio_postgres::error::{DbError, Severity, SqlState};

use super::super::StoreError;

/// Why a statement gave no result.
pub(super) enum Trouble {
    /// No answer came in time.
    Late,
    /// The connection ended before the answer.
    Lost(String),
    /// The server refused the statement; it had no effect.
    Told(StoreError),
    /// The same, and this server is not the primary any more.
    Demoted(String),
}

const LATE: &str = "the database does not answer";

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(told) if *told.code() == SqlState::READ_ONLY_SQL_TRANSACTION => {
                Self::Demoted(told.message().to_owned())
            }
            // Of any other severity, the server ends the connection as well.
            Some(told) if told.parsed_severity() == Some(Severity::Error) => {
                Self::Told(meaning(told))
            }
            _ => Self::Lost(describe(&error)),
        }
    }
}

impl Trouble {
    /// For a read inside a transaction: with the connection, the moment that it reads is gone, so it begins again.
    pub(super) fn while_reading(self) -> StoreError {
        match self {
            Self::Lost(_) => StoreError::Conflict,
            other => other.while_asking(),
        }
    }

    /// For a statement by itself that changes nothing, or that may be repeated.
    pub(super) fn while_asking(self) -> StoreError {
        match self {
            Self::Late => StoreError::Unavailable(LATE.into()),
            Self::Lost(reason) | Self::Demoted(reason) => StoreError::Unavailable(reason),
            Self::Told(error) => error,
        }
    }

    /// For a commit.
    pub(super) fn while_committing(self) -> StoreError {
        match self {
            Self::Late => StoreError::MaybeCommitted(LATE.into()),
            Self::Lost(reason) => StoreError::MaybeCommitted(reason),
            other => other.while_asking(),
        }
    }
}

/// An error with its causes, in one line. It holds no password: the library's errors do not, and the server's do not.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(told) = error.as_db_error() {
        return told.message().to_owned();
    }
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn meaning(told: &DbError) -> StoreError {
    let message = || told.message().to_owned();
    match told.code() {
        &SqlState::T_R_SERIALIZATION_FAILURE
        | &SqlState::T_R_DEADLOCK_DETECTED
        | &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        | &SqlState::SNAPSHOT_TOO_OLD => StoreError::Conflict,
        &SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED => StoreError::Corrupt(message()),
        // "Program limit exceeded", such as a key that does not fit into a page of the index.
        code if code.code().starts_with("54") => StoreError::TooLarge(message()),
        _ => StoreError::Unavailable(message()),
    }
}
