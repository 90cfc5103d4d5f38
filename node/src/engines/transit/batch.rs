//! One item or many: how operations read `batch_input`, go through the items, and answer.
//!
//! A request without `batch_input` is a batch of one whose answer is not wrapped.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::input::Text;
use super::keys::Keys;
use super::loaded::LoadedKey;
use super::path::KeyName;
use crate::engines::{Outcome, Reply};
use crate::error::Error;
use crate::fields::Fields;

/// How many items a request may hold. An item costs some microseconds, parsing included, so the longest batch keeps a
/// worker busy for some tens of milliseconds; without a bound a body of 32 MiB could hold a million and a half.
pub const MAX_ITEMS: usize = 10_000;

/// After so many items other requests on the same worker get a turn.
const ITEMS_PER_TURN: usize = 256;

/// Parameters of a batch as a whole.
const BATCH_NAMES: [&str; 3] = ["batch_input", "partial_failure_response_code", "reference"];

/// Why an item failed.
#[derive(Debug)]
pub enum Failure {
    /// The item itself is wrong, whatever the key is.
    Input(Text),
    /// It does not go with the key, or there is none. Not final before the store has confirmed the key.
    Key(Text),
    /// The program or the store is at fault; the whole request fails.
    Program(Error),
}

impl Failure {
    /// It does not go with the key.
    pub fn key(text: &'static str) -> Self {
        Self::Key(Text::Borrowed(text))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Program(error)
    }
}

/// What an item gives: the members that its operation fills.
#[derive(Debug, Default, Serialize)]
pub struct Line {
    /// What was encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ciphertext: Option<String>,
    /// What was decrypted, or a data key, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<String>,
    /// What was authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hmac: Option<String>,
    /// The version that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_version: Option<u32>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the caller called the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// How failed items of a batch show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFailure {
    /// In the status too.
    Status,
    /// In the status too, and with an empty plaintext.
    StatusAndPlaintext,
    /// In the item alone.
    Item,
}

