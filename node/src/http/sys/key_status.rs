//! `sys/key-status`: the data key that rows are encrypted under now.

use serde_json::json;

use crate::engines::{Reply, Verb};
use crate::error::Error;
use crate::http::respond::Answer;
use crate::http::session::{Session, plain_operation};
use crate::seal::rotate;

/// `GET sys/key-status`.
///
/// # Errors
/// [`Error::Denied`], or what the store says.
pub async fn route(session: &Session<'_>) -> Result<Answer, Error> {
    let verb = session.request.verb;
    let fields = session.request.fields()?;
    session.authorize(plain_operation(verb), &fields).await?;
    if verb != Verb::Read {
        return Err(Error::UnsupportedOperation);
    }
    let status = rotate::key_status(session.opened.tenant.view()).await?;
    let data = json!({
        "term": status.number,
        "install_time": status.created.to_string(),
        "encryptions": status.encryptions,
    });
    Ok(Answer::Flattened(Reply::data(&data)?))
}
