//! The only place where an error gets a status code.

use actix_web::http::StatusCode;

use crate::engines::Outcome;
use crate::error::{Denial, Error};

/// The status and the texts of Vault's error list.
pub fn status_and_messages(error: &Error) -> (StatusCode, Vec<String>) {
    let one = |message: String| vec![message];
    // Vault's wording for errors that its router, not a handler, finds; clients match on the inner text.
    let counted = |message: &str| one(format!("1 error occurred:\n\t* {message}\n\n"));
    match error {
        Error::Denied(Denial::NoToken) => (StatusCode::FORBIDDEN, one("permission denied".into())),
        Error::Denied(Denial::Policy) => (StatusCode::FORBIDDEN, counted("permission denied")),
        Error::Refused(message) => (StatusCode::FORBIDDEN, one(message.clone())),
        Error::NotFound(None) => (StatusCode::NOT_FOUND, Vec::new()),
        Error::NotFound(Some(message)) => (StatusCode::NOT_FOUND, one(message.clone())),
        Error::Invalid { message, .. } => (StatusCode::BAD_REQUEST, one(message.clone())),
        Error::UnsupportedOperation => (
            StatusCode::METHOD_NOT_ALLOWED,
            counted("unsupported operation"),
        ),
        Error::UnsupportedMediaType(message) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, one(message.clone()))
        }
        Error::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, one(error.to_string())),
        Error::TooManyRequests { .. } => (StatusCode::TOO_MANY_REQUESTS, one(error.to_string())),
        Error::Sealed | Error::Conflict | Error::Unavailable(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, one(error.to_string()))
        }
        Error::Unaudited | Error::Corrupt(_) | Error::Bug(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, one(error.to_string()))
        }
    }
}

/// Seconds after which trying again makes sense, for errors that pass.
pub fn retry_after_s(error: &Error) -> Option<u64> {
    match error {
        Error::TooManyRequests { retry_after_s } => Some(*retry_after_s),
        Error::Conflict | Error::Unavailable(_) => Some(1),
        _ => None,
    }
}

/// The status of a reply that carries data.
pub fn outcome_status(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Done => StatusCode::OK,
        Outcome::Missing => StatusCode::NOT_FOUND,
        Outcome::BatchFailed(chosen) => chosen
            .and_then(|code| StatusCode::from_u16(code).ok())
            .filter(|status| status.as_u16() >= 200)
            .unwrap_or(StatusCode::BAD_REQUEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_mistakes_are_never_server_errors() {
        let statuses = [
            (Error::no_token(), 403),
            (Error::forbidden(), 403),
            (Error::not_found(), 404),
            (Error::invalid("x", "wrong"), 400),
            (Error::UnsupportedOperation, 405),
            (Error::UnsupportedMediaType(String::new()), 415),
            (Error::TooLarge, 413),
            (Error::Sealed, 503),
            (Error::TooManyRequests { retry_after_s: 1 }, 429),
            (Error::Unaudited, 500),
            (Error::Corrupt(String::new()), 500),
        ];
        for (error, status) in statuses {
            assert_eq!(status_and_messages(&error).0.as_u16(), status, "{error}");
        }
    }

    #[test]
    fn a_batch_may_choose_its_status_but_not_an_invalid_one() {
        assert_eq!(outcome_status(Outcome::BatchFailed(None)).as_u16(), 400);
        assert_eq!(
            outcome_status(Outcome::BatchFailed(Some(207))).as_u16(),
            207
        );
        assert_eq!(
            outcome_status(Outcome::BatchFailed(Some(100))).as_u16(),
            400
        );
        assert_eq!(outcome_status(Outcome::BatchFailed(Some(7))).as_u16(), 400);
    }
}