/// What a request asks to be done.
#[derive(Debug)]
pub enum Input<'c> {
    /// One item, whose parameters are those of the request.
    Single(&'c Fields),
    /// The items of `batch_input`.
    Batch(&'c Fields, Vec<Fields>),
}

impl<'c> Input<'c> {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `batch_input` is no list of objects, is empty, or longer than [`MAX_ITEMS`].
    pub fn read(fields: &'c Fields) -> Result<Self, Error> {
        let Some(raw) = fields.raw("batch_input").filter(|raw| raw != "null") else {
            return Ok(Self::Single(fields));
        };
        let wrong = |why: String| Error::invalid("batch_input", why);
        let items: Vec<&RawValue> = serde_json::from_str(&raw)
            .map_err(|_| wrong("failed to parse batch input: expected a list of objects".into()))?;
        if items.is_empty() {
            return Err(wrong("missing batch input to process".into()));
        }
        if items.len() > MAX_ITEMS {
            return Err(wrong(format!(
                "batch input has {} items; at most {MAX_ITEMS} are allowed",
                items.len()
            )));
        }
        let items = items.iter().enumerate().map(|(position, item)| {
            Fields::from_json(item.get().as_bytes())
                .map_err(|_| wrong(format!("failed to parse batch input: item {position}")))
        });
        Ok(Self::Batch(fields, items.collect::<Result<_, _>>()?))
    }

    /// The items' parameters.
    pub fn items(&self) -> &[Fields] {
        match self {
            Self::Single(fields) => std::slice::from_ref(*fields),
            Self::Batch(_, items) => items,
        }
    }

    /// The answer, given what became of the items, in their order. `names` are the parameters that the operation knows.
    ///
    /// # Errors
    /// A single item's failure, or one that is not the caller's fault.
    pub fn answer(
        &self,
        results: Vec<Result<Line, Failure>>,
        on_failure: OnFailure,
        names: &[&str],
    ) -> Result<Reply, Error> {
        let (fields, items) = match self {
            Self::Batch(fields, items) => (*fields, items),
            Self::Single(fields) => {
                let line = single(results)?;
                return Ok(Reply::data(&line)?.with_warning(ignored(fields, names)));
            }
        };
        #[derive(Serialize)]
        struct Results {
            batch_results: Vec<Line>,
        }
        let mut succeeded = 0;
        let mut batch_results = Vec::with_capacity(results.len());
        for (result, item) in results.into_iter().zip(items) {
            let mut line = match result {
                Ok(line) => {
                    succeeded += 1;
                    line
                }
                Err(Failure::Program(error)) => return Err(error),
                Err(Failure::Input(why) | Failure::Key(why)) => Line {
                    error: Some(why.into_owned()),
                    plaintext: (on_failure == OnFailure::StatusAndPlaintext).then(String::new),
                    ..Line::default()
                },
            };
            line.reference = Some(item.string("reference").ok().flatten().unwrap_or_default());
            batch_results.push(line);
        }
        let all = succeeded == batch_results.len();
        let outcome = if all || on_failure == OnFailure::Item {
            Outcome::Done
        } else {
            Outcome::BatchFailed(chosen_status(fields)?.filter(|_| succeeded > 0))
        };
        Ok(Reply::data(&Results { batch_results })?
            .with_outcome(outcome)
            .with_warning(ignored(fields, names)))
    }
}

fn single(results: Vec<Result<Line, Failure>>) -> Result<Line, Error> {
    match results.into_iter().next() {
        Some(Ok(line)) => Ok(line),
        Some(Err(Failure::Program(error))) => Err(error),
        Some(Err(Failure::Input(why) | Failure::Key(why))) => Err(Error::bad_request(why)),
        None => Err(Error::Bug("a request without an item".into())),
    }
}

/// The status that the caller wants when only some items failed.
fn chosen_status(fields: &Fields) -> Result<Option<u16>, Error> {
    let field = "partial_failure_response_code";
    match fields.integer(field)? {
        None | Some(0) => Ok(None),
        Some(code) => u16::try_from(code)
            .ok()
            .filter(|code| (200..600).contains(code))
            .map(Some)
            .ok_or_else(|| {
                let message = format!("invalid HTTP response code override from {field}: {code}");
                Error::invalid(field, message)
            }),
    }
}

fn ignored(fields: &Fields, names: &[&str]) -> Option<String> {
    // Looked at twice so that the usual request, which has nothing unknown, costs no list.
    let known = |name: &str| {
        [names, &BATCH_NAMES, &super::input::Parameters::NAMES]
            .iter()
            .any(|list| list.contains(&name))
    };
    if fields.names().all(known) {
        return None;
    }
    let all = [names, &BATCH_NAMES, &super::input::Parameters::NAMES].concat();
    fields.unrecognized(&all)
}

/// Does `work` on each item with `key`, the one in memory. If some do not go with it, the store is asked, once, whether
/// that is still the key; if it is not, those are tried again.
///
/// # Errors
/// What the store says.
pub async fn each<I, T>(
    keys: &Keys,
    name: KeyName<'_>,
    key: Option<Arc<LoadedKey>>,
    items: &[I],
    work: impl Fn(Option<&LoadedKey>, &I) -> Result<T, Failure>,
) -> Result<Vec<Result<T, Failure>>, Error> {
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        results.push(work(key.as_deref(), item));
        take_turns(results.len()).await;
    }
    let doubtful = |result: &Result<T, Failure>| matches!(result, Err(Failure::Key(_)));
    if !results.iter().any(doubtful) {
        return Ok(results);
    }
    let confirmed = keys.confirmed(name).await?;
    if confirmed.as_ref().map(Arc::as_ptr) == key.as_ref().map(Arc::as_ptr) {
        return Ok(results);
    }
    for (position, (result, item)) in results.iter_mut().zip(items).enumerate() {
        if doubtful(result) {
            *result = work(confirmed.as_deref(), item);
            take_turns(position + 1).await;
        }
    }
    Ok(results)
}

async fn take_turns(done: usize) {
    if done.is_multiple_of(ITEMS_PER_TURN) {
        tokio::task::yield_now().await;
    }
}
