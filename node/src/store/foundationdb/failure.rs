//! What FoundationDB's error codes mean to a caller. The numbers are FoundationDB's own:
//! <https://apple.github.io/foundationdb/api-error-codes.html>.

use ::foundationdb::FdbError;

use super::super::StoreError;

/// The commit is over, one way or the other: the library has made sure that it is not on its way any more.
pub(super) const COMMIT_UNKNOWN_RESULT: i32 = 1021;

const TRANSACTION_TOO_OLD: i32 = 1007;
const FUTURE_VERSION: i32 = 1009;
const NOT_COMMITTED: i32 = 1020;
const ACCESSED_UNREADABLE: i32 = 1036;
const PROCESS_BEHIND: i32 = 1037;
const DATABASE_LOCKED: i32 = 1038;
const CLUSTER_VERSION_CHANGED: i32 = 1039;
const COMMIT_PROXY_MEMORY_LIMIT: i32 = 1042;
const BATCH_TRANSACTION_THROTTLED: i32 = 1051;
const GRV_PROXY_MEMORY_LIMIT: i32 = 1078;
const TAG_THROTTLED: i32 = 1213;
const TRANSACTION_TOO_LARGE: i32 = 2101;
const KEY_TOO_LARGE: i32 = 2102;
const VALUE_TOO_LARGE: i32 = 2103;

/// For a read, or a commit that cannot have changed anything.
pub(super) fn while_reading(error: FdbError) -> StoreError {
    match error.code() {
        // Of the others, each passes as soon as servers have caught up or the cluster has been upgraded.
        TRANSACTION_TOO_OLD
        | NOT_COMMITTED
        | FUTURE_VERSION
        | PROCESS_BEHIND
        | CLUSTER_VERSION_CHANGED => StoreError::Conflict,
        TRANSACTION_TOO_LARGE | KEY_TOO_LARGE | VALUE_TOO_LARGE => {
            StoreError::TooLarge(error.message().into())
        }
        ACCESSED_UNREADABLE => {
            StoreError::Misuse("a stamp was read in the transaction that sets it")
        }
        code => StoreError::Unavailable(format!("{} ({code})", error.message())),
    }
}

/// For a commit. What is not known to be a refusal leaves it open whether the commit is done.
pub(super) fn while_committing(error: FdbError) -> StoreError {
    match error.code() {
        TRANSACTION_TOO_OLD
        | NOT_COMMITTED
        | FUTURE_VERSION
        | PROCESS_BEHIND
        | DATABASE_LOCKED
        | COMMIT_PROXY_MEMORY_LIMIT
        | BATCH_TRANSACTION_THROTTLED
        | GRV_PROXY_MEMORY_LIMIT
        | TAG_THROTTLED
        // The library's own complaints about how it is used.
        | 2000..3000 => while_reading(error),
        code => StoreError::MaybeCommitted(format!("{} ({code})", error.message())),
    }
}
