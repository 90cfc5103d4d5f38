//! The one error type. Each variant says what the caller should do next; `http/error.rs` turns it into a status code.

use std::fmt;

/// What went wrong, in terms of what the caller can do about it.
#[derive(Debug)]
pub enum Error {
    /// The token does not allow this, or there is none. Ask for more rights.
    Denied(Denial),
    /// As [`Error::Denied`], where clients look for a text of its own.
    Refused(String),
    /// There is nothing here. `None` prints Vault's empty error list.
    NotFound(Option<String>),
    /// The request itself is wrong. Change it.
    Invalid {
        /// The offending parameter, where one can be named.
        field: Option<&'static str>,
        /// A sentence for the user; never holds a secret.
        message: String,
    },
    /// The path exists but not with this verb.
    UnsupportedOperation,
    /// PATCH with another media type than `application/merge-patch+json`.
    UnsupportedMediaType(String),
    /// The body is larger than the limit.
    TooLarge,
    /// The add-on is sealed. Unseal it.
    Sealed,
    /// Too many tries. Wait this many seconds.
    TooManyRequests {
        /// Seconds until it is worth trying again.
        retry_after_s: u64,
    },
    /// Other writers won every round. Try again.
    Conflict,
    /// Something this depends on is down or full. Try again later.
    Unavailable(String),
    /// No audit device could be written to, so nothing may happen. Call the operator.
    Unaudited,
    /// Stored bytes do not authenticate or do not decode. Call the operator.
    Corrupt(String),
    /// A mistake in this program. Report it.
    Bug(String),
}

/// Why access was denied. The two are told apart only because Vault's clients see different texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No token, or one that means nothing here.
    NoToken,
    /// A good token whose policies do not allow this.
    Policy,
}

impl Error {
    /// A wrong parameter and what to do about it.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            field: Some(field),
            message: message.into(),
        }
    }

    /// A wrong request where no single parameter is to blame, or where Vault's exact text matters.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::Invalid {
            field: None,
            message: message.into(),
        }
    }

    /// Nothing here, in Vault's empty form.
    pub fn not_found() -> Self {
        Self::NotFound(None)
    }

    /// No valid token.
    pub fn no_token() -> Self {
        Self::Denied(Denial::NoToken)
    }

    /// A valid token without the right.
    pub fn forbidden() -> Self {
        Self::Denied(Denial::Policy)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(_) => formatter.write_str("permission denied"),
            Self::NotFound(None) => formatter.write_str("not found"),
            Self::NotFound(Some(message))
            | Self::Refused(message)
            | Self::UnsupportedMediaType(message)
            | Self::Unavailable(message) => formatter.write_str(message),
            Self::Invalid { message, .. } => formatter.write_str(message),
            Self::UnsupportedOperation => formatter.write_str("unsupported operation"),
            Self::TooLarge => formatter.write_str("http: request body too large"),
            Self::Sealed => formatter.write_str("Vault is sealed"),
            Self::TooManyRequests { retry_after_s } => {
                write!(
                    formatter,
                    "too many requests, try again in {retry_after_s} s"
                )
            }
            Self::Conflict => formatter.write_str("too many concurrent changes, try again"),
            Self::Unaudited => formatter.write_str("failed to audit: no audit device takes a line"),
            Self::Corrupt(what) => write!(formatter, "stored data is damaged: {what}"),
            Self::Bug(what) => write!(formatter, "internal error: {what}"),
        }
    }
}

impl std::error::Error for Error {}
